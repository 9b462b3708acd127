r"""Sets of classes that hold the truth as often as they promise, whatever the model.

Split conformal prediction: a score says how badly a class fits an image; with the scores of the
true classes of `n` images that training did not use, the set of an image holds every class whose
score is not above their :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest. If the image is
exchangeable with those `n`, the set holds its class with a probability of at least
:math:`1 - \alpha`, over the draw of all of them [1]_. It need not hold for every class alike;
with a threshold for each class (Mondrian [1]_) it does.

References
----------
.. [1] Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World, sections 2.2, 4.5.
.. [2] Sadinle, Lei & Wasserman 2019, JASA 114, 223: least ambiguous sets (LAC).
.. [3] Romano, Sesia & Candes 2020, NeurIPS, arXiv 2006.02544: adaptive prediction sets (APS).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax
from scipy.stats import norm

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.evaluation.intervals import wilson_interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
ConformalScore = Literal["lac", "aps"]


class SetSettings(Configuration):
    """What prediction sets are asked for.

    Attributes
    ----------
    coverage : float
        How often a set is to hold the truth, between 0 and 1.
    score : {"lac", "aps"}
        See `nonconformity`.
    by_class : bool
        Whether it is promised for each class.
    """

    coverage: float = Field(gt=0, lt=1)
    score: ConformalScore = "lac"
    by_class: bool = False


def nonconformity(probabilities: Floats, score: ConformalScore = "lac") -> Floats:
    """Say how badly each class fits each image.

    Parameters
    ----------
    probabilities : ndarray, shape (N, K)
        Each row sums to one.
    score : {"lac", "aps"}
        ``lac``: one minus the probability of the class, which gives the smallest sets on
        average [2]_. ``aps``: the probability of all classes that are at least as likely,
        which gives larger sets to harder images [3]_; not randomized, so that the same image
        always has the same set, at the price of sets that hold the truth more often.

    Returns
    -------
    ndarray, shape (N, K)
        In [0, 1]; larger fits worse.

    References
    ----------
    .. [2] Sadinle, Lei & Wasserman 2019, JASA 114, 223.
    .. [3] Romano, Sesia & Candes 2020, arXiv 2006.02544, equation 5 without its `u`.

    Examples
    --------
    >>> nonconformity(np.array([[0.5, 0.25, 0.25]])).tolist()
    [[0.5, 0.75, 0.75]]
    >>> nonconformity(np.array([[0.125, 0.625, 0.25]]), "aps").tolist()
    [[1.0, 0.625, 0.875]]
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if score == "lac":
        return 1.0 - probabilities
    if score != "aps":
        raise ConfigurationError(f"there is no conformal score '{score}': choose lac or aps")
    at_least = probabilities[:, None, :] >= probabilities[:, :, None]  # (N, class, others)
    summed: Floats = (at_least * probabilities[:, None, :]).sum(axis=2)
    return summed


def conformal_threshold(scores: Floats, coverage: float) -> float:
    r"""The :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest score [1]_.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Of the true classes of calibration images.
    coverage : float
        :math:`1 - \alpha`, between 0 and 1.

    Returns
    -------
    float
        Infinite where there are too few images to promise so much: then every class is in.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer 2005, section 2.2.

    Examples
    --------
    >>> conformal_threshold(np.arange(1.0, 10.0), 0.9), conformal_threshold(np.arange(9.0), 0.95)
    (9.0, inf)
    """
    if not 0 < coverage < 1:
        raise ConfigurationError(f"coverage = {coverage}: must lie between 0 and 1")
    # rounded first: 10 * 0.9 must not become a tenth image by a rounding error
    rank = math.ceil(round((len(scores) + 1) * coverage, 9))
    if rank > len(scores):
        return math.inf
    return float(np.partition(np.asarray(scores, dtype=np.float64), rank - 1)[rank - 1])


@dataclass(frozen=True)
class PredictionSets:
    """Thresholds by class, ready for images.

    Attributes
    ----------
    thresholds : ndarray, shape (K,)
        The largest score with which each class is in a set.
    score : {"lac", "aps"}
        Which score.
    coverage : float
        What is promised.
    by_class : bool
        Whether it is promised for each class.
    """

    thresholds: Floats
    score: ConformalScore
    coverage: float
    by_class: bool

    @classmethod
    def fit(
        cls,
        logits: Floats,
        labels: Integers,
        coverage: float,
        *,
        score: ConformalScore = "lac",
        by_class: bool = False,
    ) -> PredictionSets:
        """Find the thresholds.

        Parameters
        ----------
        logits : ndarray, shape (n, K)
            Of calibration images, which training did not use.
        labels : ndarray of int64, shape (n,)
            Their classes.
        coverage : float
            How often a set is to hold the truth.
        score : {"lac", "aps"}, default "lac"
            See `nonconformity`.
        by_class : bool, default False
            One threshold a class (Mondrian), instead of one for all.

        Returns
        -------
        PredictionSets
            A class without calibration images is in every set.

        Raises
        ------
        DataError
            If there are no images, or shapes differ.
        ConfigurationError
            If the coverage does not lie between 0 and 1, or the score is unknown.
        """
        logits = np.asarray(logits, dtype=np.float64)
        if logits.ndim != 2 or len(logits) != len(labels) or not len(labels):
            raise DataError(f"sets need logits (n, K) and n labels, not {logits.shape}")
        scores = nonconformity(softmax(logits, axis=1), score)
        true = scores[np.arange(len(labels)), labels]
        num_classes = logits.shape[1]
        if by_class:
            found = [conformal_threshold(true[labels == k], coverage) for k in range(num_classes)]
        else:
            found = [conformal_threshold(true, coverage)] * num_classes
        return cls(np.array(found), score, coverage, by_class)

    def apply(self, logits: Floats) -> NDArray[np.bool_]:
        """Say which classes are in the set of each image.

        Parameters
        ----------
        logits : ndarray, shape (N, K)
            Predicted as those of calibration were.

        Returns
        -------
        ndarray of bool, shape (N, K)
            A row of ``lac`` may be empty: then every class fits worse than it nearly ever does
            where it is true. ``aps`` always holds the likeliest class.
        """
        scores = nonconformity(softmax(np.asarray(logits, dtype=np.float64), axis=1), self.score)
        # a rounding error must not leave out an image that ties with the threshold
        inside: NDArray[np.bool_] = scores <= self.thresholds + 1e-12
        if self.score == "aps":  # what is claimed with certainty would be left out otherwise
            inside[np.arange(len(scores)), scores.argmin(axis=1)] = True
        return inside


def coverage_summary(
    sets: NDArray[np.bool_], labels: Integers, class_names: Sequence[str], level: float = 0.95
) -> dict[str, Any]:
    """Measure how often sets hold the truth, and how large they are.

    Parameters
    ----------
    sets : ndarray of bool, shape (N, K)
        From `PredictionSets.apply`.
    labels : ndarray of int64, shape (N,)
        The truth.
    class_names : sequence of str
        In the order of the columns.
    level : float, default 0.95
        Of the intervals.

    Returns
    -------
    dict
        ``coverage`` with Wilson's ``coverage_interval``, ``mean_size`` with the normal
        ``mean_size_interval``, ``empty`` and ``single`` (shares of sets of none and of one class),
        ``n``; and ``by_class`` the same by true class.

    Examples
    --------
    >>> sets = np.array([[True, False], [True, True]])
    >>> found = coverage_summary(sets, np.array([1, 1]), ["a", "b"])
    >>> found["coverage"], found["mean_size"], list(found["by_class"])
    (0.5, 1.5, ['b'])
    """
    labels = np.asarray(labels, dtype=np.int64)
    if sets.ndim != 2 or len(sets) != len(labels) or not len(labels):
        raise DataError(f"coverage needs sets (N, K) and N labels, not {sets.shape}")
    by_class = {
        name: _summary(sets[labels == k], labels[labels == k], level)
        for k, name in enumerate(class_names)
        if (labels == k).any()
    }
    return {**_summary(sets, labels, level), "by_class": by_class}


def _summary(sets: NDArray[np.bool_], labels: Integers, level: float) -> dict[str, Any]:
    hits = int(sets[np.arange(len(labels)), labels].sum())
    sizes = sets.sum(axis=1)
    mean = float(sizes.mean())
    spread = float(sizes.std(ddof=1)) if len(sizes) > 1 else 0.0
    half = float(norm.isf((1 - level) / 2)) * spread / math.sqrt(len(sizes))
    return {
        "coverage": hits / len(labels),
        "coverage_interval": list(wilson_interval(hits, len(labels), level)),
        "mean_size": mean,
        "mean_size_interval": [max(0.0, mean - half), min(float(sets.shape[1]), mean + half)],
        "empty": float((sizes == 0).mean()),
        "single": float((sizes == 1).mean()),
        "n": len(labels),
    }
