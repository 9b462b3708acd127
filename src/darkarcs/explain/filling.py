"""What is put where something is erased: an image's own sky, or its mean.

Zeros would be a hole that no telescope sees, and a model would answer to the hole. The sky of
the same image, noise included, says least: there is nothing there.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from darkarcs.errors import ModelError
from darkarcs.seeding import torch_generator

#: How erased pixels are filled: the image's background level with its noise, that level alone,
#: or the mean of the image.
Fill = Literal["background", "level", "mean"]

#: Share of a side that counts as border, where there is sky rather than lens.
BORDER_SHARE = 1 / 16
#: Share of a Gaussian below one standard deviation under its middle.
LOWER_QUANTILE = 0.1587


def background(images: Tensor) -> tuple[Tensor, Tensor]:
    """Measure level and noise of each image's sky on its border.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Any units.

    Returns
    -------
    level : Tensor, shape (B, C, 1, 1)
        Median of the border.
    noise : Tensor, shape (B, C, 1, 1)
        Standard deviation of the border, from its lower half alone: light only ever adds.

    Examples
    --------
    >>> level, noise = background(torch.full((1, 1, 16, 16), 3.0))
    >>> level.item(), noise.item()
    (3.0, 0.0)
    """
    height, width = images.shape[-2:]
    border = torch.ones(height, width, dtype=torch.bool, device=images.device)
    rows, columns = (max(1, round(BORDER_SHARE * length)) for length in (height, width))
    border[rows : height - rows, columns : width - columns] = False
    pixels = images[..., border].sort(dim=-1).values  # (B, C, border pixels)
    count = pixels.shape[-1]
    level = pixels[..., (count - 1) // 2, None]
    below = pixels[..., round(LOWER_QUANTILE * (count - 1)), None]
    return level[..., None], (level - below)[..., None]


def filling(images: Tensor, fill: Fill = "background", seed: int = 0) -> Tensor:
    """Make for each image what its erased pixels are replaced by.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Any units.
    fill : {"background", "level", "mean"}, default "background"
        See `Fill`.
    seed : int, default 0
        Of the noise. All images get the same draw, each in its own strength, so that an image's
        filling does not depend on the images beside it.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        Of the images' dtype and device.

    Raises
    ------
    ModelError
        If there is no such filling.

    Examples
    --------
    >>> filling(torch.full((1, 1, 4, 4), 3.0), "background").unique().tolist()
    [3.0]
    """
    if fill not in get_args(Fill):
        raise ModelError(f"fill = '{fill}': must be one of {', '.join(get_args(Fill))}")
    if fill == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    level, noise = background(images)
    if fill == "level":
        return level.expand_as(images)
    generator = torch_generator(seed, "explain", "filling")
    drawn = torch.randn(images.shape[1:], generator=generator).to(images)
    return level + noise * drawn
