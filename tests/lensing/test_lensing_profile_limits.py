"""Limits of the multipole, the pseudo-Jaffe lens and the mass sheet; the functions they use."""

from __future__ import annotations

import pytest
import torch

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import image_grid, mass_sheet, multipole, pseudo_jaffe, ray_shooting, sie
from darkarcs.lensing.special_functions import log1p_ratio

GENERATOR = torch.Generator().manual_seed(3)
THETA = tuple(4 * torch.rand(2, 60, generator=GENERATOR, dtype=torch.float64) - 2)


@pytest.mark.parametrize("order", [2, 3, 4, 6])
def test_multipole_has_its_lobes(order: int) -> None:
    angle = torch.linspace(0, 6, 50, dtype=torch.float64)
    point = 1.5 * torch.cos(angle), 1.5 * torch.sin(angle)
    kappa = multipole.convergence(*point, order=order, amplitude=0.2, position_angle=0.3)
    torch.testing.assert_close(kappa, 0.2 / 3 * torch.cos(order * (angle - 0.3)))


@pytest.mark.parametrize("order", [3, 4])
def test_multipole_moves_the_contours_of_an_isothermal_lens(order: int) -> None:
    """At first order r(phi) of kappa = 1/2 grows by the amplitude times the cosine."""
    angle = torch.linspace(0, 6, 50, dtype=torch.float64)
    amplitude, radius = 1e-4, 1.2
    wanted = radius + amplitude * torch.cos(order * angle)
    point = wanted * torch.cos(angle), wanted * torch.sin(angle)
    kappa = sie.convergence(*point, einstein_radius=radius, axis_ratio=1.0)
    kappa = kappa + multipole.convergence(*point, order=order, amplitude=amplitude)
    torch.testing.assert_close(kappa, torch.full_like(kappa, 0.5), rtol=0, atol=1e-8)


@pytest.mark.parametrize("function", ["convergence", "deflection", "potential"])
@pytest.mark.parametrize("order", [1, 0, -3])
def test_order_below_two_is_refused(order: int, function: str) -> None:
    with pytest.raises(ConfigurationError, match="orders start at 2"):
        getattr(multipole, function)(*THETA, order=order, amplitude=0.1)


def test_pseudo_jaffe_is_isothermal_between_its_radii() -> None:
    core, outer = 1e-6, 1e6
    lens = {
        "central_convergence": 1.3 * (outer - core) / (2 * core * outer),
        "core_radius": core,
        "truncation_radius": outer,
    }
    isothermal = {"einstein_radius": 1.3, "axis_ratio": 1.0}
    ours = pseudo_jaffe.deflection(*THETA, **lens)
    for each, expected in zip(ours, sie.deflection(*THETA, **isothermal), strict=True):
        torch.testing.assert_close(each, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        pseudo_jaffe.convergence(*THETA, **lens),
        sie.convergence(*THETA, **isothermal),
        rtol=1e-4,
        atol=0,
    )


def test_pseudo_jaffe_is_symmetric_in_its_radii() -> None:
    one = {"central_convergence": 0.5, "core_radius": 0.3, "truncation_radius": 2.0}
    other = {"central_convergence": 0.5, "core_radius": 2.0, "truncation_radius": 0.3}
    for function in (pseudo_jaffe.potential, pseudo_jaffe.convergence):
        torch.testing.assert_close(function(*THETA, **one), function(*THETA, **other))


def test_pseudo_jaffe_has_a_finite_mass() -> None:
    far = torch.tensor([1e7], dtype=torch.float64)
    alpha, _ = pseudo_jaffe.deflection(
        far, 0 * far, central_convergence=0.5, core_radius=0.3, truncation_radius=2.0
    )
    assert (alpha * far).item() == pytest.approx(2 * 0.5 * 0.3 * 2.0, rel=1e-6)


def test_mass_sheet_degeneracy() -> None:
    """A sheet with the rest of the mass scaled down changes the source plane by a factor."""
    theta = image_grid(6, 0.5, dtype=torch.float64)
    lens = sie.deflection(*theta, einstein_radius=1.2, axis_ratio=0.7)
    sheet = mass_sheet.deflection(*theta, external_convergence=0.2)
    scaled = (0.8 * lens[0], 0.8 * lens[1])
    plain = ray_shooting(*theta, [lens])
    for ours, expected in zip(ray_shooting(*theta, [scaled, sheet]), plain, strict=True):
        torch.testing.assert_close(ours, 0.8 * expected)


def test_log1p_ratio_joins_its_series() -> None:
    value = torch.tensor([-0.5, -0.0101, -0.0099, 1e-20, 0.0099, 0.0101, 3.0], dtype=torch.float64)
    torch.testing.assert_close(log1p_ratio(value), torch.log1p(value) / value, rtol=1e-14, atol=0)
    zero = torch.zeros(1, requires_grad=True)
    assert torch.autograd.grad(log1p_ratio(zero), zero)[0].item() == -0.5
