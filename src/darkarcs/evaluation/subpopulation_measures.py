"""What is measured of a sub-population, with intervals and tests against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from darkarcs.evaluation.bootstrap import bootstrap_auc, percentile_interval
from darkarcs.evaluation.evaluate import require_labels
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.roc import auc, one_vs_rest_scores
from darkarcs.evaluation.subpopulation_groups import Group, SubpopulationSettings
from darkarcs.evaluation.subpopulation_scores import (
    MEASURES,
    ImageScores,
    bootstrap_means,
    permutation_test,
)

Floats = NDArray[np.float64]
Row = dict[str, Any]

# Groups whose resamples are in memory at the same time.
_GROUPS_AT_ONCE = 40


def measure_groups(
    groups: Sequence[Group],
    scores: ImageScores,
    predictions: Predictions,
    settings: SubpopulationSettings,
) -> list[Row]:
    """Measure sub-populations and compare each with the rest.

    Parameters
    ----------
    groups : sequence of Group
        Sub-populations of N images; they may overlap.
    scores : ImageScores
        Of these images.
    predictions : Predictions
        Of these images, labelled.
    settings : SubpopulationSettings
        Resamples, level, seed.

    Returns
    -------
    list of dict
        As under ``subpopulations`` of `find_subpopulations`. The correction for multiple tests
        is over these sub-populations, for each measure by itself.
    """
    rows: list[Row] = []
    for start in range(0, len(groups), _GROUPS_AT_ONCE):
        rows += _measure(groups[start : start + _GROUPS_AT_ONCE], scores, predictions, settings)
    for measure in MEASURES if rows else ():
        p_values = [row["measures"][measure]["p_value"] for row in rows]
        for row, q_value in zip(rows, false_discovery_control(p_values), strict=True):
            row["measures"][measure]["q_value"] = float(q_value)
    return rows


def _measure(
    groups: Sequence[Group],
    scores: ImageScores,
    predictions: Predictions,
    settings: SubpopulationSettings,
) -> list[Row]:
    values = np.stack([getattr(scores, measure) for measure in MEASURES])
    members = np.stack([group.member for group in groups])
    rests = np.stack([group.known & ~group.member for group in groups])
    sizes = {"num_resamples": settings.num_bootstrap, "seed": settings.seed}
    resampled = bootstrap_means(
        values, np.concatenate([members, rests]), predictions.groups, **sizes
    )
    inside, outside = np.split(resampled, 2, axis=2)
    rows = []
    for place, group in enumerate(groups):
        known, rest = group.known, rests[place]
        measures = {}
        for number, measure in enumerate(MEASURES):
            value, other = values[number][group.member].mean(), values[number][rest].mean()
            own = inside[:, number, place]
            measures[measure] = {
                "value": float(value),
                "interval": interval_of(own, settings.level),
                "rest": float(other),
                "difference": float(value - other),
                "difference_interval": interval_of(own - outside[:, number, place], settings.level),
                "p_value": permutation_test(
                    values[number][known], group.member[known], predictions.groups[known]
                ),
            }
        rows.append(_describe(group, rest, predictions) | {"measures": measures})
        rows[-1]["auc"] = group_auc(group, predictions, settings)
    return rows


def _describe(group: Group, rest: NDArray[np.bool_], predictions: Predictions) -> Row:
    labels = require_labels(predictions)
    return {
        "text": group.text,
        "conditions": [vars(condition) for condition in group.conditions],
        "n": int(group.member.sum()),
        "n_rest": int(rest.sum()),
        "class_counts": counts_by_class(labels[group.member], predictions.class_names),
    }


def group_auc(
    group: Group, predictions: Predictions, settings: SubpopulationSettings
) -> dict[str, Any]:
    """Mean one-vs-rest AUC of the classes of a sub-population.

    Its images of a class are ranked against its images of the other classes; where it has none
    of some class (as images with subhalos have none without), against all of that class.

    Parameters
    ----------
    group : Group
        Of N images.
    predictions : Predictions
        Of these images, labelled.
    settings : SubpopulationSettings
        Resamples, level, seed.

    Returns
    -------
    dict
        ``value``; ``interval`` (bootstrap, null where all resamples are equal); ``per_class``.
    """
    labels = require_labels(predictions)
    present = np.unique(labels[group.member])
    rows = np.flatnonzero(group.member | ~np.isin(labels, present))
    scores, own = one_vs_rest_scores(predictions.logits[rows]), labels[rows]
    per_class = {
        predictions.class_names[index]: auc(scores[:, index], own == index) for index in present
    }
    resampled = bootstrap_auc(
        scores,
        own,
        present.tolist(),
        predictions.groups[rows],
        num_resamples=settings.num_bootstrap,
        seed=settings.seed,
    )
    return {
        "value": float(np.mean([*per_class.values()])),
        "interval": interval_of(resampled.macro, settings.level),
        "per_class": per_class,
    }


def interval_of(samples: Floats, level: float) -> list[float] | None:
    """Percentile interval of resamples, without those that are not numbers.

    Parameters
    ----------
    samples : NDArray of float64, shape (R,)
        Resampled values; NaN where a resample held no image.
    level : float
        Two-sided.

    Returns
    -------
    list of float, or None
        None if there is no resample, or all are equal.
    """
    finite = samples[np.isfinite(samples)]
    interval = percentile_interval(finite, level) if len(finite) else None
    return None if interval is None else list(interval)


def counts_by_class(labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    """Count the images of each class.

    Parameters
    ----------
    labels : NDArray of int64, shape (N,)
        Index into ``names``.
    names : sequence of str
        Of the classes.

    Returns
    -------
    dict of str to int
        Zero for a class without images.
    """
    counts = np.bincount(labels, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}
