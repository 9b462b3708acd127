"""Cropping, padding and resizing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from darkarcs.data.resampling import border_median, centre_crop, resize, resize_weights


@pytest.fixture
def image() -> np.ndarray:
    rows, columns = np.mgrid[0:150, 0:150]
    noise = np.random.default_rng(0).normal(0, 0.1, (150, 150))
    return (np.sin(rows / 9) + np.cos(columns / 7) + noise).astype(np.float32)


@pytest.mark.parametrize("new", [32, 64, 96, 150, 224])
def test_resize_matches_pillow(image: np.ndarray, new: int) -> None:
    expected = np.asarray(Image.fromarray(image).resize((new, new), Image.Resampling.BILINEAR))
    weights = resize_weights(150, new)
    np.testing.assert_allclose(
        resize(image[None, None], weights, weights)[0, 0], expected, atol=1e-4
    )


def test_resize_with_box_matches_pillow(image: np.ndarray) -> None:
    start, extent, new = 10.25, 120.5, 64
    expected = Image.fromarray(image).resize(
        (new, new), Image.Resampling.BILINEAR, box=(start, start, start + extent, start + extent)
    )
    weights = resize_weights(150, new, start=start, extent=extent)
    ours = resize(image[None, None], weights, weights)[0, 0]
    # Pillow cuts the triangle at the box, we at the image: only the rim can differ
    np.testing.assert_allclose(ours[2:-2, 2:-2], np.asarray(expected)[2:-2, 2:-2], atol=1e-4)


def test_resize_keeps_constants_exactly_and_axes_apart() -> None:
    images = np.full((3, 2, 37, 51), np.float32(np.pi), dtype=np.float32)
    resized = resize(images, resize_weights(37, 20), resize_weights(51, 64))
    assert resized.shape == (3, 2, 20, 64)
    assert (resized == np.float32(np.pi)).all()


def test_resize_is_the_identity_at_the_same_size() -> None:
    assert (resize_weights(33, 33) == np.eye(33)).all()


def test_resize_keeps_the_centre_of_light() -> None:
    rows, columns = np.mgrid[0:60, 0:60]
    blob = np.exp(-((rows - 31.0) ** 2 + (columns - 24.0) ** 2) / 50).astype(np.float32)
    weights = resize_weights(60, 40)
    small = resize(blob[None, None], weights, weights)[0, 0]
    centre = [(small * (np.mgrid[0:40, 0:40][axis] + 0.5)).sum() / small.sum() for axis in (0, 1)]
    np.testing.assert_allclose(np.array(centre) * 1.5, [31.5, 24.5], atol=0.01)


def test_crop_and_pad_are_inverse_about_the_centre() -> None:
    images = np.random.default_rng(1).random((2, 1, 8, 9)).astype(np.float32)
    padded = centre_crop(images, 14, 15)
    assert (centre_crop(padded, 8, 9) == images).all()
    assert (padded[:, :, 0, 0] == border_median(images)[..., 0, 0]).all()


def test_crop_can_pad_one_axis_and_cut_the_other() -> None:
    images = np.arange(24, dtype=np.float32).reshape(1, 1, 4, 6)
    changed = centre_crop(images, 6, 4)
    assert changed.shape == (1, 1, 6, 4)
    assert (changed[..., 1:5, :] == images[..., 1:5]).all()


def test_border_median_ignores_the_inside() -> None:
    images = np.full((1, 2, 6, 6), 2.0, dtype=np.float32)
    images[:, :, 1:-1, 1:-1] = 100.0
    images[0, 1, 0, 0] = 1e6
    assert (border_median(images) == 2.0).all()
