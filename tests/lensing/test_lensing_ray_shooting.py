"""The image grid and the lens equation."""

from __future__ import annotations

import torch

from darkarcs.lensing import image_grid, ray_shooting, shear, sie


def test_grid_is_centred_with_x_along_columns_and_y_along_rows() -> None:
    theta_x, theta_y = image_grid(5, 0.2, dtype=torch.float64)
    assert theta_x.dtype == torch.float64
    assert theta_x[2, 2] == theta_y[2, 2] == 0
    torch.testing.assert_close(theta_x, theta_y.T)
    torch.testing.assert_close(theta_x[:, 1:] - theta_x[:, :-1], torch.full((5, 4), 0.2).double())
    assert theta_y[-1, 0] > theta_y[0, 0]


def test_rays_are_bent_by_the_sum_of_the_parts() -> None:
    theta = image_grid(8, 0.4, dtype=torch.float64)
    parts = [
        sie.deflection(*theta, einstein_radius=1.0, axis_ratio=0.8),
        shear.deflection(*theta, shear_1=0.1, shear_2=0.0),
    ]
    beta = ray_shooting(*theta, parts)
    for axis in (0, 1):
        torch.testing.assert_close(beta[axis] + parts[0][axis] + parts[1][axis], theta[axis])


def test_the_ring_of_a_round_lens_comes_from_one_point() -> None:
    angle = torch.linspace(0, 6, 20, dtype=torch.float64)
    ring = 1.2 * torch.cos(angle), 1.2 * torch.sin(angle)
    beta = ray_shooting(*ring, [sie.deflection(*ring, einstein_radius=1.2, axis_ratio=1.0)])
    assert torch.hypot(*beta).max() < 1e-12


def test_without_a_lens_nothing_moves() -> None:
    theta = image_grid(4, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(ray_shooting(*theta, []), theta, strict=True))
