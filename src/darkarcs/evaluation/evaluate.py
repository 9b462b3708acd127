"""From the predictions of one run to everything that is reported about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from darkarcs.errors import DataError
from darkarcs.evaluation.bootstrap import bootstrap_auc, percentile_interval
from darkarcs.evaluation.calibration import calibration_summary
from darkarcs.evaluation.intervals import auc_interval, wilson_interval
from darkarcs.evaluation.operating_points import share_above, threshold_draws
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.roc import one_vs_rest_scores, per_class_auc, threshold_at

#: Version of the dictionary's layout; raised when a key changes its meaning.
EVALUATION_SCHEMA = 1

#: At which false-positive rates thresholds are given.
FALSE_POSITIVE_RATES: tuple[float, ...] = (0.001, 0.01, 0.1)


#: Below how many images in effect an error, or a difference, is called to rest on few.
FEW_IMAGES = 10


def require_labels(predictions: Predictions) -> NDArray[np.int64]:
    """Return the labels of predictions that can be evaluated.

    Parameters
    ----------
    predictions : Predictions
        With labels of at least two classes.

    Returns
    -------
    NDArray of int64, shape (N,)
        The truth.

    Raises
    ------
    DataError
        If there are no labels, no images, or images of one class only.
    """
    labels = predictions.labels
    if labels is None:
        raise DataError(
            "these predictions have no labels, so nothing can be evaluated;"
            " use `darkarcs classify` for images whose class is unknown"
        )
    present = np.unique(labels)
    if len(present) < 2:
        what = (
            f"all {len(labels)} images are '{predictions.class_names[present[0]]}'"
            if len(labels)
            else "there are no images"
        )
        raise DataError(f"{what}: an AUC needs images of two classes")
    return labels


def evaluate_predictions(
    predictions: Predictions, *, num_bootstrap: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, Any]:
    """Evaluate one run.

    Parameters
    ----------
    predictions : Predictions
        Labelled, of two classes or more.
    num_bootstrap : int, default 2000
        Number of resamples.
    seed : int, default 0
        Of the bootstrap; equal seeds give equal results.
    level : float, default 0.95
        Of all intervals.

    Returns
    -------
    dict
        Ready for JSON, with these keys:

        ``schema``
            `EVALUATION_SCHEMA`.
        ``n``, ``classes``, ``class_counts``, ``num_groups``, ``split``, ``model_hash``
            What was evaluated; ``images_hash`` is the SHA-256 of the sorted
            ``identity,class`` lines.
        ``auc``
            ``macro`` (unweighted mean of the one-vs-rest AUCs), ``per_class``, ``interval`` and
            ``per_class_interval`` with ``interval_level`` and ``interval_method`` (see
            `intervals.auc_interval`), ``standard_error``, ``effective_errors`` (how many images
            the distance from 1 rests on), ``distribution_free_interval``, and ``bootstrap``:
            ``interval``,
            ``per_class_interval`` (null where every resample is the same), ``unit``,
            ``num_resamples``, ``seed``. For two classes the macro average and both per-class
            values are one number. A class without images has null.
        ``accuracy``, ``accuracy_interval``, ``accuracy_interval_method``, ``balanced_accuracy``
            The class with the largest logit is called; Wilson's interval.
        ``confusion``
            Counts, a row per true class, a column per class called, in the order of ``classes``.
        ``calibration``
            See `calibration.calibration_summary`.
        ``thresholds``
            Per class a list with, for each of `FALSE_POSITIVE_RATES`:
            ``target_false_positive_rate``, ``threshold`` (probability; an image is called the
            class at or above it; null if none will do), ``threshold_log_odds`` (the same without
            the rounding of probabilities to 1), ``false_positive_rate`` reached, with its
            ``false_positive_rate_interval``, ``true_positive_rate`` with its interval, which
            holds what few negatives leave open of the threshold: see `operating_points`.
        ``warnings``
            Sentences about what these numbers cannot say.

    Raises
    ------
    DataError
        If the predictions have no labels, or of one class only.

    Examples
    --------
    >>> p = Predictions(list("abcd"), list("abcd"), list("abcd"), [0, 0, 1, 1],
    ...                 [[1, 0], [0, 1], [0, 2], [0, 3]], ("no_sub", "sub"), "test", "0f3a")
    >>> result = evaluate_predictions(p, num_bootstrap=50)
    >>> result["auc"]["macro"], result["accuracy"], result["auc"]["interval_method"]
    (1.0, 0.75, 'exact_pairs')
    """
    labels = require_labels(predictions)
    names = predictions.class_names
    scores = one_vs_rest_scores(predictions.logits)
    called = predictions.logits.argmax(axis=1)
    correct = int((called == labels).sum())
    counts = np.bincount(labels, minlength=len(names))
    area = _auc_summary(predictions, scores, labels, num_bootstrap, seed, level)
    recalls = [float((called[labels == k] == k).mean()) for k in np.flatnonzero(counts)]
    confusion = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(confusion, (labels, called), 1)
    return {
        "schema": EVALUATION_SCHEMA,
        "n": len(predictions),
        "classes": list(names),
        "class_counts": {name: int(count) for name, count in zip(names, counts, strict=True)},
        "num_groups": len(np.unique(predictions.groups)),
        "split": predictions.split,
        "model_hash": predictions.model_hash,
        "images_hash": _images_hash(predictions.identities, [names[k] for k in labels]),
        "auc": area,
        "accuracy": correct / len(labels),
        "accuracy_interval": list(wilson_interval(correct, len(labels), level)),
        "accuracy_interval_method": "wilson",
        "balanced_accuracy": float(np.mean(recalls)),
        "confusion": confusion.tolist(),
        "calibration": calibration_summary(predictions.logits, labels),
        "thresholds": {
            name: _thresholds(scores[:, k], labels == k, predictions.groups, level)
            if counts[k]
            else []
            for k, name in enumerate(names)
        },
        "warnings": _warnings(predictions, counts, area),
    }


def _images_hash(identities: NDArray[np.str_], names: Sequence[str]) -> str:
    lines = sorted(f"{a},{b}" for a, b in zip(identities.tolist(), names, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _auc_summary(
    predictions: Predictions,
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    num_bootstrap: int,
    seed: int,
    level: float,
) -> dict[str, Any]:
    names, groups = predictions.class_names, predictions.groups
    areas = per_class_auc(scores, labels)
    present = [k for k, area in enumerate(areas) if area is not None]
    # With two classes one curve is the mirror image of the other: one is computed.
    macro_classes = [1] if len(names) == 2 else present
    macro = auc_interval(scores, labels, macro_classes, groups, level)
    single = {k: auc_interval(scores, labels, [k], groups, level) for k in present}
    resampled = bootstrap_auc(
        scores, labels, present, groups, num_resamples=num_bootstrap, seed=seed
    )
    columns = {k: resampled.samples[:, at] for at, k in enumerate(present)}
    macro_samples = columns[1] if len(names) == 2 else resampled.macro
    return {
        "macro": macro.auc,
        "per_class": {name: areas[k] for k, name in enumerate(names)},
        "interval": list(macro.interval),
        "interval_level": level,
        "interval_method": macro.method,
        "standard_error": macro.standard_error,
        "effective_errors": macro.effective_errors,
        "distribution_free_interval": list(macro.distribution_free),
        "per_class_interval": {
            name: list(single[k].interval) if k in single else None for k, name in enumerate(names)
        },
        "bootstrap": {
            "interval": _listed(percentile_interval(macro_samples, level)),
            "per_class_interval": {
                name: _listed(percentile_interval(columns[k], level)) if k in columns else None
                for k, name in enumerate(names)
            },
            "unit": resampled.unit,
            "num_resamples": num_bootstrap,
            "seed": seed,
        },
    }


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _thresholds(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    groups: NDArray[np.str_],
    level: float,
) -> list[dict[str, Any]]:
    num_negative = int((~positive).sum())
    rows = []
    for target in FALSE_POSITIVE_RATES:
        threshold, false_rate, true_rate = threshold_at(scores, positive, target)
        false_interval = wilson_interval(round(false_rate * num_negative), num_negative, level)
        draws = threshold_draws(scores[~positive], target, groups[~positive])
        low, high = share_above(scores[positive], draws, groups[positive], level=level)
        rows.append(
            {
                "target_false_positive_rate": target,
                "threshold": None if threshold is None else float(expit(threshold)),
                "threshold_log_odds": threshold,
                "false_positive_rate": false_rate,
                "false_positive_rate_interval": list(false_interval),
                "true_positive_rate": true_rate,
                "true_positive_rate_interval": [min(low, true_rate), max(high, true_rate)],
            }
        )
    return rows


def _warnings(
    predictions: Predictions, counts: NDArray[np.int64], area: dict[str, Any]
) -> list[str]:
    found = []
    for name, count in zip(predictions.class_names, counts, strict=True):
        if count == 0:
            found.append(f"no image of class '{name}': its AUC is undefined and left out")
        elif count < 20:
            found.append(f"only {count} images of class '{name}': intervals are rough")
    if 0 < area["effective_errors"] < FEW_IMAGES:
        found.append(
            f"the distance of the AUC from 1 rests on {area['effective_errors']:.1f} images in"
            " effect; without any assumption about the scores one only knows that the AUC is"
            f" above {area['distribution_free_interval'][0]:.5f}"
        )
    repeated = len(predictions) - len(np.unique(predictions.identities))
    if repeated:
        found.append(f"{repeated} images are exact copies of others")
    return found
