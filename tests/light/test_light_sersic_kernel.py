"""The compiled Sersic profile: equal to the reference, and chosen only in its place."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import image_grid
from darkarcs.light.sersic import surface_brightness

#: Asked for, of the peak.
TOLERANCE = 1e-5


def profiles(batch: int = 4, seed: int = 0, **fixed: float) -> dict[str, Tensor]:
    """Random profiles, none of them centred on a sample."""
    ranges = {
        "half_light_radius": (0.05, 1.0),
        "sersic_index": (0.5, 6.0),
        "amplitude": (0.1, 30.0),
        "axis_ratio": (0.1, 1.0),
        "position_angle": (-7.0, 7.0),
        "centre_x": (0.01, 0.2),
        "centre_y": (0.01, 0.2),
    }
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        name: low + (high - low) * torch.rand(batch, 1, 1, generator=generator)
        for name, (low, high) in ranges.items()
    }
    return drawn | {name: torch.full((batch, 1, 1), value) for name, value in fixed.items()}


def assert_equal(beta: tuple[Tensor, Tensor], light: dict[str, Any]) -> None:
    found = surface_brightness(*beta, **light, method="kernel")
    double = {k: v.double() if isinstance(v, Tensor) else v for k, v in light.items()}
    exact = surface_brightness(beta[0].double(), beta[1].double(), **double)
    assert found.dtype == torch.float32
    assert found.shape == exact.shape
    assert ((found - exact).abs() <= TOLERANCE * exact.amax((-2, -1), keepdim=True)).all()


@pytest.mark.parametrize("sersic_index", [0.5, 0.7, 1.0, 2.0, 4.0, 6.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 1e3])
def test_equal_to_the_reference(sersic_index: float, scale: float) -> None:
    """Near the centre, around it, and where nothing is left."""
    beta_x, beta_y = image_grid(51, 0.1)
    assert_equal((scale * beta_x, scale * beta_y), profiles(sersic_index=sersic_index))


def test_at_the_centre() -> None:
    """Where plain torch keeps off zero, too."""
    beta, light = image_grid(5, 0.2), profiles(8, centre_x=0.0, centre_y=0.0)
    found = surface_brightness(*beta, **light, method="kernel")[:, 2, 2]
    expected = surface_brightness(*beta, **light, method="torch")[:, 2, 2]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_random_profiles_with_positions_of_their_own() -> None:
    beta_x, beta_y = image_grid(33, 0.05)
    shift = torch.linspace(-1, 1, 40)[:, None, None]
    assert_equal((beta_x + shift, beta_y - shift), profiles(40, seed=1))
    assert_equal((beta_x, beta_y), profiles(40, seed=2))


def test_shapes() -> None:
    beta = image_grid(9, 0.13)
    numbers: dict[str, Any] = {"half_light_radius": 0.3, "sersic_index": 1.2, "centre_x": 0.1}
    assert_equal(beta, numbers)
    assert_equal(beta, numbers | {"axis_ratio": torch.tensor(0.6)})
    assert_equal(beta, profiles() | {"amplitude": 2.0})
    assert_equal((beta[0].T, beta[1].T), profiles())  # not contiguous
    three = torch.full((9, 9), 0.3)  # a radius for each pixel
    found = surface_brightness(*beta, half_light_radius=three, sersic_index=1.2)
    assert found.shape == (9, 9)
    with pytest.raises(ConfigurationError, match="takes positions"):
        surface_brightness(*beta, half_light_radius=three, sersic_index=1.2, method="kernel")


def test_what_is_not_a_number_stays_one() -> None:
    beta, light = image_grid(11, 0.3), profiles(8)
    for number, name in enumerate(light, start=1):
        light[name][number] = torch.nan
    found = surface_brightness(*beta, **light, method="kernel")
    assert found[0].isfinite().all()
    assert found[1:].isnan().all()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_two_threads_give_the_same(batch: int) -> None:
    beta, light = image_grid(50, 0.08), profiles(batch)
    one = surface_brightness(*beta, **light, method="kernel")
    torch.set_num_threads(2)
    try:
        two = surface_brightness(*beta, **light, method="kernel")
    finally:
        torch.set_num_threads(1)
    assert torch.equal(one, two)


def test_derivatives_go_through_auto() -> None:
    beta, light = image_grid(10, 0.1), profiles()
    keys, tensors = tuple(light), tuple(light.values())

    def shine(method: Any, *given: Tensor) -> Tensor:
        parameters: Any = dict(zip(keys, given, strict=True))
        return surface_brightness(*beta, **parameters, method=method)

    auto, plain = partial(shine, "auto"), partial(shine, "torch")
    assert torch.equal(auto(*tensors), shine("kernel", *tensors))
    assert not torch.equal(auto(*tensors), plain(*tensors))  # else nothing was tested
    leaves = tuple(value.clone().requires_grad_() for value in tensors)
    for found, expected in zip(
        torch.autograd.grad(auto(*leaves).sum(), leaves),
        torch.autograd.grad(plain(*leaves).sum(), leaves),
        strict=True,
    ):
        assert torch.equal(found, expected)
        assert found.any()
    tangents = tuple(torch.ones_like(value) for value in tensors)
    ours, exact = torch.func.jvp(auto, tensors, tangents), torch.func.jvp(plain, tensors, tangents)
    assert torch.equal(ours[1], exact[1])
    assert ours[1].any()
