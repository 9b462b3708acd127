r"""From an observed cutout to the light of its central galaxy alone.

A cutout holds a background, noise and neighbours. Lensed as it is, each would be read as
structure of the source or of the lens, so:

1. **Background and noise** are measured in the blocks along the border, in the quieter half of
   them, from the median and the quartile above it. Both are blind to neighbours, and to noise
   whose negative half was cut off (images "cleaned" or scaled to [0, 1]).
2. **Noise is taken out scale by scale.** The image is split into B3-spline wavelet planes
   (starlet), which sum to the image. Each plane is weighted by max(0, 1 - k^2 sigma^2 / E), with
   E the plane's energy averaged over its own scale and sigma its noise at the border: the
   empirical Wiener filter. A bright core keeps the resolution of its PSF, faint outskirts are
   smoothed as far as their noise asks, and correlated noise is met on the scale where it is.
3. **The central object** is what is connected to the centre above a threshold in the image so
   cleaned and smoothed; its mask is dilated, other objects are cut, and the edge is rolled off
   to zero. What touches is another object if its peak is twice as high as the saddle between
   them; clumps and spiral arms, which stand less far above their disk, stay.
4. What remains negative is set to zero, and the flux to one.

scipy.ndimage suffices for this; photutils would do as well, and be another dependency.

References
----------
.. [1] Starck, Fadili & Murtagh 2007, IEEE Trans. Image Processing 16, 297 (starlet transform).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

#: Blocks along each side in which background and noise are measured.
NUM_BLOCKS = 6
#: Planes of detail; the coarsest has features of about 2^5 pixels.
NUM_PLANES = 5
#: k: energy below k^2 times that of the noise is taken for noise.
NOISE_FACTOR = 1.5
#: A segment reaches down to this many sigma of the smoothed noise,
THRESHOLD = 2.5
#: but never below this share of its peak, where an image without noise would never end.
FAINTEST_SHARE = 2e-3
#: Smoothing before the segmentation, sigma in pixels.
SEGMENT_SMOOTHING = 2.0
#: Pixels by which a segment is widened, and over which its edge is then rolled off.
DILATION, ROLL_OFF = 3, 7
#: Touching objects are two if the fainter's peak is so many times above the saddle between them.
CONTRAST = 2.0
#: Levels at which it is looked for what touches, between the brightest pixel and the faintest.
NUM_LEVELS = 40
#: Radius of the circle that the signal-to-noise ratio is measured in, pixels.
SNR_RADIUS = 10
#: A peak of the smoothed image below this many sigma is no galaxy whose shape is known.
MIN_DETECTION = 10.0

#: Variance of normal noise of unit variance whose negative half is set to zero.
_CUT_VARIANCE = 0.5 - 0.5 / np.pi
_TINY = float(np.finfo(np.float64).tiny)


class Rejection(StrEnum):
    """Why a cutout cannot be used as a source."""

    NOT_FINITE = "not finite"
    EMPTY_CENTRE = "nothing at the centre"
    TOO_FAINT = "too faint for its shape to be known"
    TOUCHES_EDGE = "reaches the edge"


@dataclass(frozen=True, eq=False)
class PreparedGalaxy:
    """A galaxy without background, neighbours and noise.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Not negative, zero along the border, of unit sum.
    half_light_radius : float, pixels
        Circularised.
    snr : float
        Flux in a circle of ten pixels radius over its noise, as if pixels were independent.
    peak_to_noise : float
        Brightest pixel of the prepared image over the noise of a pixel before.
    """

    image: NDArray[np.float64]
    half_light_radius: float
    snr: float
    peak_to_noise: float


def prepare_galaxy(cutout: NDArray[np.floating]) -> PreparedGalaxy | Rejection:
    """Prepare one cutout.

    Parameters
    ----------
    cutout : ndarray, shape (H, W)
        The galaxy at its centre, in any linear unit.

    Returns
    -------
    PreparedGalaxy or Rejection
        The galaxy, or why it cannot be used.

    Examples
    --------
    >>> y, x = np.mgrid[-31.5:32, -31.5:32]
    >>> galaxy = prepare_galaxy(np.exp(-(x**2 + y**2) / 2 / 4.0**2))
    >>> round(float(galaxy.image.sum()), 6), round(galaxy.half_light_radius, 1)
    (1.0, 4.7)
    >>> prepare_galaxy(np.zeros((64, 64))).value
    'nothing at the centre'
    """
    data = np.asarray(cutout, dtype=np.float64)
    if not np.isfinite(data).all():
        return Rejection.NOT_FINITE
    blocks = _quiet_blocks(data)
    background, noise = _level_and_noise(data, blocks)
    clean = _without_noise(data - background, noise, blocks)
    smooth, smooth_clean = (
        ndimage.gaussian_filter(values, SEGMENT_SMOOTHING) for values in (data, clean)
    )
    level, smooth_noise = _level_and_noise(smooth, blocks)
    smooth_noise = max(smooth_noise, 1e-6 * abs(level))  # single precision, at the least
    segment = _central_segment(smooth - level, smooth_clean, smooth_noise)
    if isinstance(segment, Rejection):
        return segment
    image = np.clip(clean * segment, 0.0, None)
    circle = _distance_from_centre(data.shape) <= SNR_RADIUS
    return PreparedGalaxy(
        image=image / image.sum(),  # positive: its segment is bright
        half_light_radius=half_light_radius(image),
        snr=float((data - background)[circle].sum() / max(noise * circle.sum() ** 0.5, _TINY)),
        peak_to_noise=float(image.max() / max(noise, _TINY)),
    )


def half_light_radius(image: NDArray[np.floating]) -> float:
    """Measure the circularised half-light radius.

    Half of the light lies inside the ellipse of this circularised radius whose centre, axis ratio
    and angle are those of the light's second moments.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Light without background, of positive sum.

    Returns
    -------
    float, pixels
        R with R^2 = q x^2 + y^2 / q in the frame of the major axis.
    """
    rows, columns = np.indices(image.shape)
    flux = float(image.sum())
    y = rows - (rows * image).sum() / flux
    x = columns - (columns * image).sum() / flux
    moments = np.array([[(x * x * image).sum(), (x * y * image).sum()]] * 2) / flux
    moments[1] = (x * y * image).sum() / flux, (y * y * image).sum() / flux
    # a pixel's own width keeps the moments of a single bright pixel from being singular
    inverse = np.linalg.inv(moments + np.eye(2) / 12)
    inverse /= np.sqrt(np.linalg.det(inverse))
    radius = np.sqrt(inverse[0, 0] * x * x + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y * y)
    order = np.argsort(radius, axis=None)
    light = np.cumsum(image.ravel()[order]) / flux
    return float(np.interp(0.5, light, radius.ravel()[order]))


def _distance_from_centre(shape: tuple[int, ...]) -> NDArray[np.float64]:
    rows, columns = np.indices(shape)
    return np.asarray(np.hypot(rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2))


def _quiet_blocks(data: NDArray[np.float64]) -> list[tuple[slice, slice]]:
    """Choose the half of the blocks along the border with the least spread."""
    edges = [np.linspace(0, side, NUM_BLOCKS + 1).astype(int) for side in data.shape]
    blocks = [
        (slice(edges[0][i], edges[0][i + 1]), slice(edges[1][j], edges[1][j + 1]))
        for i in range(NUM_BLOCKS)
        for j in range(NUM_BLOCKS)
        if {i, j} & {0, NUM_BLOCKS - 1}
    ]
    # The standard deviation sees a neighbour that covers a corner of its block, too.
    return sorted(blocks, key=lambda block: float(data[block].std()))[: len(blocks) // 2]


def _level_and_noise(
    data: NDArray[np.float64], blocks: list[tuple[slice, slice]]
) -> tuple[float, float]:
    values = np.concatenate([data[block].ravel() for block in blocks])
    middle, upper = np.percentile(values, [50, 75])
    return float(middle), float((upper - middle) / 0.6745)  # quartile of a normal distribution


def _without_noise(
    data: NDArray[np.float64], noise: float, blocks: list[tuple[slice, slice]]
) -> NDArray[np.float64]:
    """Weight each wavelet plane by how far its energy stands above the noise."""
    border = np.concatenate([data[block].ravel() for block in blocks])
    is_cut = noise > 0 and bool(np.mean(border == border.min()) > 0.25)
    light = np.clip(ndimage.gaussian_filter(data, 3.0), 0, None) / max(noise, _TINY)
    result, coarse, photons = np.zeros_like(data), data, 0.0
    for plane in range(NUM_PLANES):
        kernel = np.zeros(4 * 2**plane + 1)
        kernel[:: 2**plane] = np.array([1, 4, 6, 4, 1]) / 16
        smoother = coarse
        for axis in (0, 1):
            smoother = ndimage.convolve1d(smoother, kernel, axis=axis, mode="mirror")
        detail, coarse = coarse - smoother, smoother
        variance = float(np.concatenate([detail[block].ravel() for block in blocks]).var())
        if is_cut:  # only where there is no galaxy: within it the noise has all of its variance
            variance /= _CUT_VARIANCE
        if plane == 0:
            photons = _photon_noise(detail, light, variance)
        energy = ndimage.gaussian_filter(detail**2, 1.5 * 2**plane, mode="mirror")
        limit = NOISE_FACTOR**2 * variance * (1 + photons * light)
        result += detail * np.clip(1 - limit / np.maximum(energy, _TINY), 0, 1)
    result += coarse
    return _without_cut_bias(result, noise) if is_cut else result


def _photon_noise(
    detail: NDArray[np.float64], light: NDArray[np.float64], variance: float
) -> float:
    """How much the variance grows per sigma of brightness, by the finest plane.

    That plane lies below the PSF and holds hardly more than noise, but in the brightest cores.
    """
    moderate = (light > 2) & (light < 12)
    if variance == 0 or moderate.sum() < 50:
        return 0.0
    excess = np.median(detail[moderate] ** 2) / 0.455 / variance - 1  # 0.455: median of chi^2_1
    return float(np.clip(excess / np.median(light[moderate]), 0.0, 0.2))


def _without_cut_bias(clean: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Undo the mean that noise gains when what is negative is set to zero.

    Where the true light is s, the mean of max(0, s + noise) is
    s Phi(s / sigma) + sigma phi(s / sigma).
    """
    light = np.linspace(-4, 4, 161)
    mean = light * stats.norm.cdf(light) + stats.norm.pdf(light)
    scaled = clean / noise
    return np.asarray(noise * np.where(scaled < 4, np.interp(scaled, mean, light), scaled))


def _central_segment(
    smooth: NDArray[np.float64], clean: NDArray[np.float64], noise: float
) -> NDArray[np.float64] | Rejection:
    """Weight of each pixel: one on the central object, rolled off to zero around it."""
    centre = _distance_from_centre(smooth.shape) <= max(4, min(smooth.shape) / 16)
    if not smooth[centre].max() > max(THRESHOLD * noise, 0.0):
        return Rejection.EMPTY_CENTRE
    if smooth[centre].max() < MIN_DETECTION * noise:
        return Rejection.TOO_FAINT
    peak = clean[centre].max()
    faintest = max(THRESHOLD * noise, FAINTEST_SHARE * peak)
    if not peak > faintest:
        return Rejection.EMPTY_CENTRE
    objects = _objects(clean, faintest)
    at_peak = centre & (clean == peak)
    # only what hangs together: a neighbour that is cut out may leave crumbs behind it
    pieces, _ = ndimage.label(objects == objects[at_peak][0])
    own = pieces == pieces[at_peak][0]
    others = ndimage.binary_dilation((objects > 0) & ~own, iterations=DILATION) & ~own
    margin = DILATION + ROLL_OFF
    inner = np.zeros_like(own)
    inner[margin:-margin, margin:-margin] = True
    if (own & ~inner).any():
        return Rejection.TOUCHES_EDGE
    outside = ndimage.distance_transform_edt(~own) - DILATION
    weight = 0.5 + 0.5 * np.cos(np.pi * np.clip(outside / ROLL_OFF, 0, 1))
    # Others are cut with a soft edge as well: a hard one would be a structure of its own.
    if others.any():
        weight *= np.clip(ndimage.distance_transform_edt(~others) / (2 * DILATION), 0, 1)
    return np.asarray(weight)


def _objects(clean: NDArray[np.float64], faintest: float) -> NDArray[np.int64]:
    """Number the objects brighter than a level; 0 is none.

    The level sinks from the brightest pixel. What appears is an object; where two meet, the one
    of the lower peak is part of the other unless it stands `CONTRAST` times above the saddle.
    """
    objects = np.zeros(clean.shape, dtype=np.int64)
    peaks = [0.0]
    for level in np.geomspace(clean.max(), faintest, NUM_LEVELS + 1)[1:]:
        islands, _ = ndimage.label(clean > level)
        for number, box in enumerate(ndimage.find_objects(islands), start=1):
            here, inside = objects[box], islands[box] == number
            known = sorted(set(here[inside].tolist()) - {0}, key=lambda name: -peaks[name])
            if not known:
                known = [len(peaks)]
                peaks.append(float(clean[box][inside].max()))
            lasting = [name for name in known[1:] if peaks[name] >= CONTRAST * level]
            here[inside & ~np.isin(here, [0, *lasting])] = known[0]
            if not lasting:
                here[inside] = known[0]
                continue
            unknown = ~(inside & (here > 0))
            nearest = ndimage.distance_transform_edt(
                unknown, return_distances=False, return_indices=True
            )
            here[inside] = here[tuple(nearest)][inside]
    return objects
