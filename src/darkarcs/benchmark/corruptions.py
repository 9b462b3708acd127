"""What observing does to an image: more noise, a wider PSF, and things in front of the lens.

Corruptions act on images as stored, before any preprocessing. Every draw is addressed by the
image's identity, so that all models see the same corrupted pixels, and a larger cover hides
what a smaller one hid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float32]

#: Full width at half maximum of a Gaussian in standard deviations.
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))
#: Patches to a side that a cover is made of.
COVER_GRID = 10
#: Share of a side that counts as border.
BORDER_SHARE = 1 / 16
#: Share of a Gaussian below one standard deviation under its middle.
LOWER_QUANTILE = 0.1587


def border_noise(images: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure level and noise of the sky on the border of each image.

    Parameters
    ----------
    images : NDArray of float32, shape (N, C, H, W)
        As stored.

    Returns
    -------
    level : NDArray of float64, shape (N, C)
        Median of the border, one sixteenth of the side wide.
    noise : NDArray of float64, shape (N, C)
        Standard deviation, from the lower half of the border alone: light only ever adds.

    Examples
    --------
    >>> level, noise = border_noise(np.full((1, 1, 16, 16), 3.0, dtype=np.float32))
    >>> level.item(), noise.item()
    (3.0, 0.0)
    """
    height, width = images.shape[-2:]
    border = np.ones((height, width), dtype=bool)
    rows, columns = (max(1, round(BORDER_SHARE * length)) for length in (height, width))
    border[rows : height - rows, columns : width - columns] = False
    pixels = images[..., border].astype(np.float64)  # (N, C, border pixels)
    level, below = np.quantile(pixels, [0.5, LOWER_QUANTILE], axis=-1)
    return level, level - below


def more_noise(images: LensImages, factor: float = 2.0, seed: int = 0) -> LensImages:
    """Add white noise until the noise of the sky has grown by a factor.

    Parameters
    ----------
    images : LensImages
        As stored. An image whose border shows no noise stays as it is.
    factor : float, default 2
        At least 1.
    seed : int, default 0
        Root of the draws.

    Returns
    -------
    LensImages
        The same images, identities kept; values are not clipped or rounded.
    """
    _, noise = border_noise(images.images)
    strength = math.sqrt(factor**2 - 1) * noise

    def add(row: int, image: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
        return image + strength[row, :, None, None] * generator.normal(size=image.shape)

    return _each(images, "noise", seed, add)


def wider_psf(images: LensImages, fwhm: float, factor: float = 1.5, seed: int = 0) -> LensImages:
    r"""Blur images until their PSF is wider by a factor, and bring the sky's noise back.

    A Gaussian of :math:`\sqrt{f^2 - 1}` times the full width is what is missing to a Gaussian
    PSF `f` times as wide. It also smooths the noise, which seeing does not; white noise is added
    until the noise of the sky is what it was.

    Parameters
    ----------
    images : LensImages
        As stored.
    fwhm : float, pixels
        Of the images' PSF.
    factor : float, default 1.5
        Above 1.
    seed : int, default 0
        Root of the draws.

    Returns
    -------
    LensImages
        The same images, identities kept.

    Raises
    ------
    ConfigurationError
        If the width is not positive.
    """
    if not (math.isfinite(fwhm) and fwhm > 0):
        raise ConfigurationError(f"PSF of {fwhm} pixels: the full width must be positive")
    sigma = math.sqrt(factor**2 - 1) * fwhm / FWHM_PER_SIGMA
    blurred = gaussian_filter(
        images.images.astype(np.float64), (0, 0, sigma, sigma), mode="nearest"
    ).astype(np.float32)
    _, before = border_noise(images.images)
    _, after = border_noise(blurred)
    missing = np.sqrt(np.maximum(before**2 - after**2, 0))

    def restore(row: int, image: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
        drawn = missing[row, :, None, None] * generator.normal(size=image.shape)
        restored: NDArray[np.float64] = blurred[row] + drawn
        return restored

    return _each(images, "psf", seed, restore)


def cover(images: LensImages, share: float, seed: int = 0) -> LensImages:
    """Hide random patches behind the image's own sky, noise included.

    Parameters
    ----------
    images : LensImages
        As stored.
    share : float
        Of the `COVER_GRID` by `COVER_GRID` patches, how many are hidden, within [0, 1].
    seed : int, default 0
        Root of the draws.

    Returns
    -------
    LensImages
        The same images, identities kept.

    Raises
    ------
    ConfigurationError
        If the share is no share.
    """
    if not 0 <= share <= 1:
        raise ConfigurationError(f"cover = {share}: must be within 0 and 1")
    level, noise = border_noise(images.images)
    height, width = images.images.shape[-2:]
    rows = np.arange(height) * COVER_GRID // height
    columns = np.arange(width) * COVER_GRID // width
    number = rows[:, None] * COVER_GRID + columns  # patch of each pixel
    count = round(share * COVER_GRID**2)

    def hide(row: int, image: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
        rank = np.empty(COVER_GRID**2, dtype=np.int64)
        rank[generator.permutation(COVER_GRID**2)] = np.arange(COVER_GRID**2)
        drawn = generator.normal(size=image.shape)
        sky = level[row, :, None, None] + noise[row, :, None, None] * drawn
        return np.where(rank[number] < count, sky, image)

    return _each(images, "cover", seed, hide)


def _each(
    images: LensImages,
    stream: str,
    seed: int,
    change: Callable[[int, Floats, np.random.Generator], NDArray[np.float64]],
) -> LensImages:
    pixels = np.empty_like(images.images)
    for row, (image, identity) in enumerate(
        zip(images.images, images.metadata["identity"], strict=True)
    ):
        generator = numpy_generator(seed, "corruption", stream, str(identity))
        pixels[row] = change(row, image, generator)
    return replace(images, images=pixels)
