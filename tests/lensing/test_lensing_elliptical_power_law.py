"""The series of the elliptical power law: its limits and its error bound."""

from __future__ import annotations

import pytest
import torch

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import elliptical_power_law, sie

GENERATOR = torch.Generator().manual_seed(2)
THETA = tuple(4 * torch.rand(2, 100, generator=GENERATOR, dtype=torch.float64) - 2)


@pytest.mark.parametrize("axis_ratio", [0.3, 0.8, 1.0])
def test_slope_of_two_is_the_isothermal_ellipsoid(axis_ratio: float) -> None:
    lens = {
        "einstein_radius": 1.1,
        "axis_ratio": axis_ratio,
        "position_angle": -0.7,
        "centre_x": 0.2,
        "centre_y": 0.1,
    }
    ours = elliptical_power_law.deflection(*THETA, slope=2.0, **lens)
    for each, expected in zip(ours, sie.deflection(*THETA, **lens), strict=True):
        torch.testing.assert_close(each, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        elliptical_power_law.convergence(*THETA, slope=2.0, **lens), sie.convergence(*THETA, **lens)
    )
    torch.testing.assert_close(
        elliptical_power_law.potential(*THETA, slope=2.0, **lens), sie.potential(*THETA, **lens)
    )


@pytest.mark.parametrize("slope", [1.3, 2.0, 2.8])
def test_round_limit_is_the_spherical_power_law(slope: float) -> None:
    distance = torch.hypot(*THETA)
    alpha = elliptical_power_law.deflection(
        *THETA, einstein_radius=1.1, axis_ratio=1.0, slope=slope
    )
    for ours, component in zip(alpha, THETA, strict=True):
        expected = component * (1.1 / distance) ** (slope - 1)
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("slope", [1.3, 2.0, 2.8])
@pytest.mark.parametrize("axis_ratio", [0.3, 0.6])
def test_what_is_left_out_keeps_its_bound(axis_ratio: float, slope: float) -> None:
    """A series made for rounder lenses is off by no more than f^N / (1 - f) of the deflection."""
    lens = {"einstein_radius": 1.0, "axis_ratio": axis_ratio, "slope": slope}
    exact = elliptical_power_law.deflection(*THETA, **lens, smallest_axis_ratio=0.1)
    f = (1 - axis_ratio) / (1 + axis_ratio)
    for rounder in (0.9, 0.97):
        terms = elliptical_power_law.num_terms(rounder, torch.float64)
        short = elliptical_power_law.deflection(*THETA, **lens, smallest_axis_ratio=rounder)
        error = torch.hypot(short[0] - exact[0], short[1] - exact[1])
        radius = torch.hypot(axis_ratio * THETA[0], THETA[1])
        first = 2 / (1 + axis_ratio) * axis_ratio**0.5 * (axis_ratio**0.5 / radius) ** (slope - 2)
        assert (error <= first * f**terms / (1 - f) + 1e-13).all()
        assert error.max() > 1e-13  # the bound is put to the test


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("axis_ratio", [0.05, 0.2, 0.5, 0.9])
def test_number_of_terms_is_the_smallest_that_is_enough(
    dtype: torch.dtype, axis_ratio: float
) -> None:
    terms = elliptical_power_law.num_terms(axis_ratio, dtype)
    f = (1 - axis_ratio) / (1 + axis_ratio)
    left_out = [f**n / (1 - f) for n in (terms, terms - 1)]
    assert left_out[0] <= torch.finfo(dtype).eps * (1 + 1e-9) < left_out[1]


@pytest.mark.parametrize("axis_ratio", [0.0, -0.5, 1.5, float("nan")])
def test_impossible_axis_ratio_is_refused(axis_ratio: float) -> None:
    with pytest.raises(ConfigurationError, match="smallest_axis_ratio"):
        elliptical_power_law.num_terms(axis_ratio, torch.float32)


def test_einstein_radius_is_the_circularised_one() -> None:
    """The flux of the deflection through the critical ellipse is that of a mean convergence 1."""
    angle = (torch.arange(2000, dtype=torch.float64) + 0.5) * torch.pi / 1000
    q, radius = 0.6, 1.1
    x, y = radius / q**0.5 * torch.cos(angle), radius * q**0.5 * torch.sin(angle)
    alpha = elliptical_power_law.deflection(x, y, einstein_radius=radius, axis_ratio=q, slope=2.3)
    normal = radius * q**0.5 * torch.cos(angle), radius / q**0.5 * torch.sin(angle)
    flux = (alpha[0] * normal[0] + alpha[1] * normal[1]).sum() * torch.pi / 1000
    assert flux.item() == pytest.approx(2 * torch.pi * radius**2, rel=1e-9)


def test_a_lens_of_no_mass_does_nothing() -> None:
    for slope in (1.5, 2.0, 2.5):
        alpha = elliptical_power_law.deflection(
            *THETA, einstein_radius=0.0, axis_ratio=0.8, slope=slope
        )
        assert all((component == 0).all() for component in alpha)
