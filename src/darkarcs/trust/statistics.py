"""Cheap pixel statistics of an image as stored: what a network may never have looked at.

A network answers what it was asked. Preprocessing may divide an image's brightness out, pooling
may forget where light lies, and an image of pure noise can fall onto the features of a lens.
These numbers see what was lost, in groups:

``light``
    Background, brightness, mean, extremes: in the units of the training images, hence only of
    a model whose preprocessing depends on the units.
``texture``
    Power on scales of 2, 4, 8, 16 and 32 pixels (Haar wavelets), noise on the border, how
    peaked the smallest details are, pixels equal to their neighbour: noise, PSF, compression.
``fit``, ``image_light``, ``image_texture``, ``image_arrangement``
    Of models that look at what fits of smooth lenses leave: `darkarcs.trust.fit_statistics`, and
    the three others of the image itself in units of its noise, instead of those of the residuals.
``arrangement``
    The mean and the scatter of the light in rings about the centre, the size of its moments
    around each, where its centre lies: rings and arcs against blobs, blanks and fields.

All but ``light`` are relative to the image's own background and brightness. Turns by 90 degrees
and mirrors change none of them but by rounding, or by the odd row that a scale leaves out.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.data.resampling import border_median, centre_crop
from darkarcs.data.stretching import brightness
from darkarcs.trust.fit_statistics import fit_statistics, fitted_bands, signal_to_noise

Floats = NDArray[np.float32]

#: Begins the names of groups of the image, where a model looks at residuals.
OF_IMAGE = "image_"
#: Rings of equal width between the centre and the edge; the corners are one more.
NUM_RINGS = 10
#: Rings that angular moments are taken of, each of the order 1 and 2.
NUM_WIDE_RINGS = 4
NUM_SCALES = 5
#: Images taken at a time.
CHUNK = 64
#: Relative to the brightness: below it, values count as zero before a logarithm.
FLOOR = 1e-5
#: Relative to the brightness: where profiles turn from linear to logarithmic.
SOFTENING = 0.05


def image_statistics(
    images: LensImages, preprocessing: FittedPreprocessing
) -> dict[str, NDArray[np.float64]]:
    """Measure the pixels that a model looks at, before preprocessing.

    Parameters
    ----------
    images : LensImages
        As stored, with the model's number of channels.
    preprocessing : FittedPreprocessing
        Says which field of view the model sees and whether units matter to it.

    Returns
    -------
    dict of str to ndarray, shape (N, D), float64
        By group (see the module's text): ``texture``, ``arrangement``, unless every image
        is normalized by itself ``light``, and of residuals ``fit`` and those of the image. Finite
        for finite images.

    Examples
    --------
    >>> from darkarcs.data import Preprocessing
    >>> lenses = LensImages.from_arrays(np.random.default_rng(0).random((3, 1, 32, 32)))
    >>> fitted = Preprocessing().fit(lenses)
    >>> {name: values.shape for name, values in image_statistics(lenses, fitted).items()}
    {'texture': (3, 9), 'arrangement': (3, 32), 'light': (3, 5)}
    """
    height, width = _field(images, preprocessing)
    bands = fitted_bands(images)
    units_matter = preprocessing.settings.normalization != "per_image"
    unit = np.asarray(preprocessing.scale, dtype=np.float32)[:, None]
    groups: dict[str, list[NDArray[np.float64]]] = {}
    for first in range(0, max(len(images), 1), CHUNK):
        part = images.images[first : first + CHUNK]
        cut = centre_crop(part, height, width)
        found = _pixel_groups(cut, unit if units_matter else None)
        if bands:
            whole = signal_to_noise(cut, bands)
            own = _pixel_groups(whole, np.ones((bands, 1), dtype=np.float32))
            found |= {"fit": fit_statistics(part, bands)}
            found |= {f"{OF_IMAGE}{name}": values for name, values in own.items()}
        for name, values in found.items():
            groups.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in groups.items()}


def _pixel_groups(cut: Floats, unit: Floats | None) -> dict[str, NDArray[np.float64]]:
    """Measure texture, arrangement and, in a unit, light."""
    background = border_median(cut)
    above = cut - background
    bright = brightness(above)  # (N, C)
    scaled = above / bright[..., None, None]
    groups = {"texture": _by_image(texture(scaled)), "arrangement": _by_image(arrangement(scaled))}
    if unit is not None:
        found = light(cut, background, bright) / unit
        groups["light"] = _by_image(np.arcsinh(found / SOFTENING))
    return groups


def light(images: Floats, background: Floats, bright: Floats) -> NDArray[np.float64]:
    """Measure how much light there is.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        As stored.
    background : ndarray, shape (N, C, 1, 1)
        Median of the border.
    bright : ndarray, shape (N, C)
        Brightness above the background.

    Returns
    -------
    ndarray, shape (N, C, 5)
        Background, brightness, mean above the background, least and largest pixel, in the
        units of the images.
    """
    axes = (2, 3)
    columns = (
        background[..., 0, 0],
        bright,
        images.mean(axis=axes) - background[..., 0, 0],
        images.min(axis=axes),
        images.max(axis=axes),
    )
    return np.stack(columns, axis=-1).astype(np.float64)


def texture(scaled: Floats) -> NDArray[np.float64]:
    """Measure power by scale and the character of the noise.

    Parameters
    ----------
    scaled : ndarray, shape (N, C, H, W)
        Background 0, brightness 1.

    Returns
    -------
    ndarray, shape (N, C, 9)
        Log power of Haar details on each of the scales; log median size of the smallest
        details on the border; log kurtosis of the smallest and of the next details; share of
        pixels equal to their right-hand neighbour.
    """
    powers, kurtoses = [], []
    smooth, border = scaled, np.zeros(scaled.shape[:2], dtype=np.float32)
    for scale in range(NUM_SCALES):
        if min(smooth.shape[-2:]) < 2:  # an image of fewer than 32 pixels has fewer scales
            powers.append(np.full(scaled.shape[:2], np.log(FLOOR**2)))
            continue
        smooth, details = _haar(smooth)  # details (3, N, C, h, w)
        squares = details * details
        square = squares.mean(axis=(0, 3, 4), dtype=np.float64)
        powers.append(np.log(square + FLOOR**2))
        if scale < 2:
            fourth = (squares * squares).mean(axis=(0, 3, 4), dtype=np.float64)
            kurtoses.append(np.log((fourth + 3 * FLOOR**4) / (square**2 + FLOOR**4)))
        if scale == 0:
            border = np.log(_border_size(details) + FLOOR)
    equal = (scaled[..., 1:] == scaled[..., :-1]).mean(axis=(2, 3))
    return np.stack([*powers, border, *kurtoses, equal], axis=-1).astype(np.float64)


def arrangement(scaled: Floats) -> NDArray[np.float64]:
    """Measure where the light lies, about the centre.

    Parameters
    ----------
    scaled : ndarray, shape (N, C, H, W)
        Background 0, brightness 1.

    Returns
    -------
    ndarray, shape (N, C, 33)
        Mean and scatter of the light in each ring and in the corners (asinh), moments of the
        order 1 and 2 around the wide rings, distance of the light's centre from the middle, as
        a share of half the side, and the share of light in the brightest hundredth.
    """
    rings, angular = _masks(*scaled.shape[-2:])
    flat = scaled.reshape(*scaled.shape[:2], -1)
    mean = flat @ rings  # (N, C, rings + corners)
    scatter = np.sqrt(np.maximum((flat * flat) @ rings - mean**2, 0.0))
    waves = (flat @ angular).reshape(*flat.shape[:2], -1, 2)  # cosine and sine
    moments = np.hypot(waves[..., 0], waves[..., 1])
    profile = np.arcsinh(np.concatenate([mean, scatter, moments], axis=-1) / SOFTENING)
    extra = np.stack([_centre_distance(scaled), _concentration(flat)], axis=-1)
    return np.concatenate([profile, extra], axis=-1).astype(np.float64)


def _field(images: LensImages, preprocessing: FittedPreprocessing) -> tuple[int, int]:
    """Give the field of view of the model in whole pixels of the images at hand."""
    ratio = 1.0
    if images.pixel_scale and preprocessing.pixel_scale:
        ratio = preprocessing.pixel_scale / images.pixel_scale
    height, width = preprocessing.crop_height * ratio, preprocessing.crop_width * ratio
    return max(2, round(height)), max(2, round(width))


def _by_image(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.reshape(len(values), -1)


def _haar(images: Floats) -> tuple[Floats, Floats]:
    """Split images into means over 2x2 pixels and three kinds of details, orthonormal."""
    height, width = (length // 2 * 2 for length in images.shape[-2:])
    even, odd = images[..., 0:height:2, :width], images[..., 1:height:2, :width]
    total, below = even + odd, even - odd
    details: Floats = np.stack(
        [
            (total[..., ::2] - total[..., 1::2]) / 2,
            (below[..., ::2] + below[..., 1::2]) / 2,
            (below[..., ::2] - below[..., 1::2]) / 2,
        ]
    )
    return ((total[..., ::2] + total[..., 1::2]) / 4).astype(np.float32, copy=False), details


def _border_size(details: Floats) -> NDArray[np.float32]:
    """Median size of diagonal details in a frame of an eighth of the side: hardly any light."""
    diagonal = np.abs(details[2])
    rows, columns = (max(1, length // 8) for length in diagonal.shape[-2:])
    frame = np.concatenate(
        [
            part.reshape(*diagonal.shape[:2], -1)
            for part in (
                diagonal[..., :rows, :],
                diagonal[..., -rows:, :],
                diagonal[..., rows:-rows, :columns],
                diagonal[..., rows:-rows, -columns:],
            )
        ],
        axis=-1,
    )
    size: NDArray[np.float32] = np.median(frame, axis=-1)
    return size


def _centre_distance(scaled: Floats) -> NDArray[np.float32]:
    positive = np.maximum(scaled, 0)
    rows, columns = positive.sum(axis=3), positive.sum(axis=2)  # (N, C, H), (N, C, W)
    offsets = []
    for profile in (rows, columns):
        places = np.linspace(-1, 1, profile.shape[-1], dtype=np.float32)
        offsets.append(profile @ places / np.maximum(profile.sum(axis=-1), FLOOR))
    distance: NDArray[np.float32] = np.hypot(*offsets)
    return distance


def _concentration(flat: Floats) -> NDArray[np.float32]:
    first = flat.shape[-1] - max(1, flat.shape[-1] // 100)
    brightest = np.partition(flat, first, axis=-1)[..., first:].sum(axis=-1)
    share: NDArray[np.float32] = brightest / np.maximum(np.maximum(flat, 0).sum(axis=-1), FLOOR)
    return share


@lru_cache(maxsize=8)
def _masks(height: int, width: int) -> tuple[Floats, Floats]:
    """Weights that give, by one product, means in rings and angular moments of wide rings."""
    rows, columns = np.indices((height, width))
    down, right = rows - (height - 1) / 2, columns - (width - 1) / 2
    radius = np.hypot(down, right).ravel() / (min(height, width) / 2)
    number = np.minimum((radius * NUM_RINGS).astype(int), NUM_RINGS)
    rings = (number[:, None] == np.arange(NUM_RINGS + 1)).astype(np.float64)
    wide = np.minimum((radius * NUM_WIDE_RINGS).astype(int), NUM_WIDE_RINGS)
    angle = np.arctan2(down, right).ravel()
    waves = []
    for ring in range(NUM_WIDE_RINGS):
        inside = (wide == ring) / max(1, int((wide == ring).sum()))
        for order in (1, 2):
            waves += [inside * np.cos(order * angle), inside * np.sin(order * angle)]
    rings /= np.maximum(rings.sum(axis=0), 1)
    return rings.astype(np.float32), np.stack(waves, axis=1).astype(np.float32)
