"""The ring keeps its size when substructure takes the place of smooth mass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import image_grid, point_mass, sie
from darkarcs.seeding import numpy_generator
from darkarcs.substructure import (
    compensating_sheet,
    einstein_radius_of_mass,
    enclosed,
    smooth_einstein_radius,
)


@pytest.mark.parametrize("axis_ratio", [1.0, 0.6])
def test_point_masses_and_smooth_lens_fill_the_critical_ellipse(axis_ratio: float) -> None:
    random = numpy_generator(1, "masses")
    angle = 0.7
    x, y = random.uniform(-2, 2, (2, 20))
    squared = random.uniform(0, 0.02, 20)  # Einstein radii, squared
    inside = enclosed(
        squared, x, y, einstein_radius=1.2, axis_ratio=axis_ratio, position_angle=angle
    )
    assert 0 < inside < squared.sum()
    smooth = smooth_einstein_radius(1.2, inside)
    theta_x, theta_y = image_grid(800, 0.005, dtype=torch.float64)
    shape = {"axis_ratio": axis_ratio, "position_angle": angle}
    full = sie.convergence(theta_x, theta_y, einstein_radius=1.2, **shape)
    left = sie.convergence(theta_x, theta_y, einstein_radius=float(smooth), **shape)
    ellipse = full >= 0.5  # inside the critical curve of the full lens
    mass = (left[ellipse].sum() * 0.005**2).item() / np.pi + inside
    assert mass == pytest.approx(1.2**2, rel=4e-3)


def test_the_ring_of_a_round_lens_stays() -> None:
    smooth = smooth_einstein_radius(1.0, 0.05)
    ring = torch.tensor(1.0, dtype=torch.float64)
    lens, _ = sie.deflection(ring, 0 * ring, einstein_radius=float(smooth), axis_ratio=1.0)
    lump, _ = point_mass.deflection(ring, 0 * ring, einstein_radius=0.05**0.5)
    assert (lens + lump).item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("slope", [1.8, 2.0, 2.2])
def test_other_slopes(slope: float) -> None:
    smooth = float(smooth_einstein_radius(1.3, 0.1, slope))
    # the mass of a power law inside a radius R is t^(slope - 1) R^(3 - slope)
    assert smooth ** (slope - 1) * 1.3 ** (3 - slope) + 0.1 == pytest.approx(1.69)


def test_batches_units_and_bad_masses() -> None:
    squared = einstein_radius_of_mass([1e9, 4e9], 2e10) ** 2
    np.testing.assert_allclose(squared, np.array([1e9, 4e9]) / np.pi / 2e10)
    x = np.array([[0.5, 2.0], [0.1, 0.2]])
    inside = enclosed(np.ones((2, 2)), x, 0 * x, einstein_radius=np.array([1.0, 1.0]))
    assert inside.tolist() == [1.0, 2.0]
    with pytest.raises(ConfigurationError, match="outweighs the lens"):
        smooth_einstein_radius([1.0, 1.0], [0.1, 1.0])
    sheet = compensating_sheet(1e9, np.pi * 9, 2e10)
    assert sheet * np.pi * 9 * 2e10 == pytest.approx(-1e9)
