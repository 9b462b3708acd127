"""Identities that every mass profile keeps, in float64, by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from darkarcs.lensing import point_mass, shear, sie

SIE = {"einstein_radius": 1.3, "axis_ratio": 0.7, "position_angle": 0.4}
PROFILES: dict[str, tuple[Any, dict[str, float]]] = {
    "sie": (sie, SIE | {"centre_x": 0.1, "centre_y": -0.2}),
    "sie nearly round": (sie, SIE | {"axis_ratio": 0.9999}),
    "sie round": (sie, SIE | {"axis_ratio": 1.0}),
    "sie flat": (sie, SIE | {"axis_ratio": 0.2}),
    "shear": (shear, {"shear_1": 0.05, "shear_2": -0.1, "centre_x": 0.3, "centre_y": 0.1}),
    "point mass": (point_mass, {"einstein_radius": 0.7, "centre_x": 0.1, "centre_y": 0.2}),
    "plummer": (point_mass, {"einstein_radius": 0.7, "centre_x": 0.1, "softening": 0.3}),
}


@pytest.fixture
def theta() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    points = 4 * torch.rand(2, 200, generator=generator, dtype=torch.float64) - 2
    return points[0].requires_grad_(), points[1].requires_grad_()


def gradient(values: Tensor, theta: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(values.sum(), theta, create_graph=True)


def convergence(profile: Any, theta: tuple[Tensor, Tensor], parameters: dict[str, float]) -> Tensor:
    return profile.convergence(*theta, **({} if profile is shear else parameters))


@pytest.mark.parametrize("name", PROFILES)
def test_deflection_is_the_gradient_of_the_potential(
    name: str, theta: tuple[Tensor, Tensor]
) -> None:
    profile, parameters = PROFILES[name]
    expected = gradient(profile.potential(*theta, **parameters), theta)
    for ours, slope in zip(profile.deflection(*theta, **parameters), expected, strict=True):
        torch.testing.assert_close(ours, slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PROFILES)
def test_divergence_of_the_deflection_is_twice_the_convergence(
    name: str, theta: tuple[Tensor, Tensor]
) -> None:
    profile, parameters = PROFILES[name]
    alpha_x, alpha_y = profile.deflection(*theta, **parameters)
    (xx, xy), (yx, yy) = gradient(alpha_x, theta), gradient(alpha_y, theta)
    torch.testing.assert_close(
        xx + yy, 2 * convergence(profile, theta, parameters), rtol=1e-8, atol=1e-8
    )
    torch.testing.assert_close(xy, yx, rtol=1e-8, atol=1e-8)  # no curl


@pytest.mark.parametrize("name", PROFILES)
def test_float32_agrees_with_float64(name: str, theta: tuple[Tensor, Tensor]) -> None:
    profile, parameters = PROFILES[name]
    single = profile.deflection(theta[0].float(), theta[1].float(), **parameters)
    for ours, double in zip(single, profile.deflection(*theta, **parameters), strict=True):
        torch.testing.assert_close(ours.double(), double, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", PROFILES)
def test_parameters_broadcast_to_a_batch(name: str) -> None:
    profile, parameters = PROFILES[name]
    theta_x, theta_y = torch.rand(2, 5, 6, dtype=torch.float64)
    batch = {
        key: torch.full((3, 1, 1), value, dtype=torch.float64) for key, value in parameters.items()
    }
    one = profile.deflection(theta_x, theta_y, **parameters)
    for many, single in zip(profile.deflection(theta_x, theta_y, **batch), one, strict=True):
        assert many.shape == (3, 5, 6)
        torch.testing.assert_close(many, single.expand(3, 5, 6))


@pytest.mark.parametrize("profile", [sie, point_mass])
def test_centre_is_finite_with_finite_gradients(profile: Any) -> None:
    parameters = SIE if profile is sie else {"einstein_radius": 0.7}
    for dtype in (torch.float32, torch.float64):
        theta = [torch.zeros(1, dtype=dtype, requires_grad=True) for _ in range(2)]
        tensors = {
            key: torch.tensor(value, dtype=dtype, requires_grad=True)
            for key, value in parameters.items()
        }
        alpha = profile.deflection(*theta, **tensors)
        assert [value.item() for value in alpha] == [0.0, 0.0]
        for slope in torch.autograd.grad(sum(alpha), [*theta, *tensors.values()]):
            assert torch.isfinite(slope).all()


def integrate(
    density: Callable[[Tensor, Tensor], Tensor], inside: Callable[[Tensor, Tensor], Tensor]
) -> float:
    axis = (torch.arange(1200, dtype=torch.float64) - 599.5) * 3e-3
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return float((density(x, y) * inside(x, y)).sum() * 9e-6)


@pytest.mark.parametrize("axis_ratio", [0.5, 0.8, 1.0])
def test_einstein_radius_is_the_circularised_one(axis_ratio: float) -> None:
    """Inside the critical curve, the ellipse of area pi theta_E^2, the mean convergence is one."""
    radius = 1.1
    density = lambda x, y: sie.convergence(  # noqa: E731
        x, y, einstein_radius=radius, axis_ratio=axis_ratio
    )
    ellipse = lambda x, y: axis_ratio * x**2 + y**2 / axis_ratio < radius**2  # noqa: E731
    area = integrate(lambda x, y: torch.ones_like(x), ellipse)
    assert area == pytest.approx(torch.pi * radius**2, rel=1e-3)
    assert integrate(density, ellipse) == pytest.approx(area, rel=5e-3)
    on_curve = torch.tensor([radius / axis_ratio**0.5, 0.0], dtype=torch.float64)
    assert density(on_curve[:1], on_curve[1:]).item() == pytest.approx(0.5)


def test_jacobian_is_singular_on_the_critical_curve_of_an_sie() -> None:
    angle = torch.linspace(0, 6, 13, dtype=torch.float64)
    radius, q = 1.1, 0.6
    theta = (
        (radius / q**0.5 * torch.cos(angle)).requires_grad_(),
        (radius * q**0.5 * torch.sin(angle)).requires_grad_(),
    )
    alpha_x, alpha_y = sie.deflection(*theta, einstein_radius=radius, axis_ratio=q)
    (xx, xy), (yx, yy) = gradient(alpha_x, theta), gradient(alpha_y, theta)
    determinant = (1 - xx) * (1 - yy) - xy * yx
    torch.testing.assert_close(determinant, torch.zeros_like(determinant), atol=1e-9, rtol=0)


def test_round_limit_is_the_isothermal_sphere(theta: tuple[Tensor, Tensor]) -> None:
    distance = torch.hypot(*theta)
    for axis_ratio, tolerance in ((1.0, 1e-12), (1 - 1e-6, 1e-5)):
        alpha = sie.deflection(*theta, einstein_radius=1.3, axis_ratio=axis_ratio)
        for ours, component in zip(alpha, theta, strict=True):
            torch.testing.assert_close(ours, 1.3 * component / distance, rtol=0, atol=tolerance)


def test_round_limit_is_smooth_in_the_axis_ratio(theta: tuple[Tensor, Tensor]) -> None:
    """The series joins the closed form, and its slope is that of finite differences."""
    theta = theta[0].detach(), theta[1].detach()
    step, value = 1e-5, 1.0 - 5e-4
    axis_ratio = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(
        sie.deflection(*theta, einstein_radius=1.0, axis_ratio=axis_ratio)[0].sum(), axis_ratio
    )[0]
    values = [
        sie.deflection(*theta, einstein_radius=1.0, axis_ratio=value + shift)[0].sum()
        for shift in (step, -step)
    ]
    assert slope.item() == pytest.approx((values[0] - values[1]).item() / (2 * step), rel=1e-5)


def test_position_angle_turns_the_lens_from_x_to_y() -> None:
    x, y = (
        torch.tensor([1.0, 0.3], dtype=torch.float64),
        torch.tensor([0.2, -0.8], dtype=torch.float64),
    )
    upright = sie.convergence(
        x, y, einstein_radius=1.0, axis_ratio=0.5, position_angle=torch.pi / 2
    )
    lying = sie.convergence(y, -x, einstein_radius=1.0, axis_ratio=0.5)
    torch.testing.assert_close(upright, lying)
    along = sie.convergence(x[:1], 0 * x[:1], einstein_radius=1.0, axis_ratio=0.5)
    across = sie.convergence(0 * x[:1], x[:1], einstein_radius=1.0, axis_ratio=0.5)
    assert along > across  # the major axis is x


def test_plummer_mass_and_half_mass_radius() -> None:
    lens = {"einstein_radius": 0.2, "softening": 0.1}
    distance = torch.tensor([0.1, 1e4], dtype=torch.float64)
    # by Gauss, the mass inside d in units of pi times the critical density is alpha d
    mass = point_mass.deflection(distance, 0 * distance, **lens)[0] * distance
    torch.testing.assert_close(
        mass, torch.tensor([0.02, 0.04], dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_total_deflection_is_the_sum() -> None:
    generator = torch.Generator().manual_seed(1)
    radius, x, y = torch.rand(3, 2, 4, generator=generator, dtype=torch.float64)
    theta_x, theta_y = torch.rand(2, 2, 5, 5, generator=generator, dtype=torch.float64)
    total = point_mass.total_deflection(
        theta_x, theta_y, einstein_radius=radius, centre_x=x, centre_y=y, softening=0.1
    )
    everything = point_mass.deflection(
        theta_x[:, None],
        theta_y[:, None],
        einstein_radius=radius[..., None, None],
        centre_x=x[..., None, None],
        centre_y=y[..., None, None],
        softening=0.1,
    )
    for ours, expected in zip(total, everything, strict=True):
        torch.testing.assert_close(ours, expected.sum(dim=1))


def test_matches_lenstronomy() -> None:
    pytest.importorskip("lenstronomy", reason="needs lenstronomy")
    from lenstronomy.LensModel.Profiles.point_mass import PointMass
    from lenstronomy.LensModel.Profiles.shear import Shear
    from lenstronomy.LensModel.Profiles.sie import SIE as ReferenceSIE
    from lenstronomy.Util.param_util import phi_q2_ellipticity

    theta = torch.rand(2, 50, dtype=torch.float64) * 4 - 2
    x, y = theta.numpy()
    e1, e2 = phi_q2_ellipticity(SIE["position_angle"], SIE["axis_ratio"])
    reference = ReferenceSIE(NIE=False)
    pairs = [
        (
            sie.deflection(*theta, **SIE, centre_x=0.1, centre_y=-0.2),
            reference.derivatives(x, y, 1.3, e1, e2, 0.1, -0.2),
        ),
        (
            [sie.potential(*theta, **SIE, centre_x=0.1, centre_y=-0.2)],
            [reference.function(x, y, 1.3, e1, e2, 0.1, -0.2)],
        ),
        (
            shear.deflection(*theta, shear_1=0.05, shear_2=-0.1),
            Shear().derivatives(x, y, 0.05, -0.1),
        ),
        (
            point_mass.deflection(*theta, einstein_radius=0.2, centre_x=0.5, centre_y=0.4),
            PointMass().derivatives(x, y, 0.2, 0.5, 0.4),
        ),
    ]
    for ours, theirs in pairs:
        for component, expected in zip(ours, theirs, strict=True):
            torch.testing.assert_close(component, torch.from_numpy(expected), rtol=1e-9, atol=1e-9)
