"""How sure a true-positive rate is whose threshold was set by a few negatives.

The share of positives above a known threshold is a binomial share. But the threshold that a rate of
false positives asks for is not known: it was read off the highest of the negatives, ten of them
where a thousand are to give one per cent, and that leaves more open than the positives do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float64]
#: Draws of a threshold, and of the share above it.
NUM_DRAWS = 4000


def threshold_draws(
    controls: ArrayLike,
    false_positive_rate: float,
    groups: NDArray[np.str_] | None = None,
    *,
    seed: int = 0,
    num: int = NUM_DRAWS,
) -> Floats:
    """Draw between which scores the true threshold lies.

    Of N independent negatives, the number above the threshold that has exactly this rate of false
    positives is binomial, whatever the distribution of the scores; so is what lies between two
    neighbouring scores [1]_.

    Parameters
    ----------
    controls : array_like, shape (N,)
        Scores of the negatives.
    false_positive_rate : float
        Between 0 and 1.
    groups : ndarray of str, shape (N,), optional
        Negatives that are not independent share a group: they count as fewer.
    seed : int, default 0
        Of the draws.
    num : int, default 4000
        How many.

    Returns
    -------
    ndarray, shape (num, 2)
        Two neighbouring scores each, the threshold lies between them; the upper is infinite where
        it lies above all.

    References
    ----------
    .. [1] Conover 1999, Practical Nonparametric Statistics, section 3.2: quantiles.

    Examples
    --------
    >>> draws = threshold_draws(np.arange(1000), 0.01)
    >>> [round(float(np.quantile(column, 0.5))) for column in draws.T]
    [989, 990]
    """
    ordered = np.sort(np.asarray(controls, dtype=np.float64))[::-1]
    count = len(ordered)
    middle = ordered[min(int(false_positive_rate * count), count - 1)]
    own = np.asarray(controls, dtype=np.float64) > middle
    independent = max(1, round(_effective_number(own, groups)))
    above = numpy_generator(seed, "threshold").binomial(independent, false_positive_rate, num)
    places = np.rint(above * (count / independent)).astype(np.int64)
    edges = np.concatenate([[np.inf], ordered])
    return np.stack([edges[np.minimum(places + 1, count)], edges[places]], axis=1)


def share_above(
    cases: ArrayLike,
    draws: Floats,
    groups: NDArray[np.str_] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Bound the share of all positives that lies above an uncertain threshold.

    A binomial share (Jeffreys' posterior [1]_) mixed over the draws of the threshold: its lower end
    from the upper scores, its upper end from the lower ones. It has a width where none or all are
    found.

    Parameters
    ----------
    cases : array_like, shape (N,)
        Scores of the positives.
    draws : ndarray, shape (R, 2)
        From `threshold_draws`.
    groups : ndarray of str, shape (N,), optional
        As there.
    level : float, default 0.95
        Of the interval.
    seed : int, default 0
        Of the mixture.

    Returns
    -------
    tuple of float
        Lower and upper end.

    References
    ----------
    .. [1] Brown, Cai & DasGupta 2001, Statistical Science 16, 101.

    Examples
    --------
    >>> draws = threshold_draws(np.arange(1000), 0.1)
    >>> low, high = share_above(np.arange(500, 1500), draws)
    >>> 0.55 < low < 0.6 < high < 0.65
    True
    """
    values = np.asarray(cases, dtype=np.float64)
    count, ordered = len(values), np.sort(values)
    own = values > np.median(draws[:, 0])
    independent = _effective_number(own, groups)
    random, ends = numpy_generator(seed, "share_above"), []
    for column, tail in ((1, (1 - level) / 2), (0, (1 + level) / 2)):
        found = 1 - np.searchsorted(ordered, draws[:, column], side="right") / count
        shares = random.beta(found * independent + 0.5, (1 - found) * independent + 0.5)
        ends.append(float(np.quantile(shares, tail)))
    return ends[0], ends[1]


def _effective_number(found: NDArray[np.bool_], groups: NDArray[np.str_] | None) -> float:
    """Number of independent images that would leave a share as uncertain as groups of them do."""
    count = len(found)
    if groups is None or len(np.unique(groups)) == count:
        return float(count)
    _, member = np.unique(groups, return_inverse=True)
    sizes, share = np.bincount(member).astype(np.float64), float(found.mean())
    if share in (0.0, 1.0):
        return float(count**2 / (sizes**2).sum())  # as if groups were of one mind
    excess = np.bincount(member, weights=found) - share * sizes
    variance = len(sizes) / max(1, len(sizes) - 1) * float((excess**2).sum()) / count**2
    return float(min(count, share * (1 - share) / max(variance, 1e-12)))
