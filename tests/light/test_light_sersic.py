"""The Sersic profile: its constant, its flux, its shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import gammaincinv

from darkarcs.lensing import image_grid
from darkarcs.light import sersic


def test_concentration_matches_the_incomplete_gamma_function() -> None:
    index = np.linspace(0.5, 10, 50)
    ours = sersic.concentration(torch.from_numpy(index)).numpy()
    error = np.abs(ours / gammaincinv(2 * index, 0.5) - 1)
    for above, limit in ((0.5, 4e-4), (1.0, 3e-5), (2.0, 2e-6)):
        assert error[index >= above].max() < limit


@pytest.mark.parametrize("index", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("axis_ratio", [0.5, 1.0])
def test_flux_and_half_light_radius(index: float, axis_ratio: float) -> None:
    x, y = image_grid(1000, 0.02, dtype=torch.float64)
    light = sersic.surface_brightness(
        x,
        y,
        half_light_radius=0.6,
        sersic_index=index,
        amplitude=3.0,
        axis_ratio=axis_ratio,
        position_angle=0.3,
    )
    total = sersic.total_flux(half_light_radius=0.6, sersic_index=index, amplitude=3.0).item()
    assert (light.sum() * 4e-4).item() == pytest.approx(total, rel=2e-3)
    # where it is brighter than the amplitude is the ellipse that holds half of the light
    half = light > 3.0
    assert (light[half].sum() * 4e-4).item() == pytest.approx(total / 2, rel=3e-3)
    assert half.sum().item() * 4e-4 == pytest.approx(torch.pi * 0.36, rel=2e-3)


def test_a_gaussian_is_a_sersic_profile_of_index_one_half() -> None:
    radius = torch.linspace(0, 2, 9, dtype=torch.float64)
    light = sersic.surface_brightness(radius, 0 * radius, half_light_radius=0.5, sersic_index=0.5)
    expected = 2 * torch.exp(-np.log(2) * (radius / 0.5) ** 2)
    torch.testing.assert_close(light, expected, rtol=2e-2, atol=1e-4)


def test_orientation_and_centre() -> None:
    shape = {"half_light_radius": 0.5, "sersic_index": 1.0, "axis_ratio": 0.4}
    offset = torch.tensor(0.5, dtype=torch.float64)
    along = sersic.surface_brightness(
        1.0 + 0 * offset,
        2.0 + offset,
        **shape,
        position_angle=torch.pi / 2,
        centre_x=1.0,
        centre_y=2.0,
    )
    across = sersic.surface_brightness(
        1.0 + offset,
        2.0 + 0 * offset,
        **shape,
        position_angle=torch.pi / 2,
        centre_x=1.0,
        centre_y=2.0,
    )
    assert along > 1 > across


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_centre_is_finite_with_finite_gradients(dtype: torch.dtype) -> None:
    x = torch.zeros(1, dtype=dtype, requires_grad=True)
    index = torch.tensor(4.0, dtype=dtype, requires_grad=True)
    light = sersic.surface_brightness(x, 0 * x, half_light_radius=0.5, sersic_index=index)
    assert light.item() == pytest.approx(np.exp(sersic.concentration(4.0).item()), rel=1e-3)
    for slope in torch.autograd.grad(light.sum(), [x, index]):
        assert torch.isfinite(slope).all()
