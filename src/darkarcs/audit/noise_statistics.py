"""What the corners of an image tell of its noise and of how its values were stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from darkarcs.audit.feature_table import FeatureTable, by_channel

Images = NDArray[np.float32]
Floats = NDArray[np.float64]

#: Side of the corner squares as a share of the shorter side of the image, (1 - sqrt(1/2)) / 2:
#: the largest that lie wholly outside the largest circle, where the light of a lens is least.
CORNER_SHARE = 0.1464

_NAMES = (
    "background level",
    "background scatter",
    "background pixel-to-pixel scatter",
    "background correlation of neighbours",
    "share of zeros",
    "share of negatives",
    "share of whole numbers",
    "smallest step between background values",
    "share of distinct background values",
    "smallest background pixel",
)


def noise_statistics(images: Images) -> FeatureTable:
    """Measure noise and quantisation in the four corners.

    Only corners are looked at, because a larger ring alone leaves fewer dark pixels in a whole
    image. Where light reaches the corners nevertheless, this family sees light too.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images.

    Returns
    -------
    FeatureTable
        A channel: the corners' level (median), their scatter (1.4826 times the median absolute
        deviation, a standard deviation where noise is normal), the scatter of differences of
        neighbours over the square root of two (noise alone, without gradients), the
        correlation of neighbours (a drizzled or smoothed background; zero where it is flat);
        the shares of zeros, negatives and whole numbers; the smallest step between distinct
        values and their number, over that of the pixels (quantisation); the smallest pixel.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(5, 2, size=(1, 1, 96, 96)).astype(np.float32)
    >>> table = noise_statistics(noise)
    >>> dict(zip(table.names, table.values[0].round(1)))["background scatter"]
    np.float64(2.0)
    """
    return by_channel(images, _NAMES, _columns)


def _columns(channel: Images) -> Floats:
    height, width = channel.shape[1:]
    side = min(max(2, int(min(height, width) * CORNER_SHARE)), min(height, width) // 2)
    near, far_y, far_x = slice(None, side), slice(height - side, None), slice(width - side, None)
    corners = np.stack(
        [channel[:, y, x] for y in (near, far_y) for x in (near, far_x)], axis=1
    )  # (N, 4, side, side)
    pixels = corners.reshape(len(channel), -1)
    ordered = np.sort(pixels, axis=1)
    level = np.median(ordered, axis=1).astype(np.float64)
    scatter = 1.4826 * np.median(np.abs(pixels - level[:, None]), axis=1)
    fine, correlation = _neighbours(corners.astype(np.float64))
    steps = np.diff(ordered, axis=1)
    smallest = np.where(steps > 0, steps, np.inf).min(axis=1)
    return np.stack(
        [
            level,
            scatter,
            fine,
            correlation,
            (pixels == 0).mean(axis=1),
            (pixels < 0).mean(axis=1),
            (pixels == np.rint(pixels)).mean(axis=1),
            np.where(np.isfinite(smallest), smallest, 0.0),
            ((steps > 0).sum(axis=1) + 1) / pixels.shape[1],
            ordered[:, 0],
        ],
        axis=1,
    ).astype(np.float64)


def _neighbours(corners: Floats) -> tuple[Floats, Floats]:
    """Scatter of differences of neighbours, and the correlation of what is next door."""
    number = len(corners)
    across = (corners[..., :, :-1], corners[..., :, 1:])
    down = (corners[..., :-1, :], corners[..., 1:, :])
    first, second = (
        np.concatenate([one.reshape(number, -1), other.reshape(number, -1)], axis=1)
        for one, other in zip(across, down, strict=True)
    )
    if first.shape[1] == 0:  # corners of one pixel have no neighbours
        return np.zeros(number), np.zeros(number)
    fine = np.std(first - second, axis=1) / np.sqrt(2)
    first = first - first.mean(axis=1, keepdims=True)
    second = second - second.mean(axis=1, keepdims=True)
    spread = np.sqrt((first**2).mean(axis=1) * (second**2).mean(axis=1))
    product = (first * second).mean(axis=1)
    correlation = np.divide(product, spread, out=np.zeros_like(product), where=spread > 0)
    return fine, correlation
