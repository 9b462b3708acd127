"""Percentile bootstrap of AUCs: stratified by class, or by whole groups, vectorised.

References
----------
.. [1] Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
.. [2] Field & Welsh 2007, Journal of the Royal Statistical Society B 69, 369: the cluster
   bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import ConfigurationError, DataError
from darkarcs.evaluation.influence import has_clusters

Floats = NDArray[np.float64]

# Bounds the memory of one block of resamples: cells of (resamples, images).
_BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Bootstrap:
    """Resampled AUCs.

    Parameters
    ----------
    samples : NDArray of float64, shape (R, C)
        One-vs-rest AUC of each resample and class.
    unit : str
        What was drawn: ``"image"`` or ``"group"``.
    """

    samples: Floats
    unit: str

    @property
    def macro(self) -> Floats:
        """Mean over the classes of each resample, shape (R,)."""
        mean: Floats = self.samples.mean(axis=1)
        return mean


def percentile_interval(samples: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """Interval between two percentiles of resampled values [1]_.

    Parameters
    ----------
    samples : NDArray of float64, shape (R,)
        Resampled values.
    level : float, default 0.95
        Two-sided.

    Returns
    -------
    tuple of float or None
        None if all values are the same: resampling then says nothing about the uncertainty.

    References
    ----------
    .. [1] Efron & Tibshirani 1993, chapter 13.

    Examples
    --------
    >>> percentile_interval(np.arange(101.0), level=0.5)
    (25.0, 75.0)
    >>> percentile_interval(np.ones(50)) is None
    True
    """
    if np.ptp(samples) == 0:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_auc(
    scores: Floats,
    labels: NDArray[np.int64],
    classes: Sequence[int],
    groups: NDArray[np.str_],
    *,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Bootstrap:
    """Resample images within their class, or whole groups, and take the AUCs anew.

    Parameters
    ----------
    scores : NDArray of float64, shape (N, K) or (M, N, K)
        One-vs-rest scores of one model, or of M models on the same images; all models see the
        same resamples, so that differences are paired.
    labels : NDArray of int64, shape (N,)
        The truth.
    classes : sequence of int
        Whose AUCs are taken.
    groups : NDArray of str, shape (N,)
        Where a group repeats, groups are drawn instead of images, within the strata of groups
        that hold the same classes [2]_.
    num_resamples : int, default 2000
        At least one.
    seed : int, default 0
        Equal seeds give equal resamples.

    Returns
    -------
    Bootstrap
        For M models the columns are ``(model 0, class 0), (model 0, class 1), ...``.

    References
    ----------
    .. [2] Field & Welsh 2007, Journal of the Royal Statistical Society B 69, 369.
    """
    if num_resamples < 1:
        raise ConfigurationError(f"num_bootstrap = {num_resamples}: must be at least 1")
    stacked = scores[None] if scores.ndim == 2 else scores
    clustered = has_clusters(groups)
    if clustered:
        _, units = np.unique(groups, return_inverse=True)
    else:
        units = np.arange(len(labels))
    strata = _unit_strata(units, labels)
    rankings = [
        _Ranking(model[:, index], labels == index) for model in stacked for index in classes
    ]
    # The package's generators live beside torch's; evaluation stays importable without torch.
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    block = max(1, _BLOCK_CELLS // max(1, len(labels)))
    parts = []
    for start in range(0, num_resamples, block):
        size = min(block, num_resamples - start)
        weights = _draw(generator, strata, size)[:, units]
        parts.append(np.stack([ranking.areas(weights) for ranking in rankings], axis=1))
    return Bootstrap(np.concatenate(parts), "group" if clustered else "image")


def _unit_strata(units: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stratum of each unit: which classes it holds."""
    holds = np.zeros((int(units.max()) + 1, int(labels.max()) + 1), dtype=bool)
    holds[units, labels] = True
    _, strata = np.unique(holds, axis=0, return_inverse=True)
    return np.asarray(strata.reshape(-1), dtype=np.int64)


def _draw(
    generator: np.random.Generator, strata: NDArray[np.int64], size: int
) -> NDArray[np.float32]:
    """How often each unit is drawn in each resample, shape (size, units)."""
    counts = np.empty((size, len(strata)), dtype=np.float32)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        total = len(members)
        drawn = generator.integers(0, total, size=(size, total))
        drawn += np.arange(size)[:, None] * total
        counts[:, members] = np.bincount(drawn.ravel(), minlength=size * total).reshape(size, total)
    return counts


class _Ranking:
    """One class's images in the order of their scores, sorted once for all resamples."""

    def __init__(self, scores: Floats, positive: NDArray[np.bool_]) -> None:
        if positive.all() or not positive.any():
            raise DataError("a bootstrap needs at least one positive and one negative image")
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._tie_of = np.repeat(np.arange(len(starts)), np.diff([*starts, len(ordered)]))
        self._positive_at = np.flatnonzero(positive[order])
        self._negative_at = np.flatnonzero(~positive[order])
        self._order = order

    def areas(self, weights: NDArray[np.float32]) -> Floats:
        """AUC of each row of weights, shape (R,)."""
        negatives = weights[:, self._order[self._negative_at]]
        positives = weights[:, self._order[self._positive_at]]
        # cumulative[:, j] is the weight of the j lowest negatives; float32 holds these integers.
        cumulative = np.zeros((len(weights), negatives.shape[1] + 1), dtype=np.float32)
        np.cumsum(negatives, axis=1, out=cumulative[:, 1:])
        ties_of_negatives = self._tie_of[self._negative_at]
        ties_of_positives = self._tie_of[self._positive_at]
        below = np.searchsorted(ties_of_negatives, ties_of_positives, side="left")
        through = np.searchsorted(ties_of_negatives, ties_of_positives, side="right")
        won = cumulative[:, below] + cumulative[:, through]
        wins = np.einsum("rp,rp->r", positives, won, dtype=np.float64) / 2
        pairs = positives.sum(axis=1, dtype=np.float64) * cumulative[:, -1]
        areas: Floats = wins / pairs
        return areas
