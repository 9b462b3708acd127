"""How well maps find a known truth: pointing game and AUC over pixels.

References
----------
.. [1] Zhang et al. 2018, International Journal of Computer Vision 126, 1084: the pointing game.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from darkarcs.errors import DataError
from darkarcs.evaluation.bootstrap import percentile_interval
from darkarcs.evaluation.roc import auc
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def dilate(masks: Mask, radius: float) -> Mask:
    """Grow regions by a disc.

    Parameters
    ----------
    masks : NDArray of bool, shape (N, H, W)
        Regions.
    radius : float, pixels
        Of the disc; below 1 nothing changes.

    Returns
    -------
    NDArray of bool, shape (N, H, W)
        The regions and what lies within the radius.

    Examples
    --------
    >>> point = np.zeros((1, 5, 5), dtype=bool)
    >>> point[0, 2, 2] = True
    >>> int(dilate(point, 1).sum()), int(dilate(point, 2).sum())
    (5, 13)
    """
    reach = int(radius)
    if reach < 1:
        return masks.copy()
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(x, y) <= radius
    grown: Mask = np.stack([binary_dilation(mask, disc) for mask in masks])
    return grown


def pointing_game(maps: Floats, truth: Mask, inside: Mask | None = None) -> NDArray[np.float64]:
    """Say for each map whether its maximum lies in the true region [1]_.

    Parameters
    ----------
    maps : NDArray of float, shape (N, H, W)
        Larger means more.
    truth : NDArray of bool, shape (N, H, W)
        The true regions, tolerance included.
    inside : NDArray of bool, shape (N, H, W), optional
        Where the maximum is looked for; everywhere by default.

    Returns
    -------
    NDArray of float64, shape (N,)
        1 or 0; where several pixels share the maximum, the share of them that lies in the
        region, so that a flat map scores what chance would.

    References
    ----------
    .. [1] Zhang et al. 2018, International Journal of Computer Vision 126, 1084, section 4.1.

    Examples
    --------
    >>> truth = np.array([[[True, False], [False, False]]])
    >>> pointing_game(np.array([[[3.0, 1.0], [1.0, 1.0]]]), truth).tolist()
    [1.0]
    >>> pointing_game(np.zeros((1, 2, 2)), truth).tolist()
    [0.25]
    """
    values = np.asarray(maps, dtype=np.float64)
    if inside is not None:
        values = np.where(inside, values, -np.inf)
    top = values == values.max(axis=(1, 2), keepdims=True)
    hits: NDArray[np.float64] = (top & truth).sum(axis=(1, 2)) / top.sum(axis=(1, 2))
    return hits


def map_auc(maps: Floats, truth: Mask, inside: Mask) -> NDArray[np.float64]:
    """Area under the ROC curve of each map as a detector of the true pixels.

    Parameters
    ----------
    maps : NDArray of float, shape (N, H, W)
        Larger means more.
    truth : NDArray of bool, shape (N, H, W)
        The true pixels.
    inside : NDArray of bool, shape (N, H, W)
        Pixels that count: the arc. A map that only finds the arc scores one half.

    Returns
    -------
    NDArray of float64, shape (N,)
        NaN for an image whose arc is all true, or not at all.

    Examples
    --------
    >>> truth = np.array([[[True, False, False]]])
    >>> inside = np.array([[[True, True, False]]])
    >>> map_auc(np.array([[[2.0, 1.0, 9.0]]]), truth, inside).tolist()
    [1.0]
    """
    areas = np.full(len(maps), np.nan)
    for row, (values, region, arc) in enumerate(zip(maps, truth, inside, strict=True)):
        positive = region[arc]
        if positive.any() and not positive.all():
            areas[row] = auc(values[arc], positive)
    return areas


def _by_group(values: Floats, member: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Sum and number of the values of each group."""
    _, place = np.unique(member, return_inverse=True)
    sums = np.bincount(place, weights=values).astype(np.float64)
    return sums, np.bincount(place).astype(np.float64)


def score_maps(
    maps: Floats,
    truth: Mask,
    inside: Mask | None = None,
    *,
    groups: NDArray[Any] | None = None,
    tolerance: float = 0.0,
    num_bootstrap: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Score maps against true regions.

    Parameters
    ----------
    maps : NDArray of float, shape (N, H, W)
        Larger means more.
    truth : NDArray of bool, shape (N, H, W)
        The true pixels. Images without any are left out and counted.
    inside : NDArray of bool, shape (N, H, W), optional
        The arc: where pixels count for the AUC, and for ``pointing_in_arc``; the whole image by
        default.
    groups : NDArray, shape (N,), optional
        Images that are not independent, such as those of one source galaxy, share a group: whole
        groups are resampled.
    tolerance : float, default 0, pixels
        The pointing game counts a maximum this far from a true pixel as a hit.
    num_bootstrap : int, default 2000
        Resamples of the images, or groups.
    seed : int, default 0
        Of the bootstrap; equal seeds draw equal images for all maps.
    level : float, default 0.95
        Of the intervals.

    Returns
    -------
    dict
        Ready for JSON: ``n`` (images with a true region), ``num_without_truth``; ``pointing``,
        ``pointing_in_arc`` and ``auc``, each with ``value``, ``interval`` (over images; null
        where resampling says nothing), ``chance`` (what a map of noise reaches on average) and
        ``n``.

    Raises
    ------
    DataError
        If shapes differ, or no image has a true region.
    """
    inside = np.ones_like(truth) if inside is None else inside
    if not (maps.shape == truth.shape == inside.shape) or maps.ndim != 3:
        raise DataError(
            f"maps {maps.shape}, truth {truth.shape} and arcs {inside.shape} must all be (N, H, W)"
        )
    if not np.isfinite(maps).all():
        raise DataError("a map holds values that are not finite")
    there = (truth & inside).any(axis=(1, 2))
    if not there.any():
        raise DataError("no image has a true region inside its arc: lower the threshold")
    names = np.arange(len(maps)) if groups is None else groups
    member = np.unique(names, return_inverse=True)[1][there]
    maps, truth, inside = maps[there], truth[there], inside[there]
    region = dilate(truth, tolerance)
    scores = {
        "pointing": (pointing_game(maps, region), region.mean(axis=(1, 2))),
        "pointing_in_arc": (
            pointing_game(maps, region, inside),
            (region & inside).sum(axis=(1, 2)) / inside.sum(axis=(1, 2)),
        ),
        "auc": (map_auc(maps, truth, inside), np.full(len(maps), 0.5)),
    }
    summary: dict[str, Any] = {"n": int(there.sum()), "num_without_truth": int((~there).sum())}
    for name, (values, chance) in scores.items():
        kept = ~np.isnan(values)
        if not kept.any():
            summary[name] = {"value": None, "interval": None, "chance": None, "n": 0}
            continue
        found = values[kept]
        sums, sizes = _by_group(found, member[kept])
        generator = numpy_generator(seed, "map scores", len(sums))
        drawn = generator.integers(0, len(sums), (num_bootstrap, len(sums)))
        means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        interval = percentile_interval(means, level)
        summary[name] = {
            "value": float(found.mean()),
            "interval": None if interval is None else list(interval),
            "chance": float(chance[kept].mean()),
            "n": len(found),
        }
    return summary
