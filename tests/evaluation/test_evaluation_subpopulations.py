"""Sub-populations: planted weaknesses are found, chance is not, and tricky input is survived."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import hypergeom

from darkarcs.errors import ConfigurationError, DataError
from darkarcs.evaluation import Predictions
from darkarcs.evaluation.roc import one_vs_rest_scores, per_class_auc
from darkarcs.evaluation.subpopulation_groups import (
    Condition,
    SubpopulationSettings,
    groups_of,
    prepare_attributes,
)
from darkarcs.evaluation.subpopulation_scores import (
    bootstrap_means,
    image_scores,
    permutation_test,
)
from darkarcs.evaluation.subpopulation_trees import find_interactions
from darkarcs.evaluation.subpopulations import find_subpopulations

FAST = SubpopulationSettings(num_bootstrap=60, min_images=20)


def predictions(labels, logits, groups=None) -> Predictions:
    identities = np.array([f"{k:05d}" for k in range(len(labels))])
    classes = ("no_sub", "cdm", "axion")[: logits.shape[1]]
    return Predictions(
        *(identities, identities if groups is None else groups, identities, labels, logits),
        *(classes, "test", "0f3a"),
    )


def noisy(count: int, weak: np.ndarray | None = None, num_classes: int = 2, seed: int = 0):
    """Predictions that are good but for the weak images, which are guessed."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % num_classes
    signal = np.full(count, 3.0)
    if weak is not None:
        signal[weak] = 0.0
    logits = rng.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += signal
    return predictions(labels, logits)


def texts(found, kind):
    return [found["subpopulations"][entry["index"]]["text"] for entry in found[kind]]


def test_scores_of_images_average_to_the_known_measures() -> None:
    p = noisy(301, num_classes=3)
    scores = image_scores(p.logits, p.labels)
    truth = p.probabilities[np.arange(301), p.labels]
    assert np.allclose(scores.log_loss, -np.log(truth))
    areas = per_class_auc(one_vs_rest_scores(p.logits), p.labels)
    for index in range(3):
        assert scores.ranking[p.labels == index].mean() == pytest.approx(areas[index])
    gap = p.probabilities.max(axis=1).mean() - scores.accuracy.mean()
    assert scores.calibration_gap.mean() == pytest.approx(gap)


@pytest.mark.parametrize(("errors", "inside"), [(12, 5), (12, 0), (40, 9), (6, 4)])
def test_permutation_test_agrees_with_the_hypergeometric_law(errors: int, inside: int) -> None:
    total, chosen = 600, 90
    values, member = np.zeros(total), np.arange(total) < chosen
    values[:inside] = 1
    values[chosen : chosen + errors - inside] = 1
    law = hypergeom(total, errors, chosen)
    # mid-p values, as a continuous distribution approximates them
    below = law.cdf(inside) - law.pmf(inside) / 2
    expected = 2 * min(below, 1 - below)
    assert permutation_test(values, member) == pytest.approx(expected, rel=0.35)


def test_permutation_test_agrees_with_permutations_of_skewed_values() -> None:
    rng = np.random.default_rng(3)
    values = rng.exponential(size=400)
    member = np.zeros(400, dtype=bool)
    member[np.argsort(values)[-60::6]] = True
    member[:25] = True
    drawn = rng.permuted(np.tile(values, (20000, 1)), axis=1)[:, : member.sum()].mean(axis=1)
    above = (drawn >= values[member].mean()).mean()
    assert 1e-3 < above < 0.1
    assert permutation_test(values, member) == pytest.approx(2 * above, rel=0.3)


def test_permutation_test_keeps_its_promise_under_the_null() -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(size=300) ** 2
    p = np.array([permutation_test(values, rng.permutation(300) < 40) for _ in range(1000)])
    assert 0.03 < (p < 0.05).mean() < 0.07
    assert (p < 0.005).mean() < 0.012


def test_permutation_test_heeds_groups() -> None:
    values = np.repeat(np.arange(40) % 2, 10).astype(float)
    groups = np.repeat([f"g{k}" for k in range(40)], 10)
    member = np.repeat(np.arange(40) < 8, 10)
    values[:80] = np.repeat([1, 1, 1, 1, 1, 1, 0, 1], 10)
    alone, together = permutation_test(values, member), permutation_test(values, member, groups)
    assert alone < 1e-6 < 0.01 < together < 0.2


def test_permutation_test_of_nothing_is_one() -> None:
    values = np.arange(10.0)
    assert permutation_test(values, np.zeros(10, dtype=bool)) == 1
    assert permutation_test(values, np.ones(10, dtype=bool)) == 1
    assert permutation_test(np.full(10, 0.1), np.arange(10) < 3) == 1


def test_bootstrap_means_spread_as_theory_says_and_resample_whole_groups() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 500))
    member = np.arange(500)[None] < 200
    alone = np.array([f"{k}" for k in range(500)])
    sizes = {"num_resamples": 2000, "seed": 1}
    spread = bootstrap_means(values, member, alone, **sizes)[:, 0, 0].std()
    assert spread == pytest.approx(values[0, :200].std() / np.sqrt(200), rel=0.1)
    repeated = np.repeat(values, 2, axis=1), np.repeat(member, 2, axis=1), np.repeat(alone, 2)
    assert bootstrap_means(*repeated, **sizes)[:, 0, 0].std() == pytest.approx(spread, rel=0.1)


def test_bins_hold_equal_numbers_and_keep_ties_together() -> None:
    column = np.concatenate([np.zeros(50), np.arange(1.0, 151.0)])
    groups = groups_of("x", column, FAST)
    sizes = [int(group.member.sum()) for group in groups]
    assert sum(sizes) == 200
    assert min(sizes) >= 20
    assert sum(group.member[:50].any() for group in groups) == 1
    assert np.array([group.member for group in groups]).sum(axis=0).tolist() == [1] * 200


def test_attributes_that_cannot_divide_are_left_out_with_a_reason() -> None:
    count = 200
    number = np.random.default_rng(0).normal(size=count)
    kept, left_out = prepare_attributes(
        {
            "number": number,
            "same order": np.exp(number),
            "constant": np.ones(count),
            "unknown": np.full(count, np.nan),
            "nearly unknown": np.where(np.arange(count) < 30, number, np.inf),
            "names": np.array([f"lens {k}" for k in range(count)]),
            "bytes": np.array([b"a", b"b"] * 100),
            "truth": number > 0,
            "two values": np.where(number > 0, 1.5, 0.0),
            "objects": np.array([None] * count),
        },
        count,
        FAST,
    )
    assert set(kept) == {"number", "bytes", "truth", "two values"}
    assert kept["truth"].dtype.kind == kept["two values"].dtype.kind == "U"
    assert left_out["same order"] == "orders the images as number does"
    assert left_out["constant"] == "the same for all images"
    assert "30 images" in left_out["nearly unknown"]


def test_a_column_of_another_length_is_an_error() -> None:
    with pytest.raises(DataError, match="'x' has shape"):
        find_subpopulations(noisy(100), {"x": np.zeros(99)}, FAST)


def test_a_planted_weakness_comes_first_and_a_strength_too() -> None:
    rng = np.random.default_rng(1)
    x, other = rng.normal(size=(2, 600))
    found = find_subpopulations(noisy(600, x > 0.9), {"x": x, "other": other}, FAST)
    json.dumps(found, allow_nan=False)
    assert texts(found, "worst")[0].endswith("≤ x")
    assert all("other" not in text for text in texts(found, "worst") + texts(found, "best"))
    assert len(texts(found, "best")) >= 1
    worst = found["subpopulations"][found["worst"][0]["index"]]
    loss = worst["measures"]["log_loss"]
    assert loss["interval"][0] < loss["value"] < loss["interval"][1]
    assert 0 < loss["difference_interval"][0] < loss["difference"]
    assert loss["p_value"] <= loss["q_value"] < 1e-6
    assert worst["auc"]["value"] < 0.85 < found["overall"]["auc"]["value"]
    assert worst["n"] + worst["n_rest"] == 600


def test_nothing_is_found_where_there_is_nothing() -> None:
    rng = np.random.default_rng(2)
    attributes = {f"a{k}": rng.normal(size=500) for k in range(12)}
    found = find_subpopulations(noisy(500), attributes, FAST)
    assert len(found["subpopulations"]) > 50
    assert found["worst"] == found["best"] == []
    pairs = find_interactions(noisy(500), attributes, FAST)
    assert pairs["worst"] == pairs["best"] == []


def test_an_attribute_of_one_class_is_compared_within_it() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(900) % 3
    mass = np.where(labels == 1, rng.normal(size=900), np.nan)
    found = find_subpopulations(noisy(900, mass < -0.3, 3), {"mass": mass}, FAST)
    rows = [row for row in found["subpopulations"] if "mass" in row["text"]]
    assert len(rows) == 5
    assert all(row["n"] + row["n_rest"] == 300 for row in rows)
    assert all(row["class_counts"] == {"no_sub": 0, "cdm": row["n"], "axion": 0} for row in rows)
    assert all(set(row["auc"]["per_class"]) == {"cdm"} for row in rows)
    areas = [row["auc"]["value"] for row in rows]
    assert areas[0] < 0.9 < 0.97 < areas[-1]


def test_overlapping_subpopulations_are_shown_once() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=800)
    near = x + 0.15 * rng.normal(size=800)
    found = find_subpopulations(noisy(800, x > 0.9), {"x": x, "near": near}, FAST)
    assert len(found["worst"]) == 1
    like = [found["subpopulations"][place]["text"] for place in found["worst"][0]["like"]]
    assert len(like) == 1


def test_an_interaction_is_found_and_confirmed_on_the_other_half() -> None:
    rng = np.random.default_rng(7)
    x, other = rng.normal(size=(2, 2400))
    kind = rng.choice(["ring", "quad", "double"], 2400)
    p = noisy(2400, (x > 0.5) & (kind == "quad"))
    found = find_interactions(p, {"x": x, "other": other, "kind": kind}, FAST)
    json.dumps(found, allow_nan=False)
    assert found["num_fitted"] + found["num_measured"] == 2400
    first = found["worst"][0]
    assert {c["attribute"] for c in first["conditions"]} == {"x", "kind"}
    assert first["n"] + first["n_rest"] == found["num_measured"]
    assert first["measures"]["log_loss"]["value"] > first["beyond"]["value"]
    assert all("other" not in row["text"] for row in found["worst"] + found["best"])


def test_halves_do_not_cut_groups() -> None:
    rng = np.random.default_rng(8)
    x = np.repeat(rng.normal(size=300), 2)
    groups = np.repeat([f"pair {k}" for k in range(300)], 2)
    base = noisy(600, x > 1)
    p = predictions(base.labels, base.logits, groups)
    found = find_interactions(p, {"x": x}, FAST)
    assert found["num_fitted"] == found["num_measured"] == 300
    assert find_subpopulations(p, {"x": x}, FAST)["worst"]


@pytest.mark.parametrize("rank_by", ["accuracy", "ranking"])
def test_other_measures_rank_too(rank_by: str) -> None:
    x = np.random.default_rng(9).normal(size=900)
    settings = SubpopulationSettings(num_bootstrap=60, min_images=20, rank_by=rank_by)
    p = noisy(900, x < -0.8)
    found = find_subpopulations(p, {"x": x}, settings)
    assert texts(found, "worst")[0].startswith("x <")
    assert (
        found["subpopulations"][found["worst"][0]["index"]]["measures"][rank_by]["difference"] < 0
    )
    json.dumps(find_interactions(p, {"x": x}, settings), allow_nan=False)


def test_ten_images_are_too_few_and_say_so() -> None:
    found = find_subpopulations(noisy(10), {"x": np.arange(10.0)})
    assert found["subpopulations"] == found["worst"] == found["best"] == []
    assert "10 images" in found["warnings"][0]
    assert found["left_out"]["x"] == "known of 10 images only"
    pairs = find_interactions(noisy(10), {"x": np.arange(10.0)})
    assert pairs["worst"] == pairs["best"] == []
    small = SubpopulationSettings(min_images=2, num_bootstrap=50)
    json.dumps(find_subpopulations(noisy(10), {"x": np.arange(10.0)}, small), allow_nan=False)
    json.dumps(find_interactions(noisy(10), {"x": np.arange(10.0)}, small), allow_nan=False)


def test_a_perfect_model_has_no_weakness() -> None:
    labels = np.arange(200) % 2
    p = predictions(labels, 50.0 * np.eye(2)[labels])
    found = find_subpopulations(p, {"x": np.arange(200.0)}, FAST)
    json.dumps(found, allow_nan=False)
    assert found["worst"] == found["best"] == []
    assert found["overall"]["log_loss"]["interval"] is None
    assert "right and wrong" in found["warnings"][0]
    assert find_interactions(p, {"x": np.arange(200.0)}, FAST)["num_tested"] == 0


def test_a_bin_of_one_class_has_an_area_against_all_others() -> None:
    x = np.arange(300.0)
    labels = (x >= 150).astype(int)
    base = noisy(300)
    found = find_subpopulations(predictions(labels, base.logits), {"x": x}, FAST)
    areas = [row["auc"] for row in found["subpopulations"] if "x" in row["text"]]
    assert all(0 <= area["value"] <= 1 for area in areas)
    assert set(areas[0]["per_class"]) == {"no_sub"}


def test_equal_seeds_give_equal_results() -> None:
    x = np.random.default_rng(0).normal(size=300)
    first, second = (find_subpopulations(noisy(300), {"x": x}, FAST) for _ in range(2))
    assert first == second


def test_conditions_hold_where_the_attribute_is_known() -> None:
    column = np.array([0.0, 1.0, 2.0, np.nan])
    assert Condition("x", low=1.0).holds(column).tolist() == [False, True, True, False]
    assert Condition("x", high=1.0).holds(column).tolist() == [True, False, False, False]
    assert Condition("x").holds(column).tolist() == [True, True, True, False]


def test_unlabelled_predictions_and_wrong_settings_are_named() -> None:
    p = noisy(100)
    unlabelled = Predictions(**(vars(p) | {"labels": None}))
    with pytest.raises(DataError, match="no labels"):
        find_subpopulations(unlabelled, {}, FAST)
    with pytest.raises(ConfigurationError, match="rank_by"):
        SubpopulationSettings.parse({"rank_by": "f1"}, "here")


def test_the_largest_differences_are_kept_where_chance_explains_them() -> None:
    x = np.random.default_rng(2).normal(size=500)
    found = find_subpopulations(noisy(500), {"x": x}, FAST)
    assert found["worst"] == []
    shown = [found["subpopulations"][entry["index"]] for entry in found["nominal"]["worst"]]
    differences = [row["measures"]["log_loss"]["difference"] for row in shown]
    assert 1 <= len(shown) <= 3
    assert differences == sorted(differences, reverse=True)
    assert min(differences) > 0
