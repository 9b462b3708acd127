"""Ray shooting through several lens planes."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import (
    cosmology,
    image_grid,
    multi_plane_ray_shooting,
    plane_scalings,
    point_mass,
    ray_shooting,
    shear,
    sie,
    tnfw,
)

THETA = image_grid(8, 0.45, dtype=torch.float64)
MAIN = partial(sie.deflection, einstein_radius=1.1, axis_ratio=0.7, position_angle=0.3)
TIDE = partial(shear.deflection, shear_1=0.05, shear_2=-0.02)
HALO = partial(
    tnfw.deflection, scale_radius=0.3, scale_deflection=0.05, truncation_radius=1.0, centre_x=0.8
)


def scalings(*redshifts: float, z_source: float = 1.5) -> Tensor:
    return plane_scalings(*cosmology.plane_distances(list(redshifts), z_source))


def test_planes_that_coincide_are_one_plane() -> None:
    ours = multi_plane_ray_shooting(*THETA, [MAIN, TIDE, HALO], scalings(0.5, 0.5, 0.5))
    parts = [plane(*THETA) for plane in (MAIN, TIDE, HALO)]
    for each, expected in zip(ours, ray_shooting(*THETA, parts), strict=True):
        torch.testing.assert_close(each, expected, rtol=1e-12, atol=1e-12)


def test_planes_that_nearly_coincide_nearly_are_one_plane() -> None:
    ours = multi_plane_ray_shooting(*THETA, [MAIN, HALO], scalings(0.5, 0.5 + 1e-7))
    parts = [MAIN(*THETA), HALO(*THETA)]
    for each, expected in zip(ours, ray_shooting(*THETA, parts), strict=True):
        torch.testing.assert_close(each, expected, rtol=0, atol=1e-6)
        assert (each - expected).abs().max() > 1e-9


def test_two_planes_by_hand() -> None:
    to_planes, between = cosmology.plane_distances([0.3, 0.7], 1.5)
    beta = between[0, 1] * to_planes[2] / (to_planes[1] * between[0, 2])
    first = HALO(*THETA)
    second = MAIN(THETA[0] - beta * first[0], THETA[1] - beta * first[1])
    ours = multi_plane_ray_shooting(*THETA, [HALO, MAIN], plane_scalings(to_planes, between))
    for axis in (0, 1):
        torch.testing.assert_close(ours[axis], THETA[axis] - first[axis] - second[axis])
    assert 0 < beta < 1


def test_rays_are_straight_between_the_planes() -> None:
    """The recurrence in comoving coordinates, in which flat space has straight rays."""
    redshifts, z_source = [0.2, 0.5, 0.9], 1.5
    planes = [HALO, MAIN, TIDE]
    to_planes, between = cosmology.plane_distances(redshifts, z_source)
    far = torch.tensor(to_planes * (1 + torch.tensor([*redshifts, z_source]).numpy()))
    position, direction, last = [0 * THETA[0], 0 * THETA[1]], list(THETA), 0.0
    for plane, chi in zip(planes, far[:-1], strict=True):
        position = [p + d * (chi - last) for p, d in zip(position, direction, strict=True)]
        # D_s / D_is turns the reduced deflection into the one in space
        alpha = plane(position[0] / chi, position[1] / chi)
        factor = far[-1] / (far[-1] - chi)
        direction = [d - factor * a for d, a in zip(direction, alpha, strict=True)]
        last = chi
    expected = [
        (p + d * (far[-1] - last)) / far[-1] for p, d in zip(position, direction, strict=True)
    ]
    ours = multi_plane_ray_shooting(*THETA, planes, plane_scalings(to_planes, between))
    for each, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(each, other, rtol=1e-5, atol=1e-6)


def test_no_plane_moves_nothing() -> None:
    ours = multi_plane_ray_shooting(*THETA, [], plane_scalings([1.0], [[0.0]]))
    assert all(torch.equal(each, theta) for each, theta in zip(ours, THETA, strict=True))


def test_each_lens_of_a_batch_has_its_own_distances() -> None:
    both = [scalings(0.3, 0.7), scalings(0.4, 0.6)]
    batch = torch.stack(both, dim=-1)[..., None, None]
    ours = multi_plane_ray_shooting(*THETA, [HALO, MAIN], batch)
    for lens, one in enumerate(both):
        expected = multi_plane_ray_shooting(*THETA, [HALO, MAIN], one)
        for each, single in zip(ours, expected, strict=True):
            torch.testing.assert_close(each[lens], single)


def test_precision_is_that_of_the_rays_and_gradients_flow() -> None:
    theta = [axis.float() for axis in THETA]
    mass = torch.tensor(0.1, requires_grad=True)
    planes = [partial(point_mass.deflection, einstein_radius=mass, centre_x=0.5), MAIN]
    beta_x, beta_y = multi_plane_ray_shooting(*theta, planes, scalings(0.3, 0.7))
    assert beta_x.dtype == beta_y.dtype == torch.float32
    slope = torch.autograd.grad(beta_x.sum() + beta_y.sum(), mass)[0]
    assert torch.isfinite(slope)
    assert slope != 0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="2 planes need scalings"):
        multi_plane_ray_shooting(*THETA, [MAIN, TIDE], scalings(0.5))
    with pytest.raises(ConfigurationError, match="2 x 2"):
        plane_scalings([1.0, 2.0], [[0.0]])
    with pytest.raises(ConfigurationError, match="behind every lens plane"):
        plane_scalings([1.0, 2.0], [[0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ConfigurationError, match="positive"):
        plane_scalings([0.0, 2.0], [[0.0, 1.0], [0.0, 0.0]])
