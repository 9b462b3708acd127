"""Families of plain features: what a class may be told by without looking at substructure.

Each family is a function from images, shape (N, C, H, W), to a `FeatureTable`; every image is
measured by itself, so that a set may be measured in parts. Pixels are taken as they are stored.
A new family is one function and one line of `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from darkarcs.audit.annuli import MAX_RINGS, Annuli
from darkarcs.audit.feature_table import Family, FeatureTable, by_channel, join_rows
from darkarcs.audit.noise_statistics import noise_statistics
from darkarcs.data.resampling import border_median

Images = NDArray[np.float32]
Floats = NDArray[np.float64]

#: Orders of the azimuthal Fourier amplitudes.
ORDERS = (1, 2, 3, 4, 5, 6)

#: Rings that the azimuthal amplitudes are given in.
NUM_WIDE_RINGS = 8

_CHUNK = 256  # images measured at once: their pixels stay in the processor's cache


def total_flux(images: Images) -> FeatureTable:
    """Measure the sum of all pixels.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images.

    Returns
    -------
    FeatureTable
        One column a channel.

    Examples
    --------
    >>> total_flux(np.ones((1, 1, 4, 5), dtype=np.float32)).values.item()
    20.0
    """
    return by_channel(
        images, ["sum of the pixels"], lambda x: x.sum(axis=(1, 2), dtype=np.float64)[:, None]
    )


def peak(images: Images) -> FeatureTable:
    """Measure the brightest pixel.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images.

    Returns
    -------
    FeatureTable
        One column a channel.
    """
    return by_channel(
        images, ["brightest pixel"], lambda x: x.max(axis=(1, 2)).astype(np.float64)[:, None]
    )


def peak_place(images: Images) -> FeatureTable:
    """Measure where the brightest pixel lies.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images.

    Returns
    -------
    FeatureTable
        Its distance from the centre of the grid, in pixels, one column a channel. Of several
        pixels that are equally bright (a saturated picture), the mean distance.

    Examples
    --------
    >>> image = np.zeros((1, 1, 5, 5), dtype=np.float32)
    >>> image[0, 0, 2, 4] = 1
    >>> peak_place(image).values.item()
    2.0
    """
    height, width = images.shape[2:]
    y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    radius = np.hypot(y[:, None], x[None, :])

    def distance(channel: Images) -> Floats:
        brightest = channel == channel.max(axis=(1, 2), keepdims=True)
        sums: Floats = np.where(brightest, radius, 0.0).sum(axis=(1, 2))
        distances: Floats = sums / brightest.sum(axis=(1, 2))
        return distances[:, None]

    return by_channel(images, ["distance of the peak from the centre (pixels)"], distance)


def radial_profile(images: Images) -> FeatureTable:
    """Measure the mean of the pixels in rings around the centre.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images.

    Returns
    -------
    FeatureTable
        One column for each ring (a pixel wide, wider where there would be more than
        `MAX_RINGS`) and channel.

    Examples
    --------
    >>> table = radial_profile(np.full((1, 1, 8, 8), 3.0, dtype=np.float32))
    >>> table.names[1], table.values.tolist()
    ('radius 1-2 pixels', [[3.0, 3.0, 3.0, 3.0]])
    """
    height, width = images.shape[2:]
    rings = Annuli(height, width, min(MAX_RINGS, min(height, width) // 2))
    matrix, count = rings.summing(), np.maximum(rings.num_pixels, 1)

    def mean(channel: Images) -> Floats:
        columns = np.ascontiguousarray(channel.reshape(len(channel), -1).T)
        return np.asarray((matrix @ columns).T / count, dtype=np.float64)

    return by_channel(images, rings.describe(), mean)


def azimuthal_amplitudes(images: Images) -> FeatureTable:
    r"""Measure how uneven the light is around rings.

    .. math:: A_m(r) = \frac{|\sum_r (I - b)\, e^{im\phi}|}{\sum_r |I - b|}, \qquad
              A_m = \frac{\sum_r |\sum_{\mathrm{ring}} (I - b)\, e^{im\phi}|}{\sum |I - b|}

    with :math:`b` the median of the image's border.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images.

    Returns
    -------
    FeatureTable
        For each order m = 1 ... 6, the amplitude in each of `NUM_WIDE_RINGS` rings and the
        light-weighted one of all; between 0 and 1, each channel by itself.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 32, dtype=np.float32)
    >>> table = azimuthal_amplitudes(np.broadcast_to(1 + np.abs(x), (1, 1, 32, 32)) - 2)
    >>> amplitudes = dict(zip(table.names, table.values[0]))
    >>> [round(float(amplitudes[f"m = {m}, light-weighted"]), 1) for m in (1, 2)]
    [0.0, 0.3]
    """
    height, width = images.shape[2:]
    rings = Annuli(height, width, min(NUM_WIDE_RINGS, min(height, width) // 2))
    plain = rings.summing()
    waves = [rings.summing(order) for order in ORDERS]
    places = [*rings.describe(), "light-weighted"]
    names = [f"m = {order}, {place}" for order in ORDERS for place in places]

    def amplitudes(channel: Images) -> Floats:
        columns = np.ascontiguousarray(channel.reshape(len(channel), -1).T)
        light = np.asarray(plain @ np.abs(columns), dtype=np.float64)
        whole = np.maximum(light.sum(axis=0), 1e-30)
        parts = []
        for matrix in waves:
            cosine, sine = np.split(np.asarray(matrix @ columns, dtype=np.float64), 2)
            power = np.hypot(cosine, sine)
            parts += [power / np.maximum(light, 1e-30), power.sum(axis=0, keepdims=True) / whole]
        return np.concatenate(parts).T

    return by_channel(images - border_median(images), names, amplitudes)


#: Every family that is measured on pixels, by a short name, in the order of the table.
FAMILIES: dict[str, Family] = {
    "flux": Family("total flux", "content", "the sum of all pixels", total_flux),
    "peak": Family("peak", "content", "the brightest pixel", peak),
    "peak_place": Family(
        "peak place", "content", "its distance from the centre of the image", peak_place
    ),
    "radial_profile": Family(
        "radial profile", "content", "mean brightness in rings around the centre", radial_profile
    ),
    "azimuthal": Family(
        "azimuthal Fourier",
        "content",
        "unevenness around rings, m = 1 to 6",
        azimuthal_amplitudes,
    ),
    "noise": Family(
        "noise statistics",
        "artefact",
        "level, scatter, correlation and steps of the pixels in the corners",
        noise_statistics,
    ),
}


def measure(
    images: Images, families: Mapping[str, Family] = FAMILIES, progress: bool = False
) -> dict[str, FeatureTable]:
    """Measure images by several families, in parts that fit the cache.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images, at least one.
    families : mapping of str to Family, default `FAMILIES`
        What to measure.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict of str to FeatureTable
        N rows each, under the families' short names.

    Examples
    --------
    >>> sorted(measure(np.zeros((3, 1, 16, 16), dtype=np.float32)))
    ['azimuthal', 'flux', 'noise', 'peak', 'peak_place', 'radial_profile']
    """
    parts: dict[str, list[FeatureTable]] = {name: [] for name in families}
    starts = range(0, len(images), _CHUNK)
    console = Console(stderr=True)
    for start in track(starts, "Measuring", console=console, disable=not progress, transient=True):
        chunk = images[start : start + _CHUNK]
        for name, family in families.items():
            parts[name].append(family.measure(chunk))
    return {name: join_rows(tables) for name, tables in parts.items()}
