r"""From strengths of signals to the AUC of the observer that is told the most, and its interval.

For Gaussian noise, an observer that knows both images of a pair has a log-likelihood ratio that
is normal with mean :math:`\pm d^2/2` and variance :math:`d^2`. Of a case of strength
:math:`d_i` and a control whose alternative has the strength :math:`d_j`, it ranks the case higher
with probability

.. math:: P_{ij} = \Phi\left(\tfrac12 \sqrt{d_i^2 + d_j^2}\right),

which for two images of one lens (i = j) is :math:`\Phi(d / \sqrt 2)`. The mean of the diagonal is
the paired AUC; the mean of all else is the pooled one, an ordinary AUC over independent images.

References
----------
.. [1] Green & Swets 1966, Signal Detection Theory and Psychophysics.
.. [2] Barrett & Myers 2004, Foundations of Image Science, section 13.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

from darkarcs.errors import DataError
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float64]

_RESAMPLES = 1000


@dataclass(frozen=True)
class Area:
    """An AUC with its interval.

    Attributes
    ----------
    value : float
        The AUC.
    low, high : float
        95 % interval, from resampled lenses.
    """

    value: float
    low: float
    high: float


def paired_auc(strengths: Floats) -> float:
    """Mean probability to tell the two images of a pair apart.

    Parameters
    ----------
    strengths : ndarray, shape (N,)
        d of each pair.

    Returns
    -------
    float
        Mean of Phi(d / sqrt 2).

    Examples
    --------
    >>> round(paired_auc(np.array([0.0, 2.0])), 4)
    0.7107
    """
    return float(ndtr(_checked(strengths) / np.sqrt(2)).mean())


def pooled_auc(cases: Floats, controls: Floats | None = None) -> float:
    """Probability that a case ranks above a control of another lens.

    Parameters
    ----------
    cases : ndarray, shape (N,)
        d of the lenses that are seen with their substructure.
    controls : ndarray, shape (M,), optional
        d of the lenses that are seen without; by default those of the cases, each lens beside
        all others.

    Returns
    -------
    float
        Mean of Phi(sqrt(d_i^2 + d_j^2) / 2).

    Examples
    --------
    >>> round(pooled_auc(np.array([2.0, 2.0])), 4), round(paired_auc(np.array([2.0])), 4)
    (0.9214, 0.9214)
    """
    if controls is not None:
        square = np.add.outer(_checked(cases) ** 2, _checked(controls) ** 2)
        return float(ndtr(np.sqrt(square) / 2).mean())
    return pooled_area(oracle_matrix(cases)).value


def oracle_matrix(strengths: Floats) -> Floats:
    """Compute the probability that a case of one lens ranks above a control of another.

    Parameters
    ----------
    strengths : ndarray, shape (N,)
        d of each lens.

    Returns
    -------
    ndarray, shape (N, N)
        Cases by controls.
    """
    square = _checked(strengths) ** 2
    return np.asarray(ndtr(np.sqrt(np.add.outer(square, square)) / 2))


def scores_matrix(cases: Floats, controls: Floats) -> Floats:
    """Compute the same probability from simulated scores: the AUC of each lens against each.

    Parameters
    ----------
    cases : ndarray, shape (N, S)
        Scores of S images of each lens with substructure.
    controls : ndarray, shape (N, R)
        Scores of R images of each lens without.

    Returns
    -------
    ndarray, shape (N, N)
        Ties count one half.

    Examples
    --------
    >>> scores_matrix(np.array([[1.0, 3.0]]), np.array([[0.0, 2.0]])).tolist()
    [[0.75]]
    """
    num = cases.shape[1]
    matrix = np.empty((len(cases), len(controls)))
    for j, control in enumerate(controls):
        both = np.concatenate([cases, np.broadcast_to(control, (len(cases), len(control)))], axis=1)
        ranks = rankdata(both, axis=1)[:, :num].sum(axis=1)
        matrix[:, j] = (ranks - num * (num + 1) / 2) / (num * len(control))
    return matrix


def paired_area(matrix: Floats, seed: int = 0) -> Area:
    """Summarize the diagonal: images of one lens against each other.

    Parameters
    ----------
    matrix : ndarray, shape (N, N)
        From `oracle_matrix` or `scores_matrix`.
    seed : int, default 0
        Of the resampling.

    Returns
    -------
    Area
        Mean, with the interval over lenses.
    """
    own = np.diagonal(matrix)
    counts = _resampled(len(own), seed)
    return _area(float(own.mean()), counts @ own / len(own))


def pooled_area(matrix: Floats, seed: int = 0) -> Area:
    """Summarize all but the diagonal: images of different lenses against each other.

    Parameters
    ----------
    matrix : ndarray, shape (N, N)
        From `oracle_matrix` or `scores_matrix`.
    seed : int, default 0
        Of the resampling.

    Returns
    -------
    Area
        Mean, with the interval over lenses, which are drawn with all their images.

    Raises
    ------
    DataError
        If there is one lens only.
    """
    num = len(matrix)
    if num < 2:
        raise DataError("a pooled AUC compares different lenses: give two at least")
    others = matrix.copy()
    np.fill_diagonal(others, 0.0)
    counts = _resampled(num, seed)
    sums = np.einsum("rn,rn->r", counts @ others, counts)
    pairs = num**2 - (counts**2).sum(axis=1)
    some = pairs > 0  # few lenses: a resample may hold one of them only
    return _area(float(others.sum() / (num * (num - 1))), sums[some] / pairs[some])


def _area(value: float, samples: Floats) -> Area:
    low, high = np.quantile(samples, [0.025, 0.975])
    return Area(value, float(low), float(high))


def _resampled(num: int, seed: int) -> Floats:
    """How often each lens is in each resample, shape (R, N)."""
    random = numpy_generator(seed, "limits", "resampled lenses")
    drawn = random.multinomial(num, np.full(num, 1 / num), size=_RESAMPLES)
    return np.asarray(drawn, dtype=np.float64)


def _checked(strengths: Floats) -> Floats:
    strengths = np.asarray(strengths, dtype=np.float64)
    if strengths.ndim != 1 or not len(strengths) or not (strengths >= 0).all():
        raise DataError("strengths are a list of numbers that are not negative")
    return strengths
