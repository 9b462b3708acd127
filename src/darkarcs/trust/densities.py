"""Distances from what was seen in training; larger is stranger. NumPy alone, no state but data.

References
----------
.. [1] Liu, Wang, Owens & Li 2020, NeurIPS, arXiv 2010.03759, equation 4: energy.
.. [2] Lee, Lee, Lee & Shin 2018, NeurIPS, arXiv 1807.03888, equation 2: class-conditional
   Mahalanobis distance with one shared covariance.
.. [3] Ledoit & Wolf 2004, Journal of Multivariate Analysis 88, 365: shrunk covariance.
.. [4] Sun, Ming, Zhu & Li 2022, ICML, arXiv 2204.06507: distance to the k-th neighbour among
   normalized features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf

Floats = NDArray[np.float64]


def energy(logits: Floats) -> Floats:
    r"""Free energy of logits, :math:`-\log\sum_k e^{z_k}` [1]_.

    Parameters
    ----------
    logits : ndarray, shape (N, K)
        Raw, divided by a temperature if there is one.

    Returns
    -------
    ndarray, shape (N,)
        Low where some class is claimed with strength.

    References
    ----------
    .. [1] Liu et al. 2020, arXiv 2010.03759, equation 4.

    Examples
    --------
    >>> energy(np.array([[0.0, 0.0]])).round(4).tolist()
    [-0.6931]
    """
    return -np.asarray(logsumexp(np.asarray(logits, dtype=np.float64), axis=1))


@dataclass(frozen=True)
class GaussianClasses:
    """Gaussians, one a class, of one shared covariance.

    Attributes
    ----------
    means : ndarray, shape (K, D)
        One a class.
    whitening : ndarray, shape (D, D)
        A matrix W for which W Wᵀ is the inverse of the covariance.
    """

    means: Floats
    whitening: Floats

    @classmethod
    def fit(cls, values: Floats, labels: NDArray[np.int64] | None = None) -> GaussianClasses:
        """Fit means by class and the shrunk covariance about them [3]_.

        Parameters
        ----------
        values : ndarray, shape (N, D)
            Of training images.
        labels : ndarray of int64, shape (N,), optional
            Their classes; one Gaussian for all by default.

        Returns
        -------
        GaussianClasses
            Directions in which nothing varies are given a variance of a millionth of the
            largest, so that leaving them is strange but finite.

        References
        ----------
        .. [3] Ledoit & Wolf 2004, Journal of Multivariate Analysis 88, 365.
        """
        values = np.asarray(values, dtype=np.float64)
        labels = np.zeros(len(values), dtype=np.int64) if labels is None else labels
        present = np.unique(labels)
        means = np.stack([values[labels == label].mean(axis=0) for label in present])
        centred = values - means[np.searchsorted(present, labels)]
        spread = np.sqrt((centred**2).mean(axis=0))
        # in units of each column's spread: shrinkage is towards equal variances
        unit = np.maximum(spread, 1e-6 * max(float(spread.max(initial=0.0)), 1e-12))
        covariance = LedoitWolf(assume_centered=True).fit(centred / unit).covariance_
        variances, axes = np.linalg.eigh(covariance)
        kept = np.maximum(variances, 1e-6 * max(float(variances.max()), 1e-12))
        halves, scale = halve(axes / np.sqrt(kept) / unit[:, None])
        return cls(means.astype(np.float32).astype(np.float64), halves.astype(np.float64) * scale)

    def distance(self, values: Floats) -> Floats:
        """Mahalanobis distance to the nearest class [2]_.

        Parameters
        ----------
        values : ndarray, shape (N, D)
            Of any images.

        Returns
        -------
        ndarray, shape (N,)
            Not squared.

        References
        ----------
        .. [2] Lee et al. 2018, arXiv 1807.03888, equation 2.
        """
        whitened = np.asarray(values, dtype=np.float64) @ self.whitening
        centres = self.means @ self.whitening
        distance: Floats = np.sqrt(_squared_distances(whitened, centres).min(axis=1))
        return distance


def halve(matrix: Floats) -> tuple[NDArray[np.float16], Floats]:
    """Store a matrix in 16 bits a number, each column in units of its largest.

    A reference is rounded like this when it is fitted, so that its file changes nothing.

    Parameters
    ----------
    matrix : ndarray, shape (D, E)
        Finite.

    Returns
    -------
    halves : ndarray of float16, shape (D, E)
        Between -1 and 1.
    scale : ndarray, shape (E,)
        Factor of each column, exact in single precision.

    Examples
    --------
    >>> halves, scale = halve(np.array([[3.0, 0.0], [-1.5, 0.0]]))
    >>> (halves * scale).tolist(), scale.tolist()
    ([[3.0, 0.0], [-1.5, 0.0]], [3.0, 1.0])
    """
    largest = np.abs(matrix).max(axis=0).astype(np.float32).astype(np.float64)
    scale = np.where(largest > 0, largest, 1.0)
    return (matrix / scale).astype(np.float16), scale


def neighbour_distance(values: Floats, reference: Floats, neighbour: int) -> Floats:
    """Distance to the k-th nearest member of a reference set [4]_.

    Parameters
    ----------
    values : ndarray, shape (N, D)
        Of any images.
    reference : ndarray, shape (R, D)
        Of training images.
    neighbour : int
        Which; 1 is the nearest.

    Returns
    -------
    ndarray, shape (N,)
        Euclidean.

    References
    ----------
    .. [4] Sun et al. 2022, arXiv 2204.06507.

    Examples
    --------
    >>> neighbour_distance(np.array([[0.0]]), np.array([[1.0], [2.0], [-3.0]]), 2).tolist()
    [2.0]
    """
    squares = _squared_distances(values, reference)
    position = min(neighbour, len(reference)) - 1
    distance: Floats = np.sqrt(np.partition(squares, position, axis=1)[:, position])
    return distance


def unit_length(values: Floats) -> Floats:
    """Scale each row to length 1; a row of zeros stays.

    Parameters
    ----------
    values : ndarray, shape (N, D)
        Features.

    Returns
    -------
    ndarray, shape (N, D)
        On the unit sphere.
    """
    values = np.asarray(values, dtype=np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(lengths > 0, lengths, 1.0)


def _squared_distances(values: Floats, others: Floats) -> Floats:
    """Squared distances (N, M), by one product rather than N times M differences."""
    middle = others.mean(axis=0)  # differences of large numbers lose digits
    left, right = values - middle, others - middle
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    positive: Floats = np.maximum(squares, 0.0)
    return positive
