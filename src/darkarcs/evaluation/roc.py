"""One-vs-rest scores, areas under the curve, curves and thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata
from sklearn.metrics import roc_curve as sklearn_roc_curve

from darkarcs.errors import DataError

Floats = NDArray[np.float64]


def one_vs_rest_scores(logits: Floats) -> Floats:
    r"""Log-odds of each class against all others.

    .. math:: s_c = \log\frac{p_c}{1 - p_c} = z_c - \log\sum_{k \ne c} e^{z_k}

    The log-odds rank images exactly as the softmax probabilities do, but do not saturate: a
    probability rounds to 1 from :math:`s_c \approx 37` on, and the ties that this makes would
    bias the AUC of a confident model.

    Parameters
    ----------
    logits : NDArray of float64, shape (N, K)
        Before softmax.

    Returns
    -------
    NDArray of float64, shape (N, K)
        The scores; for two classes, the difference of the logits and its negative.

    Examples
    --------
    >>> one_vs_rest_scores(np.array([[1.0, 3.0]])).tolist()
    [[-2.0, 2.0]]
    """
    logits = np.asarray(logits, dtype=np.float64)
    scores = np.empty_like(logits)
    for index in range(logits.shape[1]):
        rest = np.delete(logits, index, axis=1)
        others = rest[:, 0] if rest.shape[1] == 1 else logsumexp(rest, axis=1)
        scores[:, index] = logits[:, index] - others
    return scores


def auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative.

    Parameters
    ----------
    scores : NDArray of float64, shape (N,)
        Higher means more likely positive; a tie counts one half.
    positive : NDArray of bool, shape (N,)
        The truth.

    Returns
    -------
    float
        Mann and Whitney's U over the number of pairs.

    Raises
    ------
    DataError
        If one of the two classes is empty.

    Examples
    --------
    >>> auc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True]))
    0.875
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    if not num_positive or not num_negative:
        raise DataError("an AUC needs at least one positive and one negative image")
    ranks = rankdata(scores)
    excess = float(ranks[positive].sum()) - num_positive * (num_positive + 1) / 2
    return excess / (num_positive * num_negative)


def per_class_auc(scores: Floats, labels: NDArray[np.int64]) -> list[float | None]:
    """One-vs-rest AUC of each class.

    Parameters
    ----------
    scores : NDArray of float64, shape (N, K)
        From `one_vs_rest_scores`.
    labels : NDArray of int64, shape (N,)
        The truth.

    Returns
    -------
    list of float or None
        None for a class that has no image, or all images.
    """
    areas: list[float | None] = []
    for index in range(scores.shape[1]):
        positive = labels == index
        mixed = bool(positive.any()) and not bool(positive.all())
        areas.append(auc(scores[:, index], positive) if mixed else None)
    return areas


def macro_auc(logits: Floats, labels: NDArray[np.int64]) -> float:
    """Unweighted mean of the one-vs-rest AUCs of the classes that have images.

    Parameters
    ----------
    logits : NDArray of float64, shape (N, K)
        Before softmax.
    labels : NDArray of int64, shape (N,)
        The truth.

    Returns
    -------
    float
        For two classes, the AUC of the second (the first has the same).

    Raises
    ------
    DataError
        If there are images of one class only.

    Examples
    --------
    >>> macro_auc(np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 1]))
    1.0
    """
    areas = per_class_auc(one_vs_rest_scores(logits), np.asarray(labels))
    present = [area for area in areas if area is not None]
    if not present:
        raise DataError("an AUC needs images of two classes")
    return present[-1] if len(areas) == 2 else float(np.mean(present))


@dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic.

    Parameters
    ----------
    false_positive_rate : NDArray of float64, shape (P,)
        From 0 to 1.
    true_positive_rate : NDArray of float64, shape (P,)
        From 0 to 1.
    thresholds : NDArray of float64, shape (P,)
        The score from which on an image is called positive; the first is infinite.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats


def roc_curve(scores: Floats, positive: NDArray[np.bool_]) -> RocCurve:
    """ROC curve of one class, without points that lie on a straight line.

    Parameters
    ----------
    scores : NDArray of float64, shape (N,)
        Higher means more likely positive.
    positive : NDArray of bool, shape (N,)
        The truth.

    Returns
    -------
    RocCurve
        The corner points.

    Raises
    ------
    DataError
        If one of the two classes is empty.
    """
    positive = np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        raise DataError("a ROC curve needs at least one positive and one negative image")
    return RocCurve(*sklearn_roc_curve(positive, scores))


def threshold_at(
    scores: Floats, positive: NDArray[np.bool_], false_positive_rate: float
) -> tuple[float | None, float, float]:
    """Lowest threshold whose false-positive rate does not exceed a chosen one.

    Parameters
    ----------
    scores : NDArray of float64, shape (N,)
        Higher means more likely positive.
    positive : NDArray of bool, shape (N,)
        The truth, both classes present.
    false_positive_rate : float
        At most this fraction of the negatives may reach the threshold.

    Returns
    -------
    threshold : float or None
        An observed score; images at or above it are called positive. None if no score will do.
    false_positive_rate : float
        What is reached, a multiple of one over the number of negatives.
    true_positive_rate : float
        What is found at that threshold.

    Examples
    --------
    >>> threshold_at(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1], bool), 0.1)
    (0.8, 0.0, 0.5)
    """
    positives, negatives = scores[positive], np.sort(scores[~positive])[::-1]
    # floor(0.29 * 100) is 28 in floating point: a hair is added before cutting.
    allowed = int(false_positive_rate * len(negatives) * (1 + 1e-12))
    if allowed >= len(negatives):
        return float(scores.min()), 1.0, 1.0
    above = scores[scores > negatives[allowed]]
    if len(above) == 0:
        return None, 0.0, 0.0
    threshold = float(above.min())
    return threshold, float((negatives >= threshold).mean()), float((positives >= threshold).mean())
