"""Prediction sets: exact finite-sample coverage by simulation, and what they cost."""

from __future__ import annotations

import math

import numpy as np
import pytest

from darkarcs.errors import ConfigurationError, DataError
from darkarcs.evaluation.conformal import (
    PredictionSets,
    SetSettings,
    conformal_threshold,
    coverage_summary,
    nonconformity,
)


def drawn(count: int, seed: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of three classes and labels drawn from their softmax at another temperature."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(count, 3)) + [1.0, 0.0, 0.0]
    noise = generator.gumbel(size=logits.shape)
    return logits, (logits / temperature + noise).argmax(axis=1)


def test_coverage_is_exact_for_any_number_of_images() -> None:
    # 9 scores without ties: the threshold at 80 % is the 8th, which 8 of 10 ranks reach
    generator = np.random.default_rng(0)
    scores = generator.random((20_000, 10))
    inside = [row[-1] <= conformal_threshold(row[:-1], 0.8) for row in scores]
    assert np.isclose(np.mean(inside), 0.8, atol=0.01)


@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_sets_cover_also_for_a_model_that_is_too_sure(score: str, temperature: float) -> None:
    covered = []
    for seed in range(60):
        logits, labels = drawn(400, seed, temperature)
        sets = PredictionSets.fit(logits[:100], labels[:100], 0.9, score=score)  # type: ignore[arg-type]
        covered.append(sets.apply(logits[100:])[np.arange(300), labels[100:]].mean())
    mean, error = np.mean(covered), np.std(covered) / math.sqrt(len(covered))
    assert mean > 0.9 - 3 * error
    if score == "lac":  # aps is not randomized, and covers more than it is asked for
        assert mean < 0.9 + 1 / 101 + 3 * error


def test_sets_by_class_cover_each_class() -> None:
    logits, labels = drawn(40_000, 3, 3.0)
    half = 20_000
    for by_class, spread in ((False, 0.02), (True, 0.0)):
        sets = PredictionSets.fit(logits[:half], labels[:half], 0.8, by_class=by_class)
        found = coverage_summary(sets.apply(logits[half:]), labels[half:], "abc")
        by_name = [row["coverage"] for row in found["by_class"].values()]
        assert np.isclose(found["coverage"], 0.8, atol=0.01)
        if by_class:
            assert np.allclose(by_name, 0.8, atol=0.015)
        else:
            assert np.ptp(by_name) > spread  # what one threshold for all does not promise


def test_lac_sets_are_the_smallest_and_aps_adapts() -> None:
    logits, labels = drawn(6000, 5)
    sizes = {}
    for score in ("lac", "aps"):
        sets = PredictionSets.fit(logits[:3000], labels[:3000], 0.9, score=score)  # type: ignore[arg-type]
        sizes[score] = sets.apply(logits[3000:]).sum(axis=1)
    assert sizes["lac"].mean() < sizes["aps"].mean()
    assert sizes["aps"].min() >= 1


def test_too_few_images_promise_nothing_but_every_class() -> None:
    logits, labels = drawn(9, 7)
    sets = PredictionSets.fit(logits, labels, 0.95)
    assert sets.apply(logits).all()
    absent = PredictionSets.fit(logits, np.zeros(9, dtype=np.int64), 0.5, by_class=True)
    assert absent.apply(logits)[:, 1:].all()


def test_ties_in_aps_are_all_counted() -> None:
    found = nonconformity(np.full((1, 4), 0.25), "aps")
    assert found.tolist() == [[1.0] * 4]


def test_threshold_is_not_moved_by_rounding() -> None:
    # (9 + 1) * 0.9 and (99 + 1) * 0.29 are not whole in floating point
    assert conformal_threshold(np.arange(1.0, 10.0), 0.9) == 9.0
    assert conformal_threshold(np.arange(1.0, 100.0), 0.29) == 29.0


def test_summary_counts() -> None:
    sets = np.array([[True, False, False], [True, True, False], [False] * 3, [True] * 3])
    found = coverage_summary(sets, np.array([0, 2, 1, 1]), "abc")
    assert found["coverage"] == 0.5
    assert found["mean_size"] == 1.5
    assert (found["empty"], found["single"], found["n"]) == (0.25, 0.25, 4)
    assert found["by_class"]["b"]["coverage"] == 0.5
    low, high = found["coverage_interval"]
    assert 0 < low < 0.5 < high < 1


def test_what_is_not_valid_is_refused() -> None:
    logits, labels = drawn(20, 8)
    for coverage in (0.0, 1.0):
        with pytest.raises(ConfigurationError, match="between 0 and 1"):
            PredictionSets.fit(logits, labels, coverage)
    with pytest.raises(ConfigurationError, match="lac or aps"):
        PredictionSets.fit(logits, labels, 0.9, score="raps")  # type: ignore[arg-type]
    with pytest.raises(DataError):
        PredictionSets.fit(logits, labels[:-1], 0.9)
    with pytest.raises(DataError):
        coverage_summary(np.zeros((0, 3), dtype=bool), np.zeros(0, dtype=np.int64), "abc")
    with pytest.raises(ConfigurationError, match="coverage"):
        SetSettings.parse({"coverage": 1.5}, "sets")
