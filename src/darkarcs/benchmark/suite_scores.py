"""From the predictions on a set to what a suite reports of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from darkarcs.benchmark.suite_results import Comparison, Curve, Difference, Rate, Score
from darkarcs.errors import DataError
from darkarcs.evaluation import Predictions
from darkarcs.evaluation.delong import paired_test
from darkarcs.evaluation.influence import influence, influence_variance
from darkarcs.evaluation.intervals import AucInterval, auc_interval
from darkarcs.evaluation.operating_points import share_above, threshold_draws
from darkarcs.evaluation.roc import auc, one_vs_rest_scores, roc_curve, threshold_at

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

#: At which false-positive rates it is said how much is found.
FALSE_POSITIVE_RATES = (0.01, 0.1)
#: Points of a ROC curve that are kept to be drawn.
CURVE_POINTS = 121
#: The class without substructure, and any that has it.
BINARY = ("no_sub", "sub")


def binary_logits(logits: Floats, class_names: Sequence[str]) -> Floats:
    """Fold the classes of a model into none and any.

    Parameters
    ----------
    logits : ndarray, shape (N, K)
        Of the model, divided by its temperature.
    class_names : sequence of str, length K
        One of them is ``no_sub``.

    Returns
    -------
    ndarray, shape (N, 2)
        Softmax of them is P(no_sub) and 1 - P(no_sub).

    Raises
    ------
    DataError
        If the model has no class without substructure.

    Examples
    --------
    >>> binary_logits(np.log([[0.5, 0.3, 0.2]]), ("no_sub", "cdm", "axion")).round(3).tolist()
    [[-0.693, -0.693]]
    """
    if BINARY[0] not in class_names:
        raise DataError(f"it tells apart {', '.join(class_names)} and has no class '{BINARY[0]}'")
    none = list(class_names).index(BINARY[0])
    rest = np.delete(np.asarray(logits, dtype=np.float64), none, axis=1)
    return np.stack([logits[:, none], logsumexp(rest, axis=1)], axis=1)


def folded(predictions: Predictions, labels: Labels) -> Predictions:
    """Predictions of substructure against none.

    Parameters
    ----------
    predictions : Predictions
        Of a model on a set.
    labels : ndarray of int64, shape (N,)
        The set's labels: 0 is no substructure.

    Returns
    -------
    Predictions
        Of the classes `BINARY`.
    """
    logits = binary_logits(predictions.logits, predictions.class_names)
    truth = (labels > 0).astype(np.int64)
    return replace(predictions, labels=truth, logits=logits, class_names=BINARY)


def score_set(
    model: str, name: str, predictions: Predictions, labels: Labels, class_names: Sequence[str]
) -> Score:
    """Measure a model on a set.

    Parameters
    ----------
    model, name : str
        Of model and set.
    predictions : Predictions
        With labels where the model's classes hold the set's.
    labels : ndarray of int64, shape (N,)
        Of the set.
    class_names : sequence of str
        Of the set; the first is ``no_sub``.

    Returns
    -------
    Score
        Without notes and reference.
    """
    binary = folded(predictions, labels)
    truth = binary.labels if binary.labels is not None else labels
    scores = one_vs_rest_scores(binary.logits)
    whole = auc_interval(scores, truth, [1], binary.groups)
    macro = _macro(predictions, class_names)
    return Score(
        model=model,
        set=name,
        auc=whole.auc,
        interval=whole.interval,
        macro=None if macro is None else macro.auc,
        macro_interval=None if macro is None else macro.interval,
        by_class=_by_class(scores, labels, class_names, binary.groups),
        rates=tuple(_rates(scores[:, 1], truth == 1, binary.groups)),
        roc=_curve(scores[:, 1], truth == 1),
    )


def _macro(predictions: Predictions, class_names: Sequence[str]) -> AucInterval | None:
    same = set(predictions.class_names) == set(class_names)
    if not same or len(class_names) < 3 or predictions.labels is None:
        return None
    scores = one_vs_rest_scores(predictions.logits)
    return auc_interval(scores, predictions.labels, range(len(class_names)), predictions.groups)


def _by_class(
    scores: Floats, labels: Labels, class_names: Sequence[str], groups: NDArray[np.str_]
) -> dict[str, tuple[float, float, float]]:
    if len(class_names) < 3:
        return {}
    found = {}
    for k in range(1, len(class_names)):
        chosen = (labels == 0) | (labels == k)
        part = auc_interval(
            scores[chosen], (labels[chosen] == k).astype(np.int64), [1], groups[chosen]
        )
        found[class_names[k]] = (part.auc, *part.interval)
    return found


def _rates(scores: Floats, positive: NDArray[np.bool_], groups: NDArray[np.str_]) -> list[Rate]:
    rows = []
    for target in FALSE_POSITIVE_RATES:
        _, _, found = threshold_at(scores, positive, target)
        draws = threshold_draws(scores[~positive], target, groups[~positive])
        low, high = share_above(scores[positive], draws, groups[positive])
        interval = min(low, found), max(high, found)
        rows.append(Rate(false_positive_rate=target, true_positive_rate=found, interval=interval))
    return rows


def _curve(scores: Floats, positive: NDArray[np.bool_]) -> Curve:
    full = roc_curve(scores, positive)
    # evenly in both rates, so that neither a steep nor a flat part loses its shape
    length = full.false_positive_rate + full.true_positive_rate
    chosen = np.unique(np.searchsorted(length, np.linspace(0, 2, CURVE_POINTS)))
    chosen = np.clip(chosen, 0, len(length) - 1)
    return Curve(
        false_positive_rate=tuple(full.false_positive_rate[chosen].round(5).tolist()),
        true_positive_rate=tuple(full.true_positive_rate[chosen].round(5).tolist()),
    )


def difference(
    first: Floats, second: Floats, labels: Labels, groups: NDArray[np.str_]
) -> Difference:
    """Test whether two rankings of images that belong together have the same AUC.

    Parameters
    ----------
    first, second : ndarray, shape (N,)
        Scores; row i of both is of the same image, or of the same lens under two conditions.
    labels : ndarray of int64, shape (N,)
        1 for substructure.
    groups : ndarray of str, shape (N,)
        Images that are not independent share a group.

    Returns
    -------
    Difference
        DeLong's paired test, or its extension to groups; see `darkarcs.evaluation.compare`.

    Examples
    --------
    >>> labels, names = np.array([0, 0, 1, 1]), np.array(list("abcd"))
    >>> one, other = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 2.0, 1.0, 3.0])
    >>> difference(one, other, labels, names).difference
    0.25
    """
    areas = [auc(scores, labels == 1) for scores in (first, second)]
    psi = np.zeros(len(labels))
    for sign, scores in ((1, first), (-1, second)):
        both = np.stack([-scores, scores], axis=1)
        psi += sign * influence(both, labels, [1])
    test = paired_test(areas[0], areas[1], influence_variance(psi, labels, groups))
    return Difference(difference=test.difference, interval=test.interval, p_value=test.p_value)


def compare_models(found: Mapping[str, Mapping[str, Predictions]]) -> list[Comparison]:
    """Compare each pair of models on each set, and correct for so many comparisons.

    Parameters
    ----------
    found : mapping of str to mapping of str to Predictions
        By set and by model; folded, in the order of the images.

    Returns
    -------
    list of Comparison
        In the order of the sets.
    """
    rows: list[tuple[str, str, str, Difference]] = []
    for name, models in found.items():
        for first, second in combinations(models, 2):
            one, other = models[first], models[second]
            labels = _labels(one)
            tested = difference(_score(one), _score(other), labels, one.groups)
            rows.append((name, first, second, tested))
    corrected = holm([tested.p_value for *_, tested in rows])
    return [
        Comparison(set=name, first=first, second=second, p_holm=p, **tested.model_dump())
        for (name, first, second, tested), p in zip(rows, corrected, strict=True)
    ]


def compare_conditions(changed: Predictions, reference: Predictions) -> Difference | None:
    """Compare a model under two conditions, lens by lens.

    Parameters
    ----------
    changed, reference : Predictions
        Folded; row i of both is image i of its set. Where both sets draw the same lenses, what
        the lenses share cancels; where they do not, nothing does and the test stays right.

    Returns
    -------
    Difference or None
        Changed minus reference; None if the classes are not in the same order.
    """
    num = min(len(changed), len(reference))
    one, other = changed.select(np.arange(num)), reference.select(np.arange(num))
    if not np.array_equal(_labels(one), _labels(other)):
        return None
    repeat = len(np.unique(one.groups)) < num
    groups = one.groups if repeat else other.groups
    return difference(_score(one), _score(other), _labels(one), groups)


def _labels(predictions: Predictions) -> Labels:
    if predictions.labels is None:
        raise DataError("predictions of a suite have labels")
    return predictions.labels


def _score(predictions: Predictions) -> Floats:
    scores: Floats = predictions.logits[:, 1] - predictions.logits[:, 0]
    return scores


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's method.

    Parameters
    ----------
    p_values : sequence of float
        Uncorrected.

    Returns
    -------
    list of float
        In the same order. Calling those below 5 % different is wrong about any of them in at
        most 5 % of such tables, however the tests depend on each other.

    References
    ----------
    .. [1] Holm 1979, Scandinavian Journal of Statistics 6, 65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    count = len(p_values)
    corrected = [0.0] * count
    largest = 0.0
    for place, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - place) * p_values[index]))
        corrected[index] = largest
    return corrected
