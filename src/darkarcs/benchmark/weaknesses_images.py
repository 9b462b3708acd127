"""Attributes of images that come without a truth, measured on their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.benchmark.image_statistics import BORDER
from darkarcs.data import LensImages

Floats = NDArray[np.float64]
Attributes = dict[str, NDArray[Any]]

#: Pixels brighter than this share of the brightest belong to the arc.
ARC_LEVEL = 0.25
#: Directions from the centre in which an arc is looked for.
NUM_DIRECTIONS = 36

#: Columns that name an image, or number it, and describe nothing.
_NAMES = ("identity", "group", "name", "index", "source.galaxy", "lens.smooth_einstein_radius")
_NORMAL_OVER_MAD = 1.4826
# Images whose temporaries are in memory at the same time.
_AT_ONCE = 256


def metadata_attributes(images: LensImages) -> Attributes:
    """Take the columns of a set that say something of each image.

    Parameters
    ----------
    images : LensImages
        N images.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        All but names and numbers of images. Zeros of ``substructure.`` columns, which stand for
        classes without such a number, are NaN.

    Examples
    --------
    >>> columns = {"shear": [0.1, 0.2], "substructure.mass": [0.0, 1e9]}
    >>> lenses = LensImages.from_arrays(np.zeros((2, 1, 4, 4)), metadata=columns)
    >>> {name: values.tolist() for name, values in metadata_attributes(lenses).items()}
    {'shear': [0.1, 0.2], 'substructure.mass': [nan, 1000000000.0]}
    """
    columns: Attributes = {}
    for name, values in images.metadata.items():
        if name in _NAMES:
            continue
        if name.startswith("substructure.") and values.dtype.kind in "iuf":
            values = np.where(values == 0, np.nan, values.astype(np.float64))
        columns[name] = values
    return columns


def image_attributes(images: LensImages) -> Attributes:
    """Measure images: how bright and noisy they are, where their light is.

    Parameters
    ----------
    images : LensImages
        N images; channels are added up.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        In arcsec where the pixel scale is known, else in pixels:

        ``image.background_rms``
            1.4826 times the median absolute deviation of the border's pixels; where half of
            them are equal, as in 8-bit pictures, the standard deviation without the highest
            tenth, which may be light.
        ``image.peak_snr``, ``image.snr``
            Brightest pixel, and root of the summed squares over the arc, above the border's
            median, over that rms. NaN where it is zero.
        ``image.ring_radius``
            Mean distance of the arc's pixels from the image's centre, weighted by light.
        ``image.arc_coverage``, ``image.arc_length``
            See `coverage`; times the ring's circumference.
        ``image.asymmetry``
            Light that differs from the image turned by 180 degrees, over all light: 0 to 1.
        ``image.concentration``
            Share of the light that is in the arc.

    Examples
    --------
    >>> picture = np.zeros((1, 1, 32, 32))
    >>> picture[0, 0, 16, 4] = 100.0
    >>> found = image_attributes(LensImages.from_arrays(picture))
    >>> found["image.asymmetry"].tolist(), found["image.ring_radius"].round(1).tolist()
    ([1.0], [11.5])
    """
    parts = [
        _measured(images.images[start : start + _AT_ONCE].sum(axis=1, dtype=np.float64))
        for start in range(0, len(images), _AT_ONCE)
    ]
    found: Attributes = {
        f"image.{name}": np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    for name in ("image.ring_radius", "image.arc_length"):
        found[name] = found[name] * (images.pixel_scale or 1.0)
    return found


def _measured(images: Floats) -> dict[str, Floats]:
    """Measure images of shape (N, H, W), lengths in pixels."""
    height, width = images.shape[1:]
    margin = max(1, round(BORDER * min(height, width)))
    border = np.ones((height, width), dtype=bool)
    border[margin:-margin, margin:-margin] = False
    edge = images[:, border]
    level = np.median(edge, axis=1)
    rms = _NORMAL_OVER_MAD * np.median(np.abs(edge - level[:, None]), axis=1)
    lower = np.sort(edge, axis=1)[:, : edge.shape[1] - edge.shape[1] // 10]
    rms = np.where(rms > 0, rms, lower.std(axis=1))
    above = images - level[:, None, None]
    light = np.clip(above, 0, None)
    arc = light > ARC_LEVEL * light.max(axis=(1, 2), keepdims=True)
    y, x = np.indices((height, width))
    radius = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    in_arc = light * arc
    with np.errstate(invalid="ignore", divide="ignore"):
        total = light.sum(axis=(1, 2))
        ring = (in_arc * radius).sum(axis=(1, 2)) / in_arc.sum(axis=(1, 2))
        unlike = np.abs(light - light[:, ::-1, ::-1]).sum(axis=(1, 2)) / 2 / total
        noise = np.where(rms > 0, rms, np.nan)
        covered = coverage(arc)
        return {
            "background_rms": rms,
            "peak_snr": above.max(axis=(1, 2)) / noise,
            "snr": np.sqrt((in_arc**2).sum(axis=(1, 2))) / noise,
            "ring_radius": ring,
            "arc_coverage": covered,
            "arc_length": covered * 2 * np.pi * ring,
            "asymmetry": unlike,
            "concentration": in_arc.sum(axis=(1, 2)) / total,
        }


def coverage(
    arc: NDArray[np.bool_],
    centre_x: Floats | float = 0.0,
    centre_y: Floats | float = 0.0,
) -> Floats:
    """Share of the directions from a centre in which there is a pixel of the arc.

    Parameters
    ----------
    arc : ndarray of bool, shape (N, H, W)
        Its pixels.
    centre_x, centre_y : ndarray of shape (N,) or float, pixels
        From the middle of the image.

    Returns
    -------
    ndarray of float64, shape (N,)
        One for a closed ring; in steps of 1 / `NUM_DIRECTIONS`.

    Examples
    --------
    >>> right = np.zeros((1, 20, 20), dtype=bool)
    >>> right[:, :, 15:] = True
    >>> coverage(right).round(2).tolist(), coverage(~right).tolist()
    ([0.33], [1.0])
    """
    found = np.zeros((len(arc), NUM_DIRECTIONS), dtype=bool)
    row, y, x = np.nonzero(arc)
    across = x - (arc.shape[2] - 1) / 2 - np.broadcast_to(centre_x, len(arc))[row]
    up = y - (arc.shape[1] - 1) / 2 - np.broadcast_to(centre_y, len(arc))[row]
    turn = np.arctan2(up, across) / (2 * np.pi) + 0.5
    found[row, np.minimum((turn * NUM_DIRECTIONS).astype(int), NUM_DIRECTIONS - 1)] = True
    share: Floats = found.mean(axis=1)
    return share
