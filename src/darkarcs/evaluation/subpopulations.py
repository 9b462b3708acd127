"""Where a model is weak and where it is strong: performance by sub-population, worst first.

References
----------
.. [1] Benjamini & Hochberg 1995, Journal of the Royal Statistical Society B 57, 289: the false
   discovery rate.
.. [2] Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.evaluation.evaluate import require_labels
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.subpopulation_groups import (
    Group,
    SubpopulationSettings,
    groups_of,
    known_images,
    prepare_attributes,
)
from darkarcs.evaluation.subpopulation_measures import (
    Row,
    counts_by_class,
    group_auc,
    interval_of,
    measure_groups,
)
from darkarcs.evaluation.subpopulation_scores import (
    MEASURES,
    RISING,
    ImageScores,
    bootstrap_means,
    image_scores,
)

#: Version of the dictionary's layout; raised when a key changes its meaning.
SUBPOPULATIONS_SCHEMA = 1
#: Sub-populations of which more than this share of all their images is shared are shown as one.
ALIKE = 0.5
#: Differences that are kept whether chance explains them or not.
NUM_NOMINAL = 3


def find_subpopulations(
    predictions: Predictions,
    attributes: Mapping[str, NDArray[Any]],
    settings: SubpopulationSettings | None = None,
) -> dict[str, Any]:
    """Divide images by each of their attributes and find where a model fares worst and best.

    Each bin of a number and each category is measured, and compared with all other images that
    have the attribute. The class of an image is an attribute too.

    Parameters
    ----------
    predictions : Predictions
        Labelled, N images.
    attributes : mapping of str to NDArray of shape (N,)
        Numbers, truth values or text; see `darkarcs.evaluation.subpopulation_groups`.
    settings : SubpopulationSettings, optional
        How to look.

    Returns
    -------
    dict
        Ready for JSON:

        ``schema``, ``n``, ``classes``, ``class_counts``, ``split``, ``model_hash``, ``settings``
            What was looked at, and how.
        ``overall``
            The measures of all images: ``auc``, and each of `MEASURES`, with ``value`` and
            ``interval``.
        ``attributes``, ``left_out``
            Number of images that have each attribute; the reason for each one left out.
        ``subpopulations``
            For each: ``text``, ``conditions``, ``n``, ``n_rest``, ``class_counts``, ``auc``
            (see `group_auc`) and under ``measures`` for each of `MEASURES` ``value``,
            ``interval``, ``rest``, ``difference``, ``difference_interval``, ``p_value`` (see
            `permutation_test`) and ``q_value`` [1]_ (the smallest false discovery rate at which
            it counts as different). Intervals are percentiles of the bootstrap [2]_, null where
            all resamples are equal.
        ``worst``, ``best``
            Places in ``subpopulations`` of those that differ in ``rank_by`` at the false
            discovery rate asked for, the largest difference first; ``like`` lists those that
            share most of their images with one before them.
        ``nominal``
            ``worst`` and ``best`` again, without a demand on q: the `NUM_NOMINAL` largest
            differences, to show where chance explains all.
        ``warnings``
            What these numbers cannot say.

    Raises
    ------
    DataError
        If there are no labels, one class only, or columns of another length.

    References
    ----------
    .. [1] Benjamini & Hochberg 1995, JRSS B 57, 289.
    .. [2] Efron & Tibshirani 1993, chapter 13.

    Examples
    --------
    >>> logits = np.array([[0.0, -3.0]] * 90 + [[0.0, 3.0]] * 110)
    >>> p = Predictions([*map(str, range(200))], [*map(str, range(200))], [*map(str, range(200))],
    ...                 [0] * 100 + [1] * 100, logits, ("no_sub", "sub"), "test", "0f3a")
    >>> noise = np.where((np.arange(200) >= 80) & (np.arange(200) < 100), 2.0, 1.0)
    >>> noise += np.arange(200) / 1e4
    >>> settings = SubpopulationSettings(min_images=20, num_bootstrap=50, num_bins=10)
    >>> found = find_subpopulations(p, {"noise": noise}, settings)
    >>> worst = found["subpopulations"][found["worst"][0]["index"]]
    >>> worst["text"], worst["measures"]["accuracy"]["value"]
    ('1.514 ≤ noise', 0.5)
    """
    settings = settings or SubpopulationSettings()
    labels = require_labels(predictions)
    names = np.asarray(predictions.class_names)
    columns, left_out = prepare_attributes(
        {"class": names[labels], **attributes}, len(predictions), settings
    )
    divided = {name: groups_of(name, column, settings) for name, column in columns.items()}
    left_out |= {name: "too few images in each bin" for name, found in divided.items() if not found}
    groups = [group for found in divided.values() for group in found]
    scores = image_scores(predictions.logits, labels)
    rows = measure_groups(groups, scores, predictions, settings)
    everyone = Group((), np.ones(len(labels), dtype=bool), np.ones(len(labels), dtype=bool))
    return {
        "schema": SUBPOPULATIONS_SCHEMA,
        "n": len(predictions),
        "classes": list(predictions.class_names),
        "class_counts": counts_by_class(labels, predictions.class_names),
        "split": predictions.split,
        "model_hash": predictions.model_hash,
        "settings": settings.model_dump(mode="json"),
        "overall": _overall(everyone, scores, predictions, settings),
        "attributes": {
            name: int(known_images(columns[name]).sum()) for name, found in divided.items() if found
        },
        "left_out": left_out,
        "subpopulations": rows,
        "worst": rank_rows(rows, groups, settings, worst=True),
        "best": rank_rows(rows, groups, settings, worst=False),
        "nominal": {
            kind: rank_rows(rows, groups, settings, worst=kind == "worst", rate=1.0)[:NUM_NOMINAL]
            for kind in ("worst", "best")
        },
        "warnings": _warnings(rows, len(predictions), settings),
    }


def rank_rows(
    rows: Sequence[Row],
    groups: Sequence[Group],
    settings: SubpopulationSettings,
    *,
    worst: bool,
    rate: float | None = None,
) -> list[dict[str, Any]]:
    """Order the sub-populations that differ from the rest.

    Parameters
    ----------
    rows : sequence of dict
        From `measure_groups`.
    groups : sequence of Group
        The same sub-populations.
    settings : SubpopulationSettings
        Which measure, and which false discovery rate.
    worst : bool
        The worst first; else the best first.
    rate : float, optional
        False discovery rate; by default that of the settings, and 1 takes all.

    Returns
    -------
    list of dict
        ``index`` (place in ``rows``) and ``like`` (places of those that come after it and share
        more than `ALIKE` of the images of both; they are not listed themselves).
    """
    sign = (-1 if settings.rank_by in RISING else 1) * (1 if worst else -1)
    limit = settings.false_discovery_rate if rate is None else rate
    measured = [row["measures"][settings.rank_by] for row in rows]
    order = sorted(range(len(rows)), key=lambda place: -sign * measured[place]["difference"])
    ranked: list[dict[str, Any]] = []
    for place in order:
        found = measured[place]
        if sign * found["difference"] <= 0 or found["q_value"] > limit:
            continue
        member = groups[place].member
        for earlier in ranked:
            other = groups[earlier["index"]].member
            if (member & other).sum() > ALIKE * (member | other).sum():
                earlier["like"].append(place)
                break
        else:
            ranked.append({"index": place, "like": []})
    return ranked


def _overall(
    everyone: Group,
    scores: ImageScores,
    predictions: Predictions,
    settings: SubpopulationSettings,
) -> dict[str, Any]:
    values = np.stack([getattr(scores, measure) for measure in MEASURES])
    resampled = bootstrap_means(
        values,
        everyone.member[None],
        predictions.groups,
        num_resamples=settings.num_bootstrap,
        seed=settings.seed,
    )[:, :, 0]
    return {"auc": group_auc(everyone, predictions, settings)} | {
        measure: {
            "value": float(values[number].mean()),
            "interval": interval_of(resampled[:, number], settings.level),
        }
        for number, measure in enumerate(MEASURES)
    }


def _warnings(rows: Sequence[Row], total: int, settings: SubpopulationSettings) -> list[str]:
    if not rows:
        return [
            f"{total} images cannot be divided into two sub-populations of"
            f" {settings.min_images} or more: give more images, or a smaller --min-images"
        ]
    if not any(0 < row["measures"]["accuracy"]["value"] < 1 for row in rows):
        return ["no sub-population holds both right and wrong calls: accuracies say nothing here"]
    return []
