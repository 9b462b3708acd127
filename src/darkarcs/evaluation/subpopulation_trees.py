"""Pairs of conditions under which a model fares worse than under either alone.

A shallow regression tree on what each image adds to the measure finds them on one half of the
images; they are measured on the other half, so that what is reported was not selected for being
large.

References
----------
.. [1] Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, chapter 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from sklearn.tree import DecisionTreeRegressor

from darkarcs.evaluation.evaluate import require_labels
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.subpopulation_groups import (
    Booleans,
    Condition,
    Floats,
    Group,
    SubpopulationSettings,
    known_images,
    prepare_attributes,
)
from darkarcs.evaluation.subpopulation_measures import Row, measure_groups
from darkarcs.evaluation.subpopulation_scores import (
    RISING,
    ImageScores,
    image_scores,
    permutation_test,
)
from darkarcs.evaluation.subpopulations import ALIKE

# How many standard errors a leaf must lie beyond either of its conditions alone, where found.
_CLEARLY_BEYOND = 3.0


@dataclass(frozen=True)
class _Leaf:
    conditions: tuple[Condition, ...]
    found: float  # difference of the mean from that of all
    beyond: float  # how far it goes beyond either condition alone, in standard errors; signed


def find_interactions(
    predictions: Predictions,
    attributes: Mapping[str, NDArray[Any]],
    settings: SubpopulationSettings | None = None,
) -> dict[str, Any]:
    """Find pairs of conditions, on two attributes, under which a model is weak or strong.

    For each pair of attributes a tree of depth two is grown on one half of the images [1]_. Its
    leaves with a condition on both are candidates if they are clearly worse (better) than either
    condition alone. Those that go furthest beyond are measured on the other half, and tested
    there against the images that fulfil the worse (better) condition but not the other.

    Parameters
    ----------
    predictions : Predictions
        Labelled, N images.
    attributes : mapping of str to NDArray of shape (N,)
        As for `darkarcs.evaluation.subpopulations.find_subpopulations`.
    settings : SubpopulationSettings, optional
        How to look.

    Returns
    -------
    dict
        ``num_fitted``, ``num_measured`` (images of the halves), ``num_candidates``,
        ``num_tested`` and ``worst``, ``best``: those that the second half confirms at the false
        discovery rate asked for, the largest difference first. Each is a sub-population as in
        `find_subpopulations`, measured on the second half alone, with ``found_difference`` (of
        ``rank_by``, on the first half, from all: too large by selection) and ``beyond``:
        ``condition`` (the worse or better one), its ``value`` alone, ``p_value``, ``q_value``.

    References
    ----------
    .. [1] Breiman et al. 1984, Classification and Regression Trees, chapter 8.
    """
    settings = settings or SubpopulationSettings()
    labels = require_labels(predictions)
    names = np.asarray(predictions.class_names)
    columns, _ = prepare_attributes(
        {"class": names[labels], **attributes}, len(predictions), settings
    )
    scores = image_scores(predictions.logits, labels)
    first = _half(predictions.groups, settings.seed)
    sizes = {"num_fitted": int(first.sum()), "num_measured": int((~first).sum())}
    badness = scores.badness(settings.rank_by)
    if not settings.num_interactions or np.ptp(badness[first]) == 0:
        return {**sizes, "num_candidates": 0, "num_tested": 0, "worst": [], "best": []}
    fitted = {name: column[first] for name, column in columns.items()}
    leaves = [
        leaf
        for pair in combinations(fitted, 2)
        for leaf in _leaves({name: fitted[name] for name in pair}, badness[first], settings)
    ]
    second = np.flatnonzero(~first)
    rows = _measured(
        [leaf for sign in (1, -1) for leaf in _choose(leaves, fitted, sign, settings)],
        {name: column[second] for name, column in columns.items()},
        ImageScores(**{name: values[second] for name, values in vars(scores).items()}),
        predictions.select(second),
        settings,
    )
    rising = settings.rank_by in RISING
    found: dict[str, list[Row]] = {"worst": [], "best": []}
    for row in rows:
        if row["beyond"]["q_value"] <= settings.false_discovery_rate:
            is_worst = (row["measures"][settings.rank_by]["difference"] < 0) == rising
            found["worst" if is_worst else "best"].append(row)
    return {**sizes, "num_candidates": len(leaves), "num_tested": len(rows), **found}


def _half(groups: NDArray[np.str_], seed: int) -> Booleans:
    """Choose half of the groups by chance."""
    _, of_image = np.unique(groups, return_inverse=True)
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1])))
    order = generator.permutation(int(of_image.max()) + 1)
    return np.asarray(order[of_image] < len(order) // 2)


def _leaves(
    pair: Mapping[str, NDArray[Any]], badness: Floats, settings: SubpopulationSettings
) -> Iterator[_Leaf]:
    """Grow a tree on two attributes; give its leaves that use both and beat either alone."""
    known = np.logical_and.reduce([known_images(column) for column in pair.values()])
    if known.sum() < 2 * settings.min_images:
        return
    own = badness[known]
    branches = _branches({name: column[known] for name, column in pair.items()})
    tree = DecisionTreeRegressor(max_depth=2, min_samples_leaf=settings.min_images, random_state=0)
    tree.fit(np.stack([values for values, _ in branches], axis=1), own)
    for conditions in _paths(tree.tree_, [make for _, make in branches]):
        if len({condition.attribute for condition in conditions}) < 2:
            continue
        alone = [condition.holds(pair[condition.attribute])[known] for condition in conditions]
        member = np.logical_and.reduce(alone)
        count = int(member.sum())
        if not 0 < count < len(own):
            continue
        difference = float(own[member].mean() - own.mean())
        _, beyond = _beyond(own, member, alone, np.sign(difference))
        if abs(beyond) > _CLEARLY_BEYOND and np.sign(beyond) == np.sign(difference):
            yield _Leaf(conditions, difference, beyond)


def _beyond(
    badness: Floats, member: Booleans, alone: list[Booleans], sign: float
) -> tuple[int, float]:
    """Which condition alone is the worst (best), and how many errors the members lie beyond."""
    place = int(np.argmax([sign * badness[one].mean() for one in alone]))
    one = badness[alone[place]]
    count = int(member.sum())
    error = one.std() * np.sqrt((1 - count / len(one)) / count)
    difference = float(badness[member].mean() - one.mean())
    return place, difference / float(error) if error > 0 else 0.0


_Make = Any  # from a threshold and a side to a condition


def _branches(pair: Mapping[str, NDArray[Any]]) -> list[tuple[Floats, _Make]]:
    """Turn two attributes into columns of a tree, each with the condition that a split means."""
    branches: list[tuple[Floats, _Make]] = []
    for name, column in pair.items():
        if column.dtype.kind != "U":
            branches.append((column, (name, None)))
            continue
        for value in np.unique(column):
            branches.append(((column == value).astype(np.float64), (name, str(value))))
    return branches


def _paths(tree: Any, makes: list[_Make]) -> Iterator[tuple[Condition, ...]]:
    """Follow a fitted tree to its leaves."""
    waiting: list[tuple[int, tuple[Condition, ...]]] = [(0, ())]
    while waiting:
        node, path = waiting.pop()
        if tree.children_left[node] < 0:
            yield path
            continue
        name, value = makes[tree.feature[node]]
        # a split sends what lies at or below its threshold to the left
        limit = float(np.nextafter(tree.threshold[node], np.inf))
        if value is None:
            sides = [Condition(name, high=limit), Condition(name, low=limit)]
            waiting.append((int(tree.children_left[node]), (*path, sides[0])))
            waiting.append((int(tree.children_right[node]), (*path, sides[1])))
        else:
            # "is not this category" is no condition that people would look for
            waiting.append((int(tree.children_right[node]), (*path, Condition(name, value=value))))


def _choose(
    leaves: list[_Leaf],
    columns: Mapping[str, NDArray[Any]],
    sign: int,
    settings: SubpopulationSettings,
) -> list[_Leaf]:
    """Take the leaves that go furthest beyond one condition and do not share most images."""
    chosen: list[tuple[_Leaf, Booleans]] = []
    for leaf in sorted(leaves, key=lambda leaf: -sign * leaf.beyond):
        if sign * leaf.beyond <= 0 or len(chosen) == settings.num_interactions:
            break
        member = _group(leaf.conditions, columns).member
        if all((member & m).sum() <= ALIKE * (member | m).sum() for _, m in chosen):
            chosen.append((leaf, member))
    return [leaf for leaf, _ in chosen]


def _group(conditions: tuple[Condition, ...], columns: Mapping[str, NDArray[Any]]) -> Group:
    holds = [condition.holds(columns[condition.attribute]) for condition in conditions]
    known = [known_images(columns[condition.attribute]) for condition in conditions]
    return Group(conditions, np.logical_and.reduce(holds), np.logical_and.reduce(known))


def _measured(
    leaves: list[_Leaf],
    columns: Mapping[str, NDArray[Any]],
    scores: ImageScores,
    predictions: Predictions,
    settings: SubpopulationSettings,
) -> list[Row]:
    pairs = [(leaf, _group(leaf.conditions, columns)) for leaf in leaves]
    # a leaf may be empty, or everything, in the half that it was not grown on
    pairs = [(leaf, one) for leaf, one in pairs if 0 < one.member.sum() < one.known.sum()]
    rows = measure_groups([one for _, one in pairs], scores, predictions, settings)
    values: Floats = getattr(scores, settings.rank_by)
    badness = scores.badness(settings.rank_by)
    for row, (leaf, whole) in zip(rows, pairs, strict=True):
        alone = [_group((condition,), columns) for condition in leaf.conditions]
        sides = [one.member & whole.known for one in alone]
        place, _ = _beyond(badness, whole.member, sides, np.sign(leaf.beyond))
        one = sides[place]
        groups = predictions.groups[one]
        row["found_difference"] = -leaf.found if settings.rank_by in RISING else leaf.found
        row["beyond"] = {
            "condition": alone[place].text,
            "value": float(values[one].mean()),
            "p_value": permutation_test(values[one], whole.member[one], groups),
        }
    if rows:
        p_values = [row["beyond"]["p_value"] for row in rows]
        for row, q_value in zip(rows, false_discovery_control(p_values), strict=True):
            row["beyond"]["q_value"] = float(q_value)
    return sorted(rows, key=lambda row: -abs(row["measures"][settings.rank_by]["difference"]))
