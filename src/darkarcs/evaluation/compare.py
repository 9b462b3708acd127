"""Which of two models is better, decided on the same images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import DataError
from darkarcs.evaluation.bootstrap import bootstrap_auc, percentile_interval
from darkarcs.evaluation.delong import paired_test
from darkarcs.evaluation.evaluate import FEW_IMAGES, require_labels
from darkarcs.evaluation.influence import (
    has_clusters,
    influence,
    influence_variance,
    kish_number,
    sum_by_group,
)
from darkarcs.evaluation.intervals import auc_interval
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.roc import one_vs_rest_scores


def match_predictions(
    first: Predictions, second: Predictions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the images that two prediction files share.

    Parameters
    ----------
    first, second : Predictions
        In any order; the k-th copy of an image is matched with the k-th copy.

    Returns
    -------
    rows_of_first, rows_of_second : NDArray of int64, shape (M,)
        Rows that belong together, in the order of ``first``.

    Examples
    --------
    >>> def make(ids):
    ...     return Predictions(ids, ids, ids, None, np.zeros((len(ids), 2)), ("a", "b"), "t", "0")
    >>> [rows.tolist() for rows in match_predictions(make(["x", "y"]), make(["y", "z"]))]
    [[1], [0]]
    """
    places: dict[tuple[str, int], int] = {}
    for row, key in enumerate(_copies(second)):
        places[key] = row
    pairs = [(row, places[key]) for row, key in enumerate(_copies(first)) if key in places]
    rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _copies(predictions: Predictions) -> list[tuple[str, int]]:
    seen: dict[str, int] = {}
    keys = []
    for identity in predictions.identities.tolist():
        keys.append((identity, seen.get(identity, 0)))
        seen[identity] = keys[-1][1] + 1
    return keys


def compare_predictions(
    first: Predictions,
    second: Predictions,
    *,
    num_bootstrap: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Test whether two models have the same AUC on the images they share.

    Parameters
    ----------
    first, second : Predictions
        Labelled, with the same classes in any order.
    num_bootstrap : int, default 2000
        Number of paired resamples of the macro difference.
    seed : int, default 0
        Of the bootstrap.
    level : float, default 0.95
        Of all intervals.

    Returns
    -------
    dict
        Ready for JSON: ``n`` (shared images), ``only_in_first``, ``only_in_second``,
        ``classes``; ``first`` and ``second`` (``model_hash``, ``split``, ``auc``, ``interval``);
        ``per_class`` and ``macro``, each with ``first``, ``second``, ``difference`` (first minus
        second), ``standard_error``, ``interval``, ``z``, ``p_value``, ``effective_images``
        (how many images the difference rests on): DeLong's paired test for
        each class and, through the same influence function, for the macro average (for two
        classes they are one test); ``method`` (``"delong"``, or ``"cluster"`` where groups
        repeat); ``bootstrap`` of the macro difference; ``level``; ``warnings``.

    Raises
    ------
    DataError
        If a file has no labels, classes or labels differ, or no image of two classes is shared.
    """
    both = _on_shared_images(first, second)
    shared, scores, classes = both.shared, both.scores, both.classes
    labels, groups = require_labels(shared), shared.groups
    names = shared.class_names
    present = [k for k in range(len(names)) if (labels == k).any()]
    result = {
        "n": len(shared),
        "only_in_first": len(first) - len(shared),
        "only_in_second": len(second) - len(shared),
        "classes": list(names),
        "first": _side(first, scores[0], labels, classes, groups, level),
        "second": _side(second, scores[1], labels, classes, groups, level),
        "per_class": {names[k]: _test(scores, labels, [k], groups, level) for k in present},
        "macro": _test(scores, labels, classes, groups, level),
        "method": "cluster" if has_clusters(groups) else "delong",
        "level": level,
    }
    result["bootstrap"] = _bootstrap(scores, labels, classes, groups, num_bootstrap, seed, level)
    result["warnings"] = _warnings(first, second, result)
    return result


def difference_interval(
    first: Predictions, second: Predictions, *, level: float = 0.95
) -> tuple[float, float] | None:
    """Give the paired interval of the difference of two models' macro AUCs, first minus second.

    Parameters
    ----------
    first, second : Predictions
        Labelled, with the same classes in any order.
    level : float, default 0.95
        Of the interval.

    Returns
    -------
    tuple of float, optional
        As in ``macro`` of `compare_predictions`; None where the rankings do not differ.

    Raises
    ------
    DataError
        As `compare_predictions`.
    """
    both = _on_shared_images(first, second)
    labels = require_labels(both.shared)
    interval = _test(both.scores, labels, both.classes, both.shared.groups, level)["interval"]
    return None if interval is None else (interval[0], interval[1])


@dataclass(frozen=True)
class _Both:
    """What two models say of the images that both have seen.

    Attributes
    ----------
    shared : Predictions
        Of the first, on these images.
    scores : ndarray, shape (2, K, M)
        One against the rest, of both.
    classes : list of int
        Those whose areas the macro average takes.
    """

    shared: Predictions
    scores: NDArray[np.float64]
    classes: list[int]


def _on_shared_images(first: Predictions, second: Predictions) -> _Both:
    if set(first.class_names) != set(second.class_names):
        raise DataError(
            f"cannot compare: the first file has the classes {', '.join(first.class_names)},"
            f" the second {', '.join(second.class_names)}"
        )
    require_labels(first)
    require_labels(second)
    rows_first, rows_second = match_predictions(first, second)
    if not len(rows_first):
        raise DataError("cannot compare: the two files have no image in common")
    shared, other = first.select(rows_first), second.select(rows_second)
    labels = require_labels(shared)
    order = [other.class_names.index(name) for name in shared.class_names]
    if not np.array_equal(labels, np.argsort(order)[require_labels(other)]):
        raise DataError("cannot compare: the two files give some images different labels")
    scores = np.stack(
        [one_vs_rest_scores(shared.logits), one_vs_rest_scores(other.logits[:, order])]
    )
    number = len(shared.class_names)
    present = [k for k in range(number) if (labels == k).any()]
    return _Both(shared, scores, [1] if number == 2 else present)


def _side(
    predictions: Predictions,
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: list[int],
    groups: NDArray[np.str_],
    level: float,
) -> dict[str, Any]:
    measured = auc_interval(scores, labels, classes, groups, level)
    return {
        "model_hash": predictions.model_hash,
        "split": predictions.split,
        "auc": measured.auc,
        "interval": list(measured.interval),
        "interval_method": measured.method,
    }


def _test(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: list[int],
    groups: NDArray[np.str_],
    level: float,
) -> dict[str, Any]:
    areas = [auc_interval(one, labels, classes, groups, level).auc for one in scores]
    psi = influence(scores[0], labels, classes) - influence(scores[1], labels, classes)
    sides = (labels == classes[0]).astype(np.int64) if len(classes) == 1 else labels
    variance = influence_variance(psi, sides, groups)
    test = asdict(paired_test(areas[0], areas[1], variance, level))
    moved = kish_number(np.abs(sum_by_group(psi, groups)))
    interval = None if test["interval"] is None else list(test["interval"])
    return {**test, "interval": interval, "effective_images": moved}


def _bootstrap(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: list[int],
    groups: NDArray[np.str_],
    num_resamples: int,
    seed: int,
    level: float,
) -> dict[str, Any]:
    resampled = bootstrap_auc(
        scores, labels, classes, groups, num_resamples=num_resamples, seed=seed
    )
    by_model = resampled.samples.reshape(num_resamples, 2, len(classes)).mean(axis=2)
    interval = percentile_interval(by_model[:, 0] - by_model[:, 1], level)
    return {
        "interval": None if interval is None else list(interval),
        "unit": resampled.unit,
        "num_resamples": num_resamples,
        "seed": seed,
    }


def _warnings(first: Predictions, second: Predictions, result: dict[str, Any]) -> list[str]:
    found = []
    missing = result["only_in_first"] + result["only_in_second"]
    if missing:
        found.append(
            f"{missing} images are in one file only and are left out"
            f" ({result['only_in_first']} of the first, {result['only_in_second']} of the second)"
        )
    if first.model_hash == second.model_hash:
        found.append("both files come from the same model")
    if result["macro"]["standard_error"] == 0 and result["macro"]["difference"] == 0:
        found.append("the two rankings do not differ, or not measurably: there is nothing to test")
    elif result["macro"]["effective_images"] < FEW_IMAGES:
        count = result["macro"]["effective_images"]
        found.append(
            f"the difference rests on {count:.1f} images in effect: the p-value and the interval"
            " of the difference take it for normal, which so few images are not"
        )
    return found
