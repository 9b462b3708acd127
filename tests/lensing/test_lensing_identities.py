"""What every extended mass profile keeps, in float64, by automatic differentiation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from darkarcs.lensing import elliptical_power_law, mass_sheet, multipole, pseudo_jaffe, tnfw

EPL = {"einstein_radius": 1.3, "axis_ratio": 0.7, "slope": 2.2, "position_angle": 0.4}
HALO = {"scale_radius": 0.8, "scale_deflection": 0.3, "truncation_radius": 2.5}
JAFFE = {"central_convergence": 1.5, "core_radius": 0.2, "truncation_radius": 1.7}
SHIFT = {"centre_x": 0.1, "centre_y": -0.2}
PROFILES: dict[str, tuple[Any, dict[str, Any]]] = {
    "power law": (elliptical_power_law, EPL | SHIFT),
    "power law steep": (elliptical_power_law, EPL | {"slope": 2.7, "axis_ratio": 0.5}),
    "power law shallow": (elliptical_power_law, EPL | {"slope": 1.4}),
    "power law round": (elliptical_power_law, EPL | {"axis_ratio": 1.0}),
    "power law flat": (elliptical_power_law, EPL | {"axis_ratio": 0.2}),
    "multipole 2": (multipole, {"order": 2, "amplitude": 0.1, "position_angle": 0.3}),
    "multipole 3": (multipole, {"order": 3, "amplitude": 0.1, "position_angle": 0.3} | SHIFT),
    "multipole 4": (multipole, {"order": 4, "amplitude": -0.1} | SHIFT),
    "tnfw": (tnfw, HALO | SHIFT),
    "tnfw stripped": (tnfw, HALO | {"truncation_radius": 0.1}),
    "tnfw cut at its scale": (tnfw, HALO | {"truncation_radius": 0.8}),
    "tnfw hardly cut": (tnfw, HALO | {"truncation_radius": 1e4}),
    "tnfw wide": (tnfw, HALO | {"scale_radius": 30.0, "scale_deflection": 5.0}),
    "tnfw narrow": (tnfw, HALO | {"scale_radius": 0.01}),
    "pseudo-jaffe": (pseudo_jaffe, JAFFE | SHIFT),
    "pseudo-jaffe of equal radii": (pseudo_jaffe, JAFFE | {"truncation_radius": 0.2}),
    "pseudo-jaffe of close radii": (pseudo_jaffe, JAFFE | {"truncation_radius": 0.2039}),
    "mass sheet": (mass_sheet, {"external_convergence": -0.1} | SHIFT),
}
everywhere = pytest.mark.parametrize("name", PROFILES)
ONE_EACH = ("power law", "power law round", "multipole 3", "tnfw", "pseudo-jaffe", "mass sheet")


@pytest.fixture
def theta() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    points = 4 * torch.rand(2, 200, generator=generator, dtype=torch.float64) - 2
    return points[0].requires_grad_(), points[1].requires_grad_()


def gradient(values: Tensor, theta: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(values.sum(), theta, create_graph=True, materialize_grads=True)


def of_convergence(profile: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """A sheet's convergence has no centre."""
    return {
        key: value
        for key, value in parameters.items()
        if not (profile is mass_sheet and key.startswith("centre"))
    }


@everywhere
def test_deflection_is_the_gradient_of_the_potential(
    name: str, theta: tuple[Tensor, Tensor]
) -> None:
    profile, parameters = PROFILES[name]
    expected = gradient(profile.potential(*theta, **parameters), theta)
    for ours, slope in zip(profile.deflection(*theta, **parameters), expected, strict=True):
        torch.testing.assert_close(ours, slope, rtol=1e-9, atol=1e-10)


@everywhere
def test_divergence_of_the_deflection_is_twice_the_convergence(
    name: str, theta: tuple[Tensor, Tensor]
) -> None:
    profile, parameters = PROFILES[name]
    alpha_x, alpha_y = profile.deflection(*theta, **parameters)
    (xx, xy), (yx, yy) = gradient(alpha_x, theta), gradient(alpha_y, theta)
    convergence = profile.convergence(*theta, **of_convergence(profile, parameters))
    torch.testing.assert_close(xx + yy, 2 * convergence, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(xy, yx, rtol=1e-8, atol=1e-9)  # no curl


@everywhere
def test_float32_agrees_with_float64(name: str, theta: tuple[Tensor, Tensor]) -> None:
    profile, parameters = PROFILES[name]
    single_theta = theta[0].float(), theta[1].float()
    theta = single_theta[0].double(), single_theta[1].double()
    pairs = list(
        zip(
            profile.deflection(*single_theta, **parameters),
            profile.deflection(*theta, **parameters),
            strict=True,
        )
    )
    pairs.append(
        (profile.potential(*single_theta, **parameters), profile.potential(*theta, **parameters))
    )
    parameters = of_convergence(profile, parameters)
    pairs.append(
        (
            profile.convergence(*single_theta, **parameters),
            profile.convergence(*theta, **parameters),
        )
    )
    for single, double in pairs:
        assert single.dtype == torch.float32
        scale = float(double.detach().abs().median())
        torch.testing.assert_close(single.double(), double, rtol=2e-5, atol=2e-5 * scale)


@everywhere
def test_parameters_broadcast_to_a_batch(name: str) -> None:
    profile, parameters = PROFILES[name]
    theta_x, theta_y = torch.rand(2, 5, 6, dtype=torch.float64)
    batch = {
        key: value if isinstance(value, int) else torch.full((3, 1, 1), value).double()
        for key, value in parameters.items()
    }
    # the same numbers, rounded to float32 on the way
    one = {key: value if isinstance(value, int) else value[0, 0, 0] for key, value in batch.items()}
    single = profile.deflection(theta_x, theta_y, **one)
    for many, each in zip(profile.deflection(theta_x, theta_y, **batch), single, strict=True):
        assert many.shape == (3, 5, 6)
        torch.testing.assert_close(many, each.expand(3, 5, 6))
    potential = profile.potential(theta_x, theta_y, **batch)
    convergence = profile.convergence(theta_x, theta_y, **of_convergence(profile, batch))
    assert potential.shape == convergence.shape == (3, 5, 6)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_centre_is_finite_with_finite_gradients(name: str, dtype: torch.dtype) -> None:
    profile, parameters = PROFILES[name]
    theta = [
        torch.full((1,), parameters.get(f"centre_{axis}", 0.0), dtype=dtype, requires_grad=True)
        for axis in "xy"
    ]
    tensors = {
        key: torch.tensor(value, dtype=dtype, requires_grad=True)
        for key, value in parameters.items()
        if isinstance(value, float)
    }
    fixed = {key: value for key, value in parameters.items() if isinstance(value, int)}
    alpha_x, alpha_y = profile.deflection(*theta, **tensors, **fixed)
    assert abs(alpha_x.item()) == abs(alpha_y.item()) == 0.0
    given = of_convergence(profile, tensors | fixed)
    values = (
        alpha_x + alpha_y,
        profile.potential(*theta, **tensors, **fixed),
        profile.convergence(*theta, **given),
    )
    for value in values:
        assert torch.isfinite(value).all()
        slopes = torch.autograd.grad(
            value, [*theta, *tensors.values()], retain_graph=True, allow_unused=True
        )
        assert all(torch.isfinite(slope).all() for slope in slopes if slope is not None)


@pytest.mark.parametrize("name", ONE_EACH)
def test_gradients_of_all_parameters_match_finite_differences(name: str) -> None:
    profile, parameters = PROFILES[name]
    points = torch.tensor([[0.7, -0.3, 1.1], [0.4, 0.9, -1.3]], dtype=torch.float64)
    fixed = {key: value for key, value in parameters.items() if isinstance(value, int)}
    keys = [key for key in parameters if key not in fixed]
    inputs = tuple(
        torch.tensor(parameters[key], dtype=torch.float64, requires_grad=True) for key in keys
    )

    def all_values(*values: Tensor) -> Tensor:
        tensors = dict(zip(keys, values, strict=True)) | fixed
        return torch.stack(
            [
                *profile.deflection(*points, **tensors),
                profile.potential(*points, **tensors),
                profile.convergence(*points, **of_convergence(profile, tensors)),
            ]
        )

    assert torch.autograd.gradcheck(all_values, inputs)


# torch loads its own forward-mode rules by way of what it has deprecated
@pytest.mark.parametrize("name", ONE_EACH)
def test_forward_mode_agrees_with_backward(name: str, theta: tuple[Tensor, Tensor]) -> None:
    """The information limit pushes one tangent per parameter through a batch of lenses."""
    profile, parameters = PROFILES[name]
    fixed = {key: value for key, value in parameters.items() if isinstance(value, int)}
    values = {
        key: torch.full((2, 1), value, dtype=torch.float64)
        for key, value in parameters.items()
        if key not in fixed
    }
    points = theta[0].detach(), theta[1].detach()

    def total(given: dict[str, Tensor]) -> Tensor:
        return profile.deflection(*points, **given, **fixed)[0].sum()

    backward = torch.func.grad(total)(values)
    for key in values:
        tangent = {other: torch.zeros_like(value) for other, value in values.items()}
        tangent[key] = torch.ones_like(values[key])
        forward = torch.func.jvp(total, (values,), (tangent,))[1]
        torch.testing.assert_close(forward, backward[key].sum(), rtol=1e-9, atol=1e-9)
