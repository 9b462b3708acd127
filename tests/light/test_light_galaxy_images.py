"""The surface brightness of galaxy images: flux, values, orientation, derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.func import jacfwd, jvp

from darkarcs.lensing import image_grid
from darkarcs.light import galaxy_images

SIZE = 24
SCALE = 0.05


def _galaxies(num: int = 3, size: int = SIZE, edge: int = 0) -> Tensor:
    """Random pixels, so that every tap and every transposition shows."""
    pixels = np.random.default_rng(5).random((num, size, size)) ** 4
    if edge:
        pixels[:, :edge] = pixels[:, -edge:] = 0
        pixels[:, :, :edge] = pixels[:, :, -edge:] = 0
    return torch.from_numpy(pixels / pixels.sum((1, 2), keepdims=True))


def _batch(value: list[float]) -> Tensor:
    return torch.tensor(value, dtype=torch.float64).view(-1, 1, 1)


@pytest.mark.parametrize("order", [1, 3])
def test_flux_is_conserved_under_rotation_scaling_and_flip(order: Any) -> None:
    size_scale, rotation = _batch([1.0, 0.5, 1.7]), _batch([0.0, 0.7, -2.0])
    side, step = 440, 0.0063  # fine and incommensurate with the pixels
    x, y = image_grid(side, step, dtype=torch.float64)
    light = galaxy_images.surface_brightness(
        x.expand(3, -1, -1),
        y.expand(3, -1, -1),
        images=_galaxies(),
        index=torch.tensor([2, 0, 1]),
        pixel_scale=SCALE,
        flux=_batch([1.0, 20.0, 3.0]),
        centre_x=0.02,
        centre_y=_batch([0.0, -0.1, 0.05]),
        rotation=rotation,
        size_scale=size_scale,
        flip=torch.tensor([True, False, True]).view(-1, 1, 1),
        order=order,
    )
    integral = light.sum((1, 2)) * step**2
    torch.testing.assert_close(integral, _batch([1.0, 20.0, 3.0]).view(-1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("order", [1, 3])
def test_equals_scipy_of_the_same_order(order: Any) -> None:
    images = _galaxies()
    rng = np.random.default_rng(1)
    beta = rng.uniform(-0.8, 0.8, (2, 3, 40, 40))  # some lie outside
    light = galaxy_images.surface_brightness(
        *torch.from_numpy(beta),
        images=images,
        index=torch.tensor([1, 1, 0]),
        pixel_scale=SCALE,
        order=order,
    )
    column, row = beta / SCALE + (SIZE - 1) / 2
    for number, galaxy in enumerate([1, 1, 0]):
        expected = ndimage.map_coordinates(
            images[galaxy].numpy(),
            [row[number], column[number]],
            order=order,
            mode="grid-constant",
            prefilter=False,
        )
        assert np.any(expected == 0)
        np.testing.assert_allclose(light[number].numpy(), expected / SCALE**2, atol=1e-12)


def _show(images: Tensor, **options: Any) -> Tensor:
    """Look at the first galaxy on its own pixels."""
    x, y = image_grid(images.shape[-1], SCALE, dtype=torch.float64)
    return galaxy_images.surface_brightness(
        x[None], y[None], images=images, index=torch.tensor([0]), pixel_scale=SCALE, **options
    )[0]


@pytest.mark.parametrize("order", [1, 3])
def test_a_quarter_turn_is_that_of_the_array(order: Any) -> None:
    images = _galaxies(1)
    turned = _show(images, rotation=torch.pi / 2, order=order)
    # Rows grow upwards here: from x to y is the way from columns to rows, numpy's axes (1, 0).
    expected = np.rot90(_show(images, order=order).numpy(), axes=(1, 0))
    np.testing.assert_allclose(turned.numpy(), expected, atol=1e-10)
    if order == 1:
        np.testing.assert_allclose(
            turned.numpy() * SCALE**2, np.rot90(images[0].numpy(), axes=(1, 0)), atol=1e-12
        )


def test_rotation_goes_from_x_towards_y_and_flip_comes_first() -> None:
    images = torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    images[0, SIZE // 2, SIZE - 4] = 1.0  # a spot on the positive x axis
    for flip, where in ((False, "upper"), (True, "lower")):
        light = _show(images, rotation=torch.pi / 2, flip=flip)
        row = int(light.sum(1).argmax())
        assert (row > SIZE // 2) == (where == "upper")


def test_centre_moves_and_size_shrinks_about_it() -> None:
    images = _galaxies(1, edge=6)
    moved = _show(images, centre_x=3 * SCALE, centre_y=-2 * SCALE)
    expected = torch.roll(_show(images), (-2, 3), dims=(0, 1))
    torch.testing.assert_close(moved, expected)
    spot = torch.zeros(1, 1, 1, dtype=torch.float64)
    at = {"images": images, "index": torch.tensor([0]), "pixel_scale": SCALE}
    full = galaxy_images.surface_brightness(spot + 0.1, spot + 0.2, **at)
    half = galaxy_images.surface_brightness(
        1 + spot + 0.05, spot + 0.1, centre_x=1.0, size_scale=0.5, **at
    )
    torch.testing.assert_close(half, 4 * full)


def test_light_is_never_negative_and_cubic_light_has_no_creases() -> None:
    images = torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    images[0, SIZE // 2, SIZE // 2] = 1.0
    x = torch.linspace(-0.3, 0.3, 6001, dtype=torch.float64).view(1, 1, -1)
    at = {"images": images, "index": torch.tensor([0]), "pixel_scale": SCALE}
    jumps = {}
    for order in (1, 3):
        light = galaxy_images.surface_brightness(x, 0 * x, order=order, **at).flatten()
        assert light.min() >= 0
        slope = light.diff() / 1e-4
        jumps[order] = float(slope.diff().abs().max() / slope.abs().max())
    assert jumps[1] > 0.9
    assert jumps[3] < 0.01


def _inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    return [
        draw(2, 2, 3) - 0.5,
        draw(2, 2, 3) - 0.5,
        1 + draw(2, 1, 1),
        0.1 * draw(2, 1, 1),
        0.1 * draw(2, 1, 1),
        6 * draw(2, 1, 1),
        0.5 + draw(2, 1, 1),
    ]


def _of_all(*values: Tensor) -> Tensor:
    beta_x, beta_y, flux, centre_x, centre_y, rotation, size_scale = values
    return galaxy_images.surface_brightness(
        beta_x,
        beta_y,
        images=_galaxies(),
        index=torch.tensor([2, 0]),
        pixel_scale=SCALE,
        flux=flux,
        centre_x=centre_x,
        centre_y=centre_y,
        rotation=rotation,
        size_scale=size_scale,
        flip=torch.tensor([True, False]).view(2, 1, 1),
    )


def test_gradients_backwards_forwards_and_of_second_order() -> None:
    inputs = [value.requires_grad_() for value in _inputs()]
    assert torch.autograd.gradcheck(_of_all, inputs, check_forward_ad=True, fast_mode=False)
    assert torch.autograd.gradgradcheck(_of_all, inputs, fast_mode=True)


def test_forward_derivative_against_differences() -> None:
    inputs = tuple(_inputs())
    generator = torch.Generator().manual_seed(4)
    tangents = tuple(
        torch.randn(value.shape, generator=generator, dtype=torch.float64) for value in inputs
    )
    _, slope = jvp(_of_all, inputs, tangents)
    step = 1e-6
    ahead, behind = (
        _of_all(*(v + sign * step * t for v, t in zip(inputs, tangents, strict=True)))
        for sign in (1, -1)
    )
    torch.testing.assert_close(slope, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-4)
    assert slope.abs().max() > 1
    # the vectorized Jacobian, which the information limits use
    jacobian = jacfwd(lambda turn: _of_all(*inputs[:5], turn, inputs[6]))(inputs[5])
    assert jacobian.shape == (2, 2, 3, 2, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rays_at_infinity_are_dark_and_a_bad_ray_stays_bad(dtype: torch.dtype) -> None:
    x = torch.tensor([[[torch.inf, -torch.inf, 1e30, torch.nan, 0.0]]], dtype=dtype)
    light = galaxy_images.surface_brightness(
        x,
        torch.zeros_like(x),
        images=_galaxies().float(),
        index=torch.tensor([0]),
        pixel_scale=SCALE,
    )
    assert light.dtype == dtype
    assert light.flatten()[:3].tolist() == [0, 0, 0]
    assert light[0, 0, 3].isnan()
    assert light[0, 0, 4] > 0


def test_single_precision_agrees_with_double() -> None:
    inputs = _inputs()
    double = _of_all(*inputs)
    single = _of_all(*(value.float() for value in inputs))
    assert (single - double).abs().max() < 1e-4 * double.abs().max()


def test_an_index_out_of_range_is_refused() -> None:
    at = torch.zeros(1, 1, 1)
    with pytest.raises(IndexError):
        galaxy_images.surface_brightness(
            at, at, images=_galaxies(), index=torch.tensor([3]), pixel_scale=SCALE
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_agrees() -> None:
    inputs = _inputs()
    options = {"images": _galaxies(), "index": torch.tensor([2, 0])}
    here = galaxy_images.surface_brightness(
        *inputs[:2], **options, pixel_scale=SCALE, rotation=inputs[5]
    )
    there = galaxy_images.surface_brightness(
        *(value.cuda() for value in inputs[:2]),
        **{name: value.cuda() for name, value in options.items()},
        pixel_scale=SCALE,
        rotation=inputs[5].cuda(),
    )
    torch.testing.assert_close(there.cpu(), here)
