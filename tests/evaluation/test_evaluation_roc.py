"""AUC, curves and thresholds against counting by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from darkarcs.errors import DataError
from darkarcs.evaluation.roc import (
    auc,
    macro_auc,
    one_vs_rest_scores,
    per_class_auc,
    roc_curve,
    threshold_at,
)


def test_auc_by_hand_with_ties() -> None:
    # pairs (positive, negative): 3>1 3>2 | 2>1 2=2 | 1=1 1<2 -> (2 + 1.5 + 0.5) / 6
    scores = np.array([3.0, 2.0, 1.0, 1.0, 2.0])
    positive = np.array([1, 1, 1, 0, 0], dtype=bool)
    assert auc(scores, positive) == pytest.approx(4 / 6, abs=0)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_auc_equals_counting_and_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    scores = rng.normal(size=300).round(decimals)
    positive = rng.random(300) < 0.3
    gaps = scores[positive][:, None] - scores[~positive][None]
    counted = ((gaps > 0) + 0.5 * (gaps == 0)).mean()
    assert auc(scores, positive) == pytest.approx(counted, rel=1e-14)
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), rel=1e-14)


def test_an_empty_side_is_an_error() -> None:
    for function in (auc, roc_curve):
        with pytest.raises(DataError, match="at least one positive and one negative"):
            function(np.arange(3.0), np.ones(3, dtype=bool))


def test_scores_rank_as_probabilities_do_and_do_not_saturate() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 3)) * 3
    labels = rng.integers(0, 3, 200)
    scores = one_vs_rest_scores(logits)
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), softmax(logits, axis=1), rtol=1e-12)
    expected = roc_auc_score(labels, softmax(logits, axis=1), multi_class="ovr")
    assert macro_auc(logits, labels) == pytest.approx(expected, rel=1e-12)

    sure = np.array([[0.0, 60.0], [0.0, 50.0]])
    assert np.unique(softmax(sure, axis=1)[:, 1]).size == 1
    assert macro_auc(sure, np.array([1, 0])) == 1.0


def test_two_classes_have_one_auc() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(50, 2)), rng.integers(0, 2, 50)
    first, second = per_class_auc(one_vs_rest_scores(logits), labels)
    assert first == pytest.approx(second, rel=1e-14)
    assert macro_auc(logits, labels) == pytest.approx(second, rel=1e-14)


def test_a_class_without_images_has_no_auc() -> None:
    logits = np.eye(3)[[0, 0, 1]]
    assert per_class_auc(one_vs_rest_scores(logits), np.array([0, 0, 1])) == [1.0, 1.0, None]
    with pytest.raises(DataError, match="two classes"):
        macro_auc(logits, np.zeros(3, dtype=int))


@pytest.mark.parametrize("target", [0.0, 0.001, 0.01, 0.1, 0.29, 1.0])
def test_threshold_is_the_best_that_keeps_the_rate(target: float) -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=400).round(1)
    positive = rng.random(400) < 0.5
    scores[positive] += 1
    threshold, false_rate, true_rate = threshold_at(scores, positive, target)
    assert threshold is not None
    assert false_rate == (scores[~positive] >= threshold).mean() <= target
    assert true_rate == (scores[positive] >= threshold).mean()
    lower = scores[scores < threshold]
    if len(lower):  # the next lower threshold would let too many through
        assert (scores[~positive] >= lower.max()).mean() > target


def test_no_threshold_will_do_when_a_negative_leads() -> None:
    found = threshold_at(np.array([1.0, 2.0]), np.array([True, False]), 0.01)
    assert found == (None, 0.0, 0.0)
