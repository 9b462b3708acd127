"""The whole evaluation of a run, and the comparison of two."""

from __future__ import annotations

import json

import numpy as np
import pytest

from darkarcs.errors import DataError
from darkarcs.evaluation import Predictions, evaluate_predictions
from darkarcs.evaluation.compare import compare_predictions, match_predictions


def make(count: int, classes: tuple[str, ...], separation: float, seed: int = 0, **changes):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    identities = np.array([f"{k:05d}" for k in range(count)])
    fields = {
        "identities": identities,
        "groups": identities,
        "names": identities,
        "labels": labels,
        "logits": rng.normal(size=(count, len(classes)))
        + separation * np.eye(len(classes))[labels],
        "class_names": classes,
        "split": "test",
        "model_hash": f"hash{seed}",
    }
    return Predictions(**(fields | changes))


TWO, THREE = ("no_sub", "sub"), ("no_sub", "cdm", "axion")


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_all_that_the_contract_names_is_there(classes: tuple[str, ...]) -> None:
    result = evaluate_predictions(make(240, classes, 1.5), num_bootstrap=100)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    area = result["auc"]
    assert set(area["per_class"]) == set(classes)
    assert area["macro"] == pytest.approx(np.mean(list(area["per_class"].values())))
    for low, high in (area["interval"], area["bootstrap"]["interval"]):
        assert low < area["macro"] < high
    assert area["interval_level"] == 0.95
    assert result["n"] == 240
    confusion = np.array(result["confusion"])
    assert confusion.sum(axis=1).tolist() == list(result["class_counts"].values())
    assert result["accuracy"] == pytest.approx(np.trace(confusion) / 240)
    recalls = np.diag(confusion) / confusion.sum(axis=1)
    assert result["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert result["accuracy_interval"][0] < result["accuracy"] < result["accuracy_interval"][1]
    for rows in result["thresholds"].values():
        assert [row["target_false_positive_rate"] for row in rows] == [0.001, 0.01, 0.1]
        assert all(row["false_positive_rate"] <= row["target_false_positive_rate"] for row in rows)


def test_the_same_file_and_seed_give_the_same_result() -> None:
    p = make(120, THREE, 1.0)
    first = evaluate_predictions(p, num_bootstrap=50, seed=3)
    assert first == evaluate_predictions(p, num_bootstrap=50, seed=3)
    assert first != evaluate_predictions(p, num_bootstrap=50, seed=4)


def test_order_of_rows_does_not_matter() -> None:
    p = make(90, TWO, 1.0)
    shuffled = p.select(np.random.default_rng(0).permutation(90))
    a, b = (evaluate_predictions(q, num_bootstrap=10) for q in (p, shuffled))
    assert a["images_hash"] == b["images_hash"]
    assert a["auc"]["interval"] == pytest.approx(b["auc"]["interval"], rel=1e-9)
    assert a["confusion"] == b["confusion"]


def test_perfect_predictions_are_valid_json_and_not_called_certain() -> None:
    result = evaluate_predictions(make(400, TWO, 50.0), num_bootstrap=20)
    json.dumps(result, allow_nan=False)
    assert result["auc"]["macro"] == 1
    assert result["auc"]["interval"] == [pytest.approx(0.025 ** (1 / 200)), 1.0]
    assert result["auc"]["bootstrap"]["interval"] is None
    assert result["accuracy_interval"][0] < 1


def test_what_rests_on_few_images_is_said() -> None:
    p = make(400, TWO, 50.0)
    logits = p.logits.copy()
    logits[1] = [60.0, 0.0]
    result = evaluate_predictions(make(400, TWO, 50.0, logits=logits), num_bootstrap=20)
    assert result["auc"]["effective_errors"] == pytest.approx(1)
    assert any("rests on 1.0 images" in warning for warning in result["warnings"])


def test_an_absent_class_is_left_out_and_named() -> None:
    labels = np.arange(60) % 2
    result = evaluate_predictions(make(60, THREE, 1.0, labels=labels), num_bootstrap=20)
    assert result["auc"]["per_class"]["axion"] is None
    assert result["thresholds"]["axion"] == []
    assert any("'axion'" in warning for warning in result["warnings"])


def test_copies_are_reported() -> None:
    p = make(60, TWO, 1.0)
    twice = p.select(np.concatenate([np.arange(60), [0, 1]]))
    result = evaluate_predictions(twice, num_bootstrap=20)
    assert result["auc"]["bootstrap"]["unit"] == "group"
    assert "2 images are exact copies of others" in result["warnings"]


def test_what_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(DataError, match="no labels"):
        evaluate_predictions(make(4, TWO, 1.0, labels=None))
    with pytest.raises(DataError, match="all 4 images are 'sub'"):
        evaluate_predictions(make(4, TWO, 1.0, labels=np.ones(4, dtype=int)))
    with pytest.raises(DataError, match="no images"):
        evaluate_predictions(make(0, TWO, 1.0))


def test_matching_by_identity_with_copies() -> None:
    first = make(4, TWO, 1.0, identities=np.array(list("abac")))
    second = make(4, TWO, 1.0, identities=np.array(list("adab")))
    rows = [indices.tolist() for indices in match_predictions(first, second)]
    assert rows == [[0, 1, 2], [0, 3, 2]]


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_the_better_model_is_found(classes: tuple[str, ...]) -> None:
    better, worse = make(600, classes, 3.0, seed=1), make(600, classes, 0.8, seed=2)
    result = compare_predictions(better, worse, num_bootstrap=200)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["macro"]["difference"] > 0
    assert result["macro"]["p_value"] < 1e-6
    low, high = result["bootstrap"]["interval"]
    assert 0 < low < result["macro"]["difference"] < high
    assert result["macro"]["interval"] == pytest.approx([low, high], abs=0.01)
    assert set(result["per_class"]) == set(classes)
    assert result["first"]["auc"] == result["macro"]["first"]


def test_unmatched_images_and_the_order_of_classes() -> None:
    first = make(100, TWO, 2.0)
    second = make(
        100, ("sub", "no_sub"), 2.0, labels=1 - first.labels, logits=first.logits[:, ::-1]
    ).select(np.arange(10, 100)[::-1])
    result = compare_predictions(first, second, num_bootstrap=20)
    assert (result["n"], result["only_in_first"], result["only_in_second"]) == (90, 10, 0)
    assert result["macro"]["difference"] == 0
    assert result["macro"]["p_value"] == 1
    assert any("10 images are in one file only" in warning for warning in result["warnings"])
    assert any("same model" in warning for warning in result["warnings"])


def test_what_cannot_be_compared_is_refused() -> None:
    first = make(20, TWO, 1.0)
    with pytest.raises(DataError, match="no image in common"):
        compare_predictions(first, make(20, TWO, 1.0, identities=np.arange(20).astype(str)))
    with pytest.raises(DataError, match="has the classes"):
        compare_predictions(first, make(20, THREE, 1.0))
    with pytest.raises(DataError, match="different labels"):
        compare_predictions(first, make(20, TWO, 1.0, labels=1 - first.labels))
    with pytest.raises(DataError, match="no labels"):
        compare_predictions(first, make(20, TWO, 1.0, labels=None))
