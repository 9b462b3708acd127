"""Rates at a given share of false alarms: against closed forms, and with intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from darkarcs.benchmark.detection_rates import (
    mass_at_rate,
    model_rate,
    oracle_rate,
    substructure_score,
    threshold_at,
)
from darkarcs.errors import DataError, ModelError
from darkarcs.evaluation.operating_points import threshold_draws


def test_the_score_is_the_log_odds_against_no_sub() -> None:
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 800.0]])
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    score = substructure_score(logits, ("no_sub", "cdm", "axion"))
    assert score[0] == pytest.approx(np.log((1 - shares[0]) / shares[0]))
    assert score[1] == pytest.approx(800.0)  # where a probability would be one
    np.testing.assert_allclose(substructure_score(logits[:, ::-1], ("a", "b", "no_sub")), score)
    with pytest.raises(ModelError, match="needs no_sub"):
        substructure_score(logits, ("cdm", "axion", "ring"))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.29])
def test_no_more_controls_than_asked_for_lie_above_the_threshold(share: float) -> None:
    scores = np.random.default_rng(0).permutation(100).astype(float)
    assert (scores > threshold_at(scores, share)).sum() == round(100 * share)
    tied = np.repeat([0.0, 1.0], 50)
    assert (tied > threshold_at(tied, share)).mean() <= share


def test_too_few_controls_are_refused() -> None:
    with pytest.raises(DataError, match="take at least 100"):
        threshold_at(np.zeros(99), 0.01)


def test_rates_of_normal_scores_follow_their_closed_form() -> None:
    """The model that is the matched filter finds what the oracle's formula says."""
    random = np.random.default_rng(1)
    for shift in (0.0, 1.5, 3.0):
        controls, cases = random.normal(size=20_000), random.normal(shift, 1.0, 20_000)
        found = model_rate(cases, threshold_at(controls, 0.1), threshold_draws(controls, 0.1))
        expected = ndtr(shift - norm.isf(0.1))
        assert oracle_rate(np.full(50, shift), 0.1).rate == pytest.approx(expected)
        assert found.interval[0] < expected < found.interval[1]
        assert found.interval[1] - found.interval[0] < 0.05


def test_the_interval_of_a_rate_holds_as_often_as_it_says() -> None:
    """Both few cases and few controls count: with the threshold taken as known it would fail."""
    random = np.random.default_rng(2)
    expected = ndtr(1.5 - norm.isf(0.1))
    covered, narrow = 0, 0
    for trial in range(150):
        controls, cases = random.normal(size=80), random.normal(1.5, 1.0, 400)
        threshold = threshold_at(controls, 0.1)
        draws = threshold_draws(controls, 0.1, seed=trial, num=300)
        low, high = model_rate(cases, threshold, draws, seed=trial).interval
        covered += low <= expected <= high
        low, high = model_rate(cases, threshold, np.full((300, 2), threshold), seed=trial).interval
        narrow += low <= expected <= high
    assert covered >= 134  # 95 % of 150, less three standard deviations
    assert narrow < 110


@pytest.mark.parametrize("found", [0, 20])
def test_none_or_all_found_is_not_certain(found: int) -> None:
    cases = np.where(np.arange(20) < found, 1.0, -1.0)
    rate = model_rate(cases, 0.0, np.zeros((4000, 2)))
    assert rate.rate == found / 20
    low, high = rate.interval
    assert high - low > 0.08
    assert low <= rate.rate <= high
    # Jeffreys' interval, beta quantiles
    expected = (0.0, 0.117) if found == 0 else (0.883, 1.0)
    assert (low, high) == pytest.approx(expected, abs=0.01)


def test_an_oracle_finds_more_of_what_is_stronger() -> None:
    weak, strong = oracle_rate([0.5, 1.0], 0.01), oracle_rate([3.0, 5.0], 0.01)
    assert weak.rate < 0.1 < 0.7 < strong.rate
    assert weak.interval[0] <= weak.rate <= weak.interval[1]
    assert oracle_rate(np.zeros(5), 0.01).rate == pytest.approx(0.01)


def test_rates_of_no_lens_are_refused() -> None:
    with pytest.raises(DataError, match="at least one lens"):
        oracle_rate([], 0.1)
    with pytest.raises(DataError, match="at least one lens"):
        model_rate([], 0.0, np.zeros((3, 2)))


def test_the_mass_at_a_rate() -> None:
    assert mass_at_rate([8, 9, 10], [0.6, 0.7, 0.9]) == 8
    assert mass_at_rate([8, 9, 10], [0.0, 0.25, 0.75]) == pytest.approx(9.5)
    # a curve that is not monotonic counts from where it stays above
    assert mass_at_rate([8, 9, 10], [0.6, 0.4, 0.6]) == pytest.approx(9.5)
    assert mass_at_rate([8, 9, 10], [0.6, 0.7, 0.4]) is None
