"""What a suite reports of predictions, against numbers worked out another way."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from darkarcs.benchmark.suite_scores import (
    _rates,
    binary_logits,
    compare_conditions,
    compare_models,
    difference,
    folded,
    holm,
    score_set,
)
from darkarcs.errors import DataError
from darkarcs.evaluation import Predictions
from darkarcs.evaluation.compare import compare_predictions
from darkarcs.evaluation.delong import delong_test
from darkarcs.evaluation.roc import auc

THREE = ("no_sub", "cdm", "axion")


def predictions(
    count: int = 300, classes: tuple[str, ...] = THREE, seed: int = 0, skill: float = 1.0
) -> tuple[Predictions, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    logits = random.normal(size=(count, len(classes)))
    known = np.minimum(labels, len(classes) - 1)
    logits[np.arange(count), known] += skill
    names = [f"lens/{index}" for index in range(count)]
    truth = known if len(classes) <= 3 else None
    return Predictions(names, names, names, truth, logits, classes, "test", f"{seed}"), labels


def test_any_substructure_is_ranked_by_one_minus_the_probability_of_none() -> None:
    made, labels = predictions()
    score = score_set("m", "s", made, labels, THREE)
    by_hand = auc(1 - made.probabilities[:, 0], labels > 0)
    assert score.auc == pytest.approx(by_hand, abs=1e-12)
    assert score.interval is not None
    assert score.interval[0] < by_hand < score.interval[1]


def test_each_kind_is_measured_against_none_alone() -> None:
    made, labels = predictions()
    score = score_set("m", "s", made, labels, THREE)
    for k, name in ((1, "cdm"), (2, "axion")):
        chosen = (labels == 0) | (labels == k)
        by_hand = auc(1 - made.probabilities[chosen, 0], labels[chosen] == k)
        assert score.by_class[name][0] == pytest.approx(by_hand, abs=1e-12)


def test_the_macro_average_is_for_equal_classes_only() -> None:
    made, labels = predictions()
    score = score_set("m", "s", made, labels, THREE)
    by_hand = np.mean([auc(made.probabilities[:, k], labels == k) for k in range(3)])
    assert score.macro == pytest.approx(by_hand, abs=0.003)  # ranked by log-odds, not rounded
    two, labels = predictions(classes=("no_sub", "sub"))
    assert score_set("m", "s", two, labels, THREE).macro is None
    assert score_set("m", "s", two, labels, THREE).auc is not None


def test_a_model_of_two_classes_and_one_of_three_are_comparable() -> None:
    made, labels = predictions()
    two = Predictions(
        made.identities,
        made.groups,
        made.names,
        (labels > 0).astype(np.int64),
        binary_logits(made.logits, THREE),
        ("no_sub", "sub"),
        "test",
        "two",
    )
    assert score_set("m", "s", two, labels, THREE).auc == pytest.approx(
        score_set("m", "s", made, labels, THREE).auc, abs=1e-12
    )


def test_a_model_without_the_class_none_is_refused() -> None:
    with pytest.raises(DataError, match="no class 'no_sub'"):
        binary_logits(np.zeros((2, 2)), ("cdm", "axion"))


def test_the_curve_keeps_the_area() -> None:
    made, labels = predictions(3000)
    score = score_set("m", "s", made, labels, THREE)
    assert score.roc is not None
    x, y = map(np.array, (score.roc.false_positive_rate, score.roc.true_positive_rate))
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert len(x) <= 121
    assert np.trapezoid(y, x) == pytest.approx(score.auc, abs=2e-3)


def test_rates_keep_to_their_false_positives() -> None:
    made, labels = predictions(3000)
    score = score_set("m", "s", made, labels, THREE)
    ranked = 1 - made.probabilities[:, 0]
    for rate in score.rates:
        threshold = np.quantile(ranked[labels == 0], 1 - rate.false_positive_rate)
        by_hand = (ranked[labels > 0] > threshold).mean()
        assert rate.true_positive_rate == pytest.approx(by_hand, abs=0.01)
        assert rate.interval[0] < rate.true_positive_rate < rate.interval[1]


@pytest.mark.parametrize("pairs", [False, True])
def test_rates_lie_in_their_intervals_as_often_as_these_say(pairs: bool) -> None:
    random, covered = np.random.default_rng(5), {0.01: 0, 0.1: 0}
    copies = 2 if pairs else 1  # two images of each lens are one measurement
    groups = np.repeat(np.arange(1200 // copies), copies).astype(str)
    positive = np.arange(1200) >= 600
    for _ in range(120):
        scores = np.repeat(random.normal(size=1200 // copies), copies) + 2.0 * positive
        for rate in _rates(scores, positive, groups):
            expected = norm.sf(norm.isf(rate.false_positive_rate) - 2.0)
            covered[rate.false_positive_rate] += rate.interval[0] <= expected <= rate.interval[1]
    assert min(covered.values()) >= 107  # 95 % of 120, less three standard deviations


def test_a_difference_is_delongs() -> None:
    one, labels = predictions(seed=1)
    other, _ = predictions(seed=2, skill=0.5)
    first, second = (p.logits[:, 1] for p in (one, other))
    truth = (labels > 0).astype(np.int64)
    ours = difference(first, second, truth, one.groups)
    theirs = delong_test(first, second, truth == 1)
    assert ours.difference == pytest.approx(theirs.difference)
    assert ours.p_value == pytest.approx(theirs.p_value)
    assert ours.interval == pytest.approx(theirs.interval)


def test_groups_that_repeat_widen_a_difference() -> None:
    one, labels = predictions(seed=1)
    other, _ = predictions(seed=2, skill=0.5)
    twice = [np.concatenate([values, values]) for values in (one.logits[:, 1], other.logits[:, 1])]
    truth = np.tile((labels > 0).astype(np.int64), 2)
    alone = np.array([str(index) for index in range(len(truth))])
    grouped = np.tile(np.arange(len(labels)).astype(str), 2)
    narrow = difference(*twice, truth, alone)
    wide = difference(*twice, truth, grouped)
    assert narrow.interval is not None
    assert wide.interval is not None
    ratio = np.ptp(wide.interval) / np.ptp(narrow.interval)
    assert ratio == pytest.approx(np.sqrt(2), abs=0.05)


def test_comparisons_agree_with_darkarcs_compare_and_are_corrected() -> None:
    found: dict[str, dict[str, Predictions]] = {}
    for name in ("a", "b"):
        found[name] = {}
        for seed, skill in ((1, 1.0), (2, 0.2), (3, 0.9)):
            made, labels = predictions(seed=seed + 10 * (name == "b"), skill=skill)
            found[name][f"m{seed}"] = folded(made, labels)
    rows = compare_models(found)
    assert [(row.set, row.first, row.second) for row in rows[:3]] == [
        ("a", "m1", "m2"),
        ("a", "m1", "m3"),
        ("a", "m2", "m3"),
    ]
    theirs = compare_predictions(found["a"]["m1"], found["a"]["m2"], num_bootstrap=10)["macro"]
    assert rows[0].difference == pytest.approx(theirs["difference"])
    assert rows[0].p_value == pytest.approx(theirs["p_value"])
    assert [row.p_holm for row in rows] == holm([row.p_value for row in rows])
    assert all(row.p_holm >= row.p_value for row in rows)


def test_holm_by_hand() -> None:
    # times 4, 3, 2, 1 in order of size, never falling, never above one
    assert holm([0.01, 0.5, 0.02, 0.03]) == pytest.approx([0.04, 0.5, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_lenses_share_cancels_between_conditions() -> None:
    made, labels = predictions(1500)
    one = folded(made, labels)
    shifted = Predictions(
        [f"other/{index}" for index in range(1500)],
        [f"other/{index}" for index in range(1500)],
        one.names,
        one.labels,
        one.logits + np.random.default_rng(5).normal(size=one.logits.shape) * 0.1,
        one.class_names,
        "test",
        "0",
    )
    paired = compare_conditions(shifted, one)
    independent, _ = predictions(1500, seed=9)
    apart = compare_conditions(folded(independent, labels), one)
    assert paired is not None
    assert paired.interval is not None
    assert apart is not None
    assert apart.interval is not None
    assert np.ptp(paired.interval) < 0.3 * np.ptp(apart.interval)
    # without anything shared it is the test of two independent areas
    errors = [
        score_set("m", "s", one_or_other, labels, ("no_sub", "sub")).interval
        for one_or_other in (one, folded(independent, labels))
    ]
    expected = np.hypot(*[np.ptp(interval) for interval in errors if interval])
    assert np.ptp(apart.interval) == pytest.approx(expected, rel=0.1)


def test_conditions_of_other_classes_are_not_compared() -> None:
    made, labels = predictions()
    assert compare_conditions(folded(made, labels), folded(made, labels[::-1])) is None
