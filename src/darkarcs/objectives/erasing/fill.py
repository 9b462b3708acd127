"""What takes the place of erased pixels.

Zeros would be a signature: a network learns that a black square means "erased". Noise with the
statistics of the image's own background looks like sky without a source.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def patch_pixels(erased: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Blow a mask of patches up to pixels.

    Parameters
    ----------
    erased : Tensor, shape (B, rows * columns), bool
        Row by row, as the patches lie in the image.
    grid : tuple of two int
        Rows and columns of patches.
    patch_size : int, pixels
        Side of a patch.

    Returns
    -------
    Tensor, shape (B, 1, rows * patch_size, columns * patch_size), bool
        True where a pixel is erased.

    Examples
    --------
    >>> patch_pixels(torch.tensor([[True, False]]), (1, 2), 2).int().tolist()
    [[[[1, 1, 0, 0], [1, 1, 0, 0]]]]
    """
    pixels = erased.view(-1, 1, *grid)  # (B, 1, rows, columns)
    return pixels.repeat_interleave(patch_size, dim=2).repeat_interleave(patch_size, dim=3)


def border_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Measure the background of each image in a frame along its border.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Preprocessed images.

    Returns
    -------
    mean, rms : Tensor, shape (B, C, 1, 1)
        Of the frame's pixels, whose width is a sixteenth of the shorter side; the rms is
        about the mean.

    Examples
    --------
    >>> images = torch.ones(1, 1, 16, 16)
    >>> images[:, :, 4:12, 4:12] = 50.0
    >>> [float(value) for value in border_statistics(images)]
    [1.0, 0.0]
    """
    height, width = images.shape[-2:]
    frame = max(1, min(height, width) // 16)
    inner = torch.zeros(height, width, dtype=torch.bool, device=images.device)
    inner[frame : height - frame, frame : width - frame] = True
    pixels = images.float()[:, :, ~inner]  # (B, C, frame pixels)
    mean = pixels.mean(dim=-1)[:, :, None, None]
    rms = pixels.std(dim=-1, correction=0)[:, :, None, None]
    return mean, rms


def fill_erased(
    images: Tensor,
    pixels: Tensor,
    fill: Literal["background", "mean"],
    generator: torch.Generator,
) -> Tensor:
    """Replace erased pixels.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Preprocessed images.
    pixels : Tensor, shape (B, 1, H, W), bool
        True where a pixel is erased.
    fill : {"background", "mean"}
        Gaussian noise with the mean and rms of that image's border, or the mean of what is
        visible of that image.
    generator : torch.Generator
        The step's stream.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        New images. Nothing of the erased pixels is left in them, except that those at the
        border have a part in the statistics of the background.

    Examples
    --------
    >>> images = torch.tensor([[[[1.0, 3.0]]]])
    >>> erased = torch.tensor([[[[True, False]]]])
    >>> fill_erased(images, erased, "mean", torch.Generator()).tolist()
    [[[[3.0, 3.0]]]]
    """
    if fill == "mean":
        visible = (~pixels).sum(dim=(2, 3), keepdim=True)  # (B, 1, 1, 1)
        total = images.masked_fill(pixels, 0.0).sum(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return torch.where(pixels, total / visible.clamp(min=1), images)
    mean, rms = border_statistics(images)
    noise = torch.randn(images.shape, generator=generator, device=generator.device)
    background = mean + rms * noise.to(images.device)
    return torch.where(pixels, background.to(images.dtype), images)
