"""The compiled multipoles: equal to the reference, and chosen only in its place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import image_grid, multipole

#: Of the amplitude; the float64 reference is exact.
TOLERANCE = 3e-6


def lenses(batch: int = 4) -> dict[str, Tensor]:
    """Random multipoles; the first is centred on a pixel of an odd image."""
    generator = torch.Generator().manual_seed(batch)
    drawn = {
        name: low + (high - low) * torch.rand(batch, 1, 1, generator=generator)
        for name, (low, high) in {
            "amplitude": (-0.1, 0.1),
            "position_angle": (-7.0, 7.0),
            "centre_x": (-0.3, 0.3),
            "centre_y": (-0.3, 0.3),
        }.items()
    }
    drawn["centre_x"][0] = drawn["centre_y"][0] = 0
    return drawn


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_equal_to_the_reference(order: int, scale: float) -> None:
    """At the centre, around the lens and far away."""
    theta_x, theta_y = (scale * theta for theta in image_grid(51, 0.1))
    lens = lenses()
    found = multipole.deflection(theta_x, theta_y, order=order, **lens, method="kernel")
    double = {name: value.double() for name, value in lens.items()}
    exact = multipole.deflection(theta_x.double(), theta_y.double(), order=order, **double)
    for ours, reference in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        assert ours.shape == reference.shape
        assert ((ours - reference).abs() <= TOLERANCE * lens["amplitude"].abs()).all()


def test_the_centre_is_not_deflected() -> None:
    theta = image_grid(51, 0.1)
    for alpha in multipole.deflection(*theta, order=3, **lenses(), method="kernel"):
        assert alpha[0, 25, 25] == 0


def test_taken_by_itself_where_it_does_the_same() -> None:
    theta, lens = image_grid(20, 0.1), lenses()
    chosen = multipole.deflection(*theta, order=4, **lens)
    kernel = multipole.deflection(*theta, order=4, **lens, method="kernel")
    assert all(torch.equal(one, other) for one, other in zip(chosen, kernel, strict=True))


def test_left_to_torch_with_derivatives_and_other_orders() -> None:
    theta, lens = image_grid(20, 0.1), lenses()
    lens["amplitude"].requires_grad_(True)
    alpha_x, _ = multipole.deflection(*theta, order=4, **lens)
    assert alpha_x.requires_grad
    with pytest.raises(ConfigurationError, match="orders 3 and 4, not 2"):
        multipole.deflection(*theta, order=2, amplitude=0.1, method="kernel")
    same = multipole.deflection(*theta, order=2, amplitude=0.1, method="torch")
    assert torch.equal(multipole.deflection(*theta, order=2, amplitude=0.1)[0], same[0])


def test_threads_do_not_matter() -> None:
    theta, lens = image_grid(31, 0.1), lenses(5)
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(multipole.deflection(*theta, order=3, **lens, method="kernel")[0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)
