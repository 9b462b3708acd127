"""DeLong's variance of areas under ROC curves, in O(N log N) by midranks.

References
----------
.. [1] DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837: the estimator.
.. [2] Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389: the fast algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from darkarcs.errors import DataError

Floats = NDArray[np.float64]


def placements(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Share of the other class that each image is ranked rightly against.

    Parameters
    ----------
    scores : NDArray of float64, shape (N,)
        Higher means more likely positive.
    positive : NDArray of bool, shape (N,)
        The truth, both classes present.

    Returns
    -------
    NDArray of float64, shape (N,)
        For a positive, the share of the negatives below it; for a negative, the share of the
        positives above it; ties count one half. The structural components of [1]_, computed
        from midranks, eqs. 5-6 of [2]_. Their mean over either class is the AUC.

    References
    ----------
    .. [1] DeLong et al. 1988, Biometrics 44, 837, eqs. 4-5.
    .. [2] Sun & Xu 2014, IEEE Signal Processing Letters 21, 1389.

    Examples
    --------
    >>> placements(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 1, 0, 1], bool)).tolist()
    [1.0, 0.75, 0.75, 1.0]
    """
    positive = np.asarray(positive, dtype=bool)
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_negative:
        raise DataError("DeLong's variance needs at least one positive and one negative image")
    overall = rankdata(scores)
    share = np.empty(len(positive))
    share[positive] = (overall[positive] - rankdata(scores[positive])) / num_negative
    share[~positive] = 1 - (overall[~positive] - rankdata(scores[~positive])) / num_positive
    return share


def delong_covariance(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Areas under the curves of several scores on the same images, and their covariance.

    Parameters
    ----------
    scores : NDArray of float64, shape (M, N)
        M scores of N images.
    positive : NDArray of bool, shape (N,)
        The truth.

    Returns
    -------
    areas : NDArray of float64, shape (M,)
        The AUCs.
    covariance : NDArray of float64, shape (M, M)
        DeLong's estimate [1]_, with ``n - 1`` in the denominators.

    Raises
    ------
    DataError
        If either class has fewer than two images.

    References
    ----------
    .. [1] DeLong et al. 1988, Biometrics 44, 837, eqs. 4-6.
    """
    positive = np.asarray(positive, dtype=bool)
    if min(positive.sum(), (~positive).sum()) < 2:
        raise DataError("DeLong's variance needs two images of each of the two classes")
    shares = np.stack([placements(row, positive) for row in np.atleast_2d(scores)])
    covariance = np.zeros((len(shares), len(shares)))
    for member in (positive, ~positive):
        covariance += np.atleast_2d(np.cov(shares[:, member])) / member.sum()
    return shares[:, positive].mean(axis=1), covariance


@dataclass(frozen=True)
class PairedTest:
    """Two areas under the curve measured on the same images.

    Parameters
    ----------
    first, second : float
        The AUCs.
    difference : float
        First minus second.
    standard_error : float
        Of the difference.
    interval : tuple of float or None
        Of the difference, at the level asked for; None where the error is zero.
    z : float or None
        Difference over its standard error; None where the error is zero.
    p_value : float
        Two-sided. Where the standard error is zero: 1 for equal areas, else 0.
    """

    first: float
    second: float
    difference: float
    standard_error: float
    interval: tuple[float, float] | None
    z: float | None
    p_value: float


def delong_test(
    first: Floats, second: Floats, positive: NDArray[np.bool_], level: float = 0.95
) -> PairedTest:
    """Test whether two scores of the same images have the same AUC.

    Parameters
    ----------
    first, second : NDArray of float64, shape (N,)
        The scores.
    positive : NDArray of bool, shape (N,)
        The truth.
    level : float, default 0.95
        Of the interval of the difference.

    Returns
    -------
    PairedTest
        DeLong's test for correlated curves.
    """
    areas, covariance = delong_covariance(np.stack([first, second]), positive)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return paired_test(float(areas[0]), float(areas[1]), variance, level)


def paired_test(first: float, second: float, variance: float, level: float = 0.95) -> PairedTest:
    """Normal test of a difference with a known variance.

    Parameters
    ----------
    first, second : float
        What was measured.
    variance : float
        Of the difference; rounding below zero counts as zero.
    level : float, default 0.95
        Of the interval.

    Returns
    -------
    PairedTest
        The difference, its interval and two-sided p-value.
    """
    difference = first - second
    error = float(np.sqrt(variance)) if variance > 1e-18 else 0.0
    if not error:
        return PairedTest(first, second, difference, 0.0, None, None, float(difference == 0))
    half = float(norm.isf((1 - level) / 2)) * error
    z = difference / error
    p_value = float(2 * norm.sf(abs(z)))
    interval = (difference - half, difference + half)
    return PairedTest(first, second, difference, error, interval, z, p_value)
