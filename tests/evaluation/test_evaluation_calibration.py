"""Calibration against counting by hand and against models whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from darkarcs.errors import DataError
from darkarcs.evaluation import fit_temperature
from darkarcs.evaluation.calibration import (
    brier_score,
    calibration_summary,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)


def calibrated(count: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their very probabilities."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(count, classes))
    draws = rng.random(count)[:, None]
    labels = (softmax(logits, axis=1).cumsum(axis=1) < draws).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


def test_ece_by_hand() -> None:
    confidence = np.array([0.55, 0.65, 0.95, 0.95])
    correct = np.array([False, True, True, True])
    width = reliability(confidence, correct, "equal_width", 5)
    assert [(row["count"], row["accuracy"]) for row in width] == [(1, 0.0), (1, 1.0), (2, 1.0)]
    assert [(round(row["low"], 1), round(row["high"], 1)) for row in width] == [
        (0.4, 0.6),
        (0.6, 0.8),
        (0.8, 1.0),
    ]
    expected = (0.55 + 0.35 + 2 * 0.05) / 4
    assert expected_calibration_error(width) == pytest.approx(expected)
    mass = reliability(confidence, correct, "equal_mass", 2)
    assert [(row["count"], row["confidence"]) for row in mass] == [
        (2, pytest.approx(0.6)),
        (2, pytest.approx(0.95)),
    ]
    assert expected_calibration_error(mass) == pytest.approx((2 * 0.1 + 2 * 0.05) / 4)


def test_every_image_is_in_one_bin() -> None:
    confidence = np.concatenate([np.zeros(3), np.ones(4), np.linspace(0, 1, 50)])
    for bins in ("equal_width", "equal_mass"):
        table = reliability(confidence, np.ones(57, dtype=bool), bins, 15)
        assert sum(row["count"] for row in table) == 57


def test_a_calibrated_model_has_a_small_error_and_a_sure_one_a_large() -> None:
    logits, labels = calibrated(20_000)
    assert calibration_summary(logits, labels)["ece"] < 0.02
    assert calibration_summary(logits, labels)["ece_equal_mass"] < 0.02
    assert calibration_summary(4 * logits, labels)["ece"] > 0.15


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_temperature_undoes_a_factor(factor: float) -> None:
    logits, labels = calibrated(20_000)
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.05)


def test_temperature_where_it_cannot_be_told() -> None:
    assert fit_temperature(5 * np.eye(3), np.arange(3)) == 1.0
    with pytest.raises(DataError, match="temperature needs"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int))


def test_scores_by_hand() -> None:
    logits = np.log([[0.8, 0.2], [0.4, 0.6]])
    labels = np.array([0, 0])
    expected = -(np.log(0.8) + np.log(0.4)) / 2
    assert negative_log_likelihood(logits, labels) == pytest.approx(expected)
    assert brier_score(np.exp(logits), labels) == pytest.approx((0.08 + 0.72) / 2)
    assert np.isfinite(negative_log_likelihood(np.array([[0.0, 4000.0]]), np.array([0])))
