"""What observing does to an image: more noise, a wider PSF, and things in front of the lens.

Corruptions act on images as stored, before any preprocessing. Every draw is addressed by the
image's identity, so that all models see the same corrupted pixels, and a larger cover hides
what a smaller one hid.

Some pipelines subtract the sky and cut off what is negative, as the simulator of the published
Model I does before it counts: half of the sky is then exactly at the floor. Its noise is read off
the other half, the missing half is drawn before a corruption acts, and cut off again after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

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
#: Share of a Gaussian below two standard deviations above its middle.
UPPER_QUANTILE = 0.9772
#: How far from one half the share of the border at its floor may be, for a sky that was cut off.
CUT_TOLERANCE = 0.1
#: Largest share of the border at the value next to the floor; faint counts and steps have more.
MAX_STEP_SHARE = 0.1
#: Largest ratio of one and two standard deviations there; steps of a digitized gradient have 1.
MAX_SPREAD_RATIO = 0.75


@dataclass(frozen=True)
class Sky:
    """Level and noise of the sky on the border of each image.

    Attributes
    ----------
    level : NDArray of float64, shape (N, C)
        Median of the border, one sixteenth of the side wide.
    noise : NDArray of float64, shape (N, C)
        Standard deviation, from the lower half of the border alone, for light only ever adds;
        from the upper half where the lower one was cut off.
    cut : NDArray of bool, shape (N, C)
        Whether what is below the level was cut off.
    """

    level: NDArray[np.float64]
    noise: NDArray[np.float64]
    cut: NDArray[np.bool_]


def border_sky(images: Floats) -> Sky:
    """Measure the sky on the border of each image.

    Parameters
    ----------
    images : NDArray of float32, shape (N, C, H, W)
        As stored.

    Returns
    -------
    Sky
        Of each image and channel.

    Examples
    --------
    >>> sky = border_sky(np.full((1, 1, 16, 16), 3.0, dtype=np.float32))
    >>> sky.level.item(), sky.noise.item(), sky.cut.item()
    (3.0, 0.0, False)
    """
    height, width = images.shape[-2:]
    border = np.ones((height, width), dtype=bool)
    rows, columns = (max(1, round(BORDER_SHARE * length)) for length in (height, width))
    border[rows : height - rows, columns : width - columns] = False
    pixels = images[..., border].astype(np.float64)  # (N, C, border pixels)
    shares = (0.0, LOWER_QUANTILE, 0.5, 1 - LOWER_QUANTILE, UPPER_QUANTILE)
    floor, below, level, above, far_above = np.quantile(pixels, shares, axis=-1)
    at_floor = (pixels == floor[..., None]).mean(axis=-1)
    # of a Gaussian cut at its middle, above is one standard deviation and far above are two
    spread = (above > floor) & (above - floor < MAX_SPREAD_RATIO * (far_above - floor))
    step = np.where(pixels > floor[..., None], pixels, np.inf).min(axis=-1)
    fine = (pixels == step[..., None]).mean(axis=-1) < MAX_STEP_SHARE
    cut = (np.abs(at_floor - 0.5) < CUT_TOLERANCE) & spread & fine
    return Sky(np.where(cut, floor, level), np.where(cut, above - floor, level - below), cut)


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
        The same images, identities kept; values are not rounded, and cut off only where the
        sky was.
    """
    whole, sky = _with_whole_sky(images, seed)
    strength = math.sqrt(factor**2 - 1) * sky.noise

    def add(row: int, image: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
        return image + strength[row, :, None, None] * generator.normal(size=image.shape)

    return _cut_again(_each(whole, "noise", seed, add), sky)


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
    whole, sky = _with_whole_sky(images, seed)
    blurred = gaussian_filter(
        whole.images.astype(np.float64), (0, 0, sigma, sigma), mode="nearest"
    ).astype(np.float32)
    after = border_sky(blurred).noise
    missing = np.sqrt(np.maximum(sky.noise**2 - after**2, 0))

    def restore(row: int, image: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
        return image + missing[row, :, None, None] * generator.normal(size=image.shape)

    return _cut_again(_each(replace(whole, images=blurred), "psf", seed, restore), sky)


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
    whole, sky = _with_whole_sky(images, seed)
    height, width = images.images.shape[-2:]
    rows = np.arange(height) * COVER_GRID // height
    columns = np.arange(width) * COVER_GRID // width
    number = rows[:, None] * COVER_GRID + columns  # patch of each pixel
    count = round(share * COVER_GRID**2)

    def hide(row: int, image: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
        rank = np.empty(COVER_GRID**2, dtype=np.int64)
        rank[generator.permutation(COVER_GRID**2)] = np.arange(COVER_GRID**2)
        drawn = generator.normal(size=image.shape)
        hidden = sky.level[row, :, None, None] + sky.noise[row, :, None, None] * drawn
        return np.where(rank[number] < count, hidden, image)

    return _cut_again(_each(whole, "cover", seed, hide), sky)


def _with_whole_sky(images: LensImages, seed: int) -> tuple[LensImages, Sky]:
    """Draw what was cut off below the level of the sky."""
    sky = border_sky(images.images)
    if not sky.cut.any():
        return images, sky

    def draw(row: int, image: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
        below = sky.noise[row, :, None, None] * np.abs(generator.normal(size=image.shape))
        lost = sky.cut[row, :, None, None] & (image <= sky.level[row, :, None, None])
        return np.where(lost, image - below, image)

    return _each(images, "sky", seed, draw), sky


def _cut_again(images: LensImages, sky: Sky) -> LensImages:
    floor = np.where(sky.cut, sky.level, -np.inf).astype(np.float32)
    return replace(images, images=np.maximum(images.images, floor[..., None, None]))


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
