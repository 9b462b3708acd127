"""Whether probabilities mean what they say.

References
----------
.. [1] Guo, Pleiss, Sun & Weinberger 2017, ICML: expected calibration error in bins of equal
   width, and temperature scaling.
.. [2] Nguyen & O'Connor 2015, EMNLP; Roelofs et al. 2022, AISTATS: bins of equal mass, less
   biased where confidences pile up next to 1.
.. [3] Brier 1950, Monthly Weather Review 78, 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from darkarcs.errors import DataError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bins = Literal["equal_width", "equal_mass"]

#: Between which temperatures the fit looks; a perfectly separated set wants zero.
TEMPERATURE_BOUNDS = (0.01, 100.0)


def reliability(
    confidence: Floats, correct: NDArray[np.bool_], bins: Bins = "equal_mass", num_bins: int = 15
) -> list[dict[str, Any]]:
    """Compare what was claimed with what came true, bin by bin.

    Parameters
    ----------
    confidence : NDArray of float64, shape (N,)
        Claimed probability, in [0, 1].
    correct : NDArray of bool, shape (N,)
        Whether it came true.
    bins : {"equal_mass", "equal_width"}
        Equal numbers of images, or equal steps of probability.
    num_bins : int, default 15
        At most this many; empty bins are left out.

    Returns
    -------
    list of dict
        Per bin ``low``, ``high`` (of the confidences in it, or of the step), ``confidence`` and
        ``accuracy`` (means), ``count``.

    Examples
    --------
    >>> table = reliability(np.array([0.6, 0.9]), np.array([False, True]), "equal_width", 2)
    >>> [(row["count"], row["accuracy"], round(row["confidence"], 2)) for row in table]
    [(2, 0.5, 0.75)]
    """
    order = np.argsort(confidence, kind="stable")
    ordered = confidence[order]
    if bins == "equal_mass":
        cuts = np.linspace(0, len(ordered), num_bins + 1).round().astype(int)
        parts = [(order[a:b], None, None) for a, b in pairwise(cuts)]
    else:
        edges = np.linspace(0, 1, num_bins + 1)
        cuts = np.searchsorted(ordered, edges[1:-1], side="right")
        cuts = np.concatenate([[0], cuts, [len(ordered)]])
        parts = [
            (order[a:b], low, high)
            for a, b, low, high in zip(cuts[:-1], cuts[1:], edges[:-1], edges[1:], strict=True)
        ]
    return [
        {
            "low": float(confidence[part].min() if low is None else low),
            "high": float(confidence[part].max() if high is None else high),
            "confidence": float(confidence[part].mean()),
            "accuracy": float(correct[part].mean()),
            "count": len(part),
        }
        for part, low, high in parts
        if len(part)
    ]


def expected_calibration_error(table: list[dict[str, Any]]) -> float:
    """Mean distance between claimed and reached, weighted by the number of images.

    Parameters
    ----------
    table : list of dict
        From `reliability`.

    Returns
    -------
    float
        In [0, 1]; zero only for a calibrated model, but biased upwards for few images [2]_.

    References
    ----------
    .. [2] Roelofs et al. 2022, AISTATS.
    """
    total = sum(row["count"] for row in table)
    gaps = (row["count"] * abs(row["confidence"] - row["accuracy"]) for row in table)
    return float(sum(gaps) / total)


def brier_score(probabilities: Floats, labels: Integers) -> float:
    """Mean squared distance to the truth, summed over the classes, in [0, 2] [3]_.

    Parameters
    ----------
    probabilities : NDArray of float64, shape (N, K)
        Each row sums to one.
    labels : NDArray of int64, shape (N,)
        The truth.

    Returns
    -------
    float
        Zero for certainty that is right.

    References
    ----------
    .. [3] Brier 1950, Monthly Weather Review 78, 1.

    Examples
    --------
    >>> brier_score(np.array([[0.5, 0.5]]), np.array([0]))
    0.5
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def negative_log_likelihood(logits: Floats, labels: Integers) -> float:
    """Mean of minus the log of the probability given to the truth, in nats.

    Parameters
    ----------
    logits : NDArray of float64, shape (N, K)
        Before softmax.
    labels : NDArray of int64, shape (N,)
        The truth.

    Returns
    -------
    float
        The cross-entropy.
    """
    log_probabilities = log_softmax(np.asarray(logits, dtype=np.float64), axis=1)
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: Floats, labels: Integers) -> float:
    """Temperature that makes validation logits as likely as can be [1]_.

    Dividing the logits by it moves no image past another for two classes, so the AUC stays.

    Parameters
    ----------
    logits : NDArray of float64, shape (N, K)
        Of the validation split; never of the test split.
    labels : NDArray of int64, shape (N,)
        The truth.

    Returns
    -------
    float
        Inside `TEMPERATURE_BOUNDS`. Above one for a model that is too sure of itself. If every
        image is classified rightly the likelihood grows without end as the temperature falls;
        then 1 is returned, since such a set cannot tell.

    Raises
    ------
    DataError
        If there are no images, or shapes differ.

    References
    ----------
    .. [1] Guo et al. 2017, ICML.
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.int64)
    if logits.ndim != 2 or len(logits) != len(labels) or not len(labels):
        raise DataError(f"a temperature needs logits (N, K) and N labels, not {logits.shape}")
    if (logits.argmax(axis=1) == labels).all():
        return 1.0
    low, high = np.log(TEMPERATURE_BOUNDS)
    found = minimize_scalar(
        lambda log_temperature: negative_log_likelihood(logits / np.exp(log_temperature), labels),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def calibration_summary(logits: Floats, labels: Integers, num_bins: int = 15) -> dict[str, Any]:
    """Everything about calibration that goes into a result.

    Parameters
    ----------
    logits : NDArray of float64, shape (N, K)
        Before softmax.
    labels : NDArray of int64, shape (N,)
        The truth.
    num_bins : int, default 15
        Of both tables.

    Returns
    -------
    dict
        ``ece`` (bins of equal width, the published definition [1]_), ``ece_equal_mass`` [2]_,
        ``num_bins``, ``mean_confidence``, ``brier``, ``nll``, ``reliability`` (equal mass) and
        ``reliability_equal_width``; all of the class that is called.

    References
    ----------
    .. [1] Guo et al. 2017, ICML.
    .. [2] Nguyen & O'Connor 2015, EMNLP.
    """
    probabilities = np.exp(log_softmax(np.asarray(logits, dtype=np.float64), axis=1))
    confidence = probabilities.max(axis=1)
    correct = logits.argmax(axis=1) == labels
    mass = reliability(confidence, correct, "equal_mass", num_bins)
    width = reliability(confidence, correct, "equal_width", num_bins)
    return {
        "ece": expected_calibration_error(width),
        "ece_equal_mass": expected_calibration_error(mass),
        "num_bins": num_bins,
        "mean_confidence": float(confidence.mean()),
        "brier": brier_score(probabilities, labels),
        "nll": negative_log_likelihood(logits, labels),
        "reliability": mass,
        "reliability_equal_width": width,
    }
