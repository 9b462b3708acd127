"""What erased pixels become."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from darkarcs.objectives.erasing.fill import border_statistics, fill_erased, patch_pixels
from darkarcs.seeding import torch_generator


def skies(size: int = 64) -> Tensor:
    """Three images, two channels, of sky at another level each, with a bright middle."""
    generator = torch_generator(5)
    levels = torch.tensor([0.0, 2.0, -1.0])[:, None, None, None]
    widths = torch.tensor([0.1, 1.0, 0.5])[:, None, None, None]
    images = levels + widths * torch.randn(3, 2, size, size, generator=generator)
    images[:, :, size // 4 : -size // 4, size // 4 : -size // 4] += 50.0
    return images


def middle(size: int = 64) -> Tensor:
    mask = torch.zeros(3, 1, size, size, dtype=torch.bool)
    mask[:, :, size // 4 : -size // 4, size // 4 : -size // 4] = True
    return mask


def test_mask_of_patches_covers_the_pixels_that_the_model_cuts() -> None:
    erased = torch.zeros(1, 6, dtype=torch.bool)
    erased[0, 4] = True  # row 1, column 1 of 2 x 3
    pixels = patch_pixels(erased, (2, 3), 4)
    expected = torch.zeros(1, 1, 8, 12, dtype=torch.bool)
    expected[:, :, 4:8, 4:8] = True
    assert torch.equal(pixels, expected)


def test_background_has_the_statistics_of_each_images_own_border() -> None:
    filled = fill_erased(skies(), middle(), "background", torch_generator(0))
    inner = filled[:, :, 16:48, 16:48].flatten(2)  # 1024 pixels of each channel
    rms = torch.tensor([0.1, 1.0, 0.5])[:, None]
    levels = torch.tensor([0.0, 2.0, -1.0])[:, None]
    assert bool(((inner.mean(-1) - levels).abs() < 5 * rms / 960**0.5).all())
    assert bool((inner.std(-1) / rms - 1).abs().lt(0.1).all())
    mean, measured = border_statistics(skies())
    assert torch.allclose(mean[:, :, 0, 0], levels.expand(3, 2), atol=0.15)
    assert torch.allclose(measured[:, :, 0, 0] / rms, torch.ones(3, 2), atol=0.1)


def test_mean_is_that_of_what_is_visible() -> None:
    filled = fill_erased(skies(), middle(), "mean", torch_generator(0))
    visible = skies().masked_select(~middle()).view(3, 2, -1).mean(-1)
    assert torch.allclose(filled[:, :, 20, 20], visible, atol=1e-4)


@pytest.mark.parametrize("fill", ["background", "mean"])
def test_visible_pixels_stay_and_erased_ones_leave_no_trace(fill: str) -> None:
    images, other = skies(), skies()
    other[:, :, 16:48, 16:48] = 7.0
    first, second = (
        fill_erased(x, middle(), fill, torch_generator(0))  # type: ignore[arg-type]
        for x in (images, other)
    )
    assert torch.equal(first, second)
    assert torch.equal(first.masked_select(~middle()), images.masked_select(~middle()))
    assert torch.equal(images, skies())
