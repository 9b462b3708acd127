"""The compiled isothermal ellipsoid: equal to the reference, and chosen only in its place."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import image_grid, ray_shooting, sie

#: Asked for, of the Einstein radius.
TOLERANCE = 1e-5

#: The two sides of the series' limit, at which f^2 is 0.02, among them.
AXIS_RATIOS = (0.1, 0.15, 0.3, 0.5, 0.8, 0.95, 0.98994, 0.98996, 0.995, 0.9999, 1 - 1e-7, 1.0)


def lenses(batch: int = 4, seed: int = 0, **fixed: float) -> dict[str, Tensor]:
    """Random lenses; the first is centred on a pixel of an odd image."""
    ranges = {
        "einstein_radius": (0.3, 2.0),
        "axis_ratio": (0.1, 1.0),
        "position_angle": (-7.0, 7.0),
        "centre_x": (-0.3, 0.3),
        "centre_y": (-0.3, 0.3),
    }
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        name: low + (high - low) * torch.rand(batch, 1, 1, generator=generator)
        for name, (low, high) in ranges.items()
    }
    drawn["centre_x"][0] = drawn["centre_y"][0] = 0
    return drawn | {name: torch.full((batch, 1, 1), value) for name, value in fixed.items()}


def assert_equal(theta: tuple[Tensor, Tensor], lens: dict[str, Any]) -> None:
    found = sie.deflection(*theta, **lens, method="kernel")
    double = {k: v.double() if isinstance(v, Tensor) else v for k, v in lens.items()}
    exact = sie.deflection(theta[0].double(), theta[1].double(), **double)
    for ours, reference in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        assert ours.shape == reference.shape
        assert ((ours - reference).abs() <= TOLERANCE * lens["einstein_radius"]).all()


@pytest.mark.parametrize("axis_ratio", AXIS_RATIOS)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_equal_to_the_reference(axis_ratio: float, scale: float) -> None:
    """At the centre, around the lens and far away."""
    theta_x, theta_y = image_grid(51, 0.1)
    assert_equal((scale * theta_x, scale * theta_y), lenses(axis_ratio=axis_ratio))


def test_on_the_axes_and_at_the_centre() -> None:
    theta_x, theta_y = image_grid(51, 0.1)
    for angle in (0.0, torch.pi / 2, -torch.pi):
        lens = lenses(position_angle=angle, centre_x=0.0, centre_y=0.0)
        assert_equal((theta_x, theta_y), lens)
        alpha_x, alpha_y = sie.deflection(theta_x, theta_y, **lens, method="kernel")
        for alpha in (alpha_x, alpha_y):
            assert (alpha[:, 25, 25].abs() < 1e-6).all()


def test_random_lenses_with_positions_of_their_own() -> None:
    theta_x, theta_y = image_grid(33, 0.13)
    shift = torch.linspace(-1, 1, 40)[:, None, None]
    assert_equal((theta_x + shift, theta_y - shift), lenses(40, seed=1))
    assert_equal((theta_x, theta_y), lenses(40, seed=2))


def test_shapes() -> None:
    """Numbers, and what torch would broadcast alike."""
    theta = image_grid(9, 0.4)
    numbers: dict[str, Any] = {"einstein_radius": 1.2, "axis_ratio": 0.7, "centre_x": 0.1}
    assert_equal(theta, numbers)
    assert_equal(theta, numbers | {"axis_ratio": torch.tensor(0.6)})
    assert_equal(theta, {name: value[:1] for name, value in lenses().items()})
    assert_equal(theta, lenses() | {"einstein_radius": 0.9, "position_angle": 0.3})
    assert_equal((theta[0].T, theta[1].T), lenses())  # not contiguous
    assert_equal((theta[0][None], theta[1][None]), numbers)


@pytest.mark.parametrize(
    ("theta", "lens"),
    [
        (torch.zeros(5), {}),
        (torch.zeros(2, 3, 4, 4), {}),
        (torch.zeros(4, 4), {"axis_ratio": torch.full((4, 4), 0.5)}),
        (torch.zeros(2, 4, 4), {"axis_ratio": torch.full((2, 4, 4), 0.5)}),
        (torch.zeros(0, 4, 4), {}),
    ],
)
def test_other_shapes_go_through_torch(theta: Tensor, lens: dict[str, Any]) -> None:
    values: dict[str, Any] = {"einstein_radius": 1.0, "axis_ratio": 0.7} | lens
    found = sie.deflection(theta, theta, **values)
    expected = sie.deflection(theta, theta, **values, method="torch")
    assert torch.equal(found[0], expected[0])
    with pytest.raises(ConfigurationError, match="takes positions"):
        sie.deflection(theta, theta, **values, method="kernel")


def test_what_is_not_a_number_stays_one() -> None:
    theta, lens = image_grid(11, 0.3), lenses(6)
    for number, name in enumerate(lens, start=1):
        lens[name][number] = torch.nan
    for alpha in sie.deflection(*theta, **lens, method="kernel"):
        assert alpha[0].isfinite().all()
        assert alpha[1:].isnan().all()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_two_threads_give_the_same(batch: int) -> None:
    theta, lens = image_grid(50, 0.08), lenses(batch)
    one = torch.stack(sie.deflection(*theta, **lens, method="kernel"))
    torch.set_num_threads(2)
    try:
        two = torch.stack(sie.deflection(*theta, **lens, method="kernel"))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(one, two)


def test_auto_takes_the_kernel_only_without_derivatives() -> None:
    theta, lens = image_grid(20, 0.2), lenses()
    found = {
        method: torch.stack(sie.deflection(*theta, **lens, method=method))
        for method in ("auto", "torch", "kernel")
    }
    assert torch.equal(found["auto"], found["kernel"])
    assert not torch.equal(found["auto"], found["torch"])  # else nothing was tested
    lens["axis_ratio"].requires_grad_()
    assert torch.equal(torch.stack(sie.deflection(*theta, **lens)), found["torch"])
    with torch.no_grad():
        assert torch.equal(torch.stack(sie.deflection(*theta, **lens)), found["kernel"])
    with pytest.raises(ConfigurationError, match="gradient"):
        sie.deflection(*theta, **lens, method="kernel")


def test_derivatives_go_through_auto() -> None:
    theta, lens = image_grid(10, 0.3), lenses()
    keys, tensors = tuple(lens), tuple(lens.values())

    def bend(method: Any, *given: Tensor) -> Tensor:
        parameters: Any = dict(zip(keys, given, strict=True))
        return torch.stack(
            ray_shooting(*theta, 2 * [sie.deflection(*theta, **parameters, method=method)])
        )

    auto, plain = partial(bend, "auto"), partial(bend, "torch")
    leaves = tuple(value.clone().requires_grad_() for value in tensors)
    for found, expected in zip(
        torch.autograd.grad(auto(*leaves).square().sum(), leaves),
        torch.autograd.grad(plain(*leaves).square().sum(), leaves),
        strict=True,
    ):
        assert torch.equal(found, expected)
        assert found.any()
    tangents = tuple(torch.ones_like(value) for value in tensors)
    ours, exact = torch.func.jvp(auto, tensors, tangents), torch.func.jvp(plain, tensors, tangents)
    assert torch.equal(ours[1], exact[1])
    assert ours[1].any()
    rows = torch.func.vmap(auto)(*(value[:, :, :, None] for value in tensors))
    torch.testing.assert_close(rows[:, :, 0].transpose(0, 1), plain(*tensors))
