r"""From scores to one p-value, and the rule by which an image is flagged.

Scores of different kinds are made comparable by their *surprise*, minus the log of the share of
training images that are at least as strange; beyond the strangest twentieth the share is taken
to fall exponentially, so that the surprise has no ceiling. How fast, the median of the tail says:
its mean would be that of a few freaks, and make everything look ordinary beside them. An image's
surprise is the sum over its scores (in older files the largest). Among `n` validation images, of
which neither the references nor the tails know anything, it has the conformal p-value [1]_

.. math:: p = \frac{1 + \#\{i : s_i \ge s\}}{n + 1}

which for an image of the same distribution is at most :math:`\alpha` with probability at most
:math:`\alpha`, whatever the scores. An image is flagged where :math:`p \le k / (n + 1)`. The
share of flagged images, given the validation set, is then at most Beta distributed with
parameters :math:`k, n + 1 - k` [2]_ [3]_; `k` is the largest rank with which it stays below the
rate that is allowed with the confidence that is asked for.

References
----------
.. [1] Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World, section 2.2.
.. [2] Wilks 1941, Annals of Mathematical Statistics 12, 91: tolerance limits.
.. [3] Vovk 2012, ACML, PMLR 25, 475: training-conditional validity, proposition 2a.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Floats = NDArray[np.float64]

#: Share of training images that the tail is fitted to.
TAIL_SHARE = 0.05
#: Quantiles of the scores that are kept below the tail.
NUM_KNOTS = 40
#: Of in-distribution images that may be flagged, and how sure one is of that.
ALLOWED_RATE, CONFIDENCE = 0.01, 0.95


@dataclass(frozen=True)
class Tail:
    """How often training images reach a score.

    Attributes
    ----------
    knots : ndarray, shape (NUM_KNOTS,)
        Quantiles from 0 to one minus `TAIL_SHARE`, evenly spaced in probability.
    excess : float
        Scale of what the tail has above the last knot, its median over ln 2; positive.
    """

    knots: Floats
    excess: float

    @classmethod
    def fit(cls, scores: Floats) -> Tail:
        """Fit to scores of training images that the scores' references were not fitted to.

        Parameters
        ----------
        scores : ndarray, shape (N,)
            Larger is stranger; at least one.

        Returns
        -------
        Tail
            Where all scores are equal, a tiny excess makes any larger score strange.
        """
        knots = np.quantile(scores, np.linspace(0, 1 - TAIL_SHARE, NUM_KNOTS))
        beyond = scores[scores > knots[-1]] - knots[-1]
        least = 1e-6 * max(float(np.abs(scores).max()), 1e-12)
        scale = float(np.median(beyond)) / np.log(2) if beyond.size else 0.0
        return cls(knots, max(scale, least))

    def surprise(self, scores: Floats) -> Floats:
        """Minus the log of the share of training images that are at least as strange.

        Parameters
        ----------
        scores : ndarray, shape (N,)
            Of any images.

        Returns
        -------
        ndarray, shape (N,), nats
            At least 0, and never falls with the score. Of equal knots the first counts: whoever is
            as strange as many is no stranger than they are.

        Examples
        --------
        >>> tail = Tail(np.linspace(0.0, 0.95, NUM_KNOTS), excess=0.025)
        >>> tail.surprise(np.array([-1.0, 0.5, 0.95, 1.0])).round(2).tolist()
        [0.0, 0.69, 3.0, 5.0]
        """
        shares = np.linspace(0, 1 - TAIL_SHARE, NUM_KNOTS)
        first = np.minimum(np.searchsorted(self.knots, scores, side="left"), NUM_KNOTS - 1)
        tied = self.knots[first] == scores
        below = np.where(tied, shares[first], np.interp(scores, self.knots, shares))
        above = np.maximum(scores - self.knots[-1], 0.0) / self.excess
        surprise: Floats = -np.log1p(-below) + above
        return surprise


def conformal_p_values(scores: Floats, calibration: Floats) -> Floats:
    """Share of calibration images that are at least as strange, the image itself counted [1]_.

    Parameters
    ----------
    scores : ndarray, shape (N,)
        Larger is stranger.
    calibration : ndarray, shape (n,)
        Scores of images of the distribution, sorted.

    Returns
    -------
    ndarray, shape (N,)
        Multiples of 1 / (n + 1), at least one and at most n + 1 of them.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer 2005, section 2.2.

    Examples
    --------
    >>> conformal_p_values(np.array([0.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.75, 0.25]
    """
    at_least = len(calibration) - np.searchsorted(calibration, scores, side="left")
    return np.asarray((1.0 + at_least) / (len(calibration) + 1.0), dtype=np.float64)


def flag_rank(
    num_calibration: int, rate: float = ALLOWED_RATE, confidence: float = CONFIDENCE
) -> int:
    """Largest rank `k` whose flag rate stays below ``rate`` with ``confidence`` [2]_ [3]_.

    Parameters
    ----------
    num_calibration : int
        Validation images `n`.
    rate : float, default 0.01
        Of in-distribution images that may be flagged.
    confidence : float, default 0.95
        Over the draw of the validation images.

    Returns
    -------
    int
        At least 1: with fewer than 299 images (of the defaults) an image must be stranger than
        all of them and even so nobody can promise the rate; see `guaranteed_rate`.

    References
    ----------
    .. [2] Wilks 1941, Annals of Mathematical Statistics 12, 91.
    .. [3] Vovk 2012, PMLR 25, 475, proposition 2a.

    Examples
    --------
    >>> [flag_rank(n) for n in (100, 298, 299, 800, 2048)]
    [1, 1, 1, 4, 13]
    """
    # the rate exceeds r when fewer than k of n uniform p-values lie below r
    ranks = np.arange(1, num_calibration + 1)
    fits = binom.cdf(ranks - 1, num_calibration, rate) <= 1 - confidence
    return max(1, int(fits.sum()))


def guaranteed_rate(num_calibration: int, rank: int, confidence: float = CONFIDENCE) -> float:
    """Flag rate that is not exceeded with some confidence: a quantile of Beta(k, n + 1 - k).

    Parameters
    ----------
    num_calibration : int
        Validation images.
    rank : int
        From `flag_rank`.
    confidence : float, default 0.95
        Over the draw of the validation images.

    Returns
    -------
    float
        In (0, 1].

    Examples
    --------
    >>> round(guaranteed_rate(800, flag_rank(800)), 4), round(guaranteed_rate(50, 1), 3)
    (0.0097, 0.058)
    """
    low, high = 0.0, 1.0
    for _ in range(60):  # the chance of a larger rate falls with the rate
        middle = (low + high) / 2
        if binom.cdf(rank - 1, num_calibration, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high
