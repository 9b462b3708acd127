"""Intervals: known values, behaviour next to 1, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from darkarcs.errors import ConfigurationError, DataError
from darkarcs.evaluation.bootstrap import bootstrap_auc, percentile_interval
from darkarcs.evaluation.intervals import (
    auc_interval,
    distribution_free_interval,
    wilson_interval,
)
from darkarcs.evaluation.roc import auc


def two_class(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, ...]:
    score = np.concatenate([positives, negatives])
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    # whole numbers sort faster than text, and groups are only compared
    return np.stack([-score, score], axis=1), labels, np.arange(len(score))


def draw(family: str, area: float, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Scores whose true AUC is known: light tails, heavy tails, rare gross errors."""
    negatives = rng.normal(size=count)
    if family == "binormal":
        return rng.normal(np.sqrt(2) * norm.ppf(area), 1, count), negatives
    if family == "unequal":
        return rng.normal(np.sqrt(10) * norm.ppf(area), 3, count), negatives
    if family == "exponential":
        return rng.exponential(area / (1 - area), count), rng.exponential(1, count)
    share = 2 * (1 - area)  # this share of the positives looks like negatives
    return rng.normal(size=count) + np.where(rng.random(count) < share, 0, 40), negatives


def coverage(family: str, area: float, count: int, repeats: int) -> float:
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(repeats):
        low, high = auc_interval(*_with_class(*two_class(*draw(family, area, count, rng)))).interval
        covered += low <= area <= high
    return covered / repeats


def _with_class(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple:
    return scores, labels, [1], groups


@pytest.mark.parametrize("family", ["binormal", "flipped"])
def test_coverage_in_a_few_cases(family: str) -> None:
    # 100 repeats: the standard deviation is 0.022 at the nominal level
    assert coverage(family, 0.9, 60, 100) > 0.88
    assert coverage(family, 0.995, 60, 100) > 0.88


@pytest.mark.slow
@pytest.mark.parametrize("family", ["binormal", "unequal", "exponential", "flipped"])
@pytest.mark.parametrize("area", [0.998, 0.9999])
def test_coverage_next_to_one(family: str, area: float) -> None:
    assert coverage(family, area, 800, 300) > 0.9


def test_a_perfect_ranking_is_not_certain() -> None:
    measured = auc_interval(*_with_class(*two_class(np.arange(800) + 1000.0, np.arange(900.0))))
    assert measured.auc == 1
    assert measured.method == "exact_pairs"
    # Clopper and Pearson's lower bound for 800 successes in 800 trials
    assert measured.interval == (pytest.approx(beta.ppf(0.025, 800, 1), rel=1e-12), 1.0)


def test_one_misplaced_image_moves_the_interval_a_little_only() -> None:
    negatives = np.arange(800.0)
    positives = np.arange(800) + 1000.0
    perfect = auc_interval(*_with_class(*two_class(positives, negatives)))
    positives[0] = 798.5
    almost = auc_interval(*_with_class(*two_class(positives, negatives)))
    assert almost.auc == pytest.approx(1 - 1 / 800**2, abs=1e-12)
    assert almost.effective_errors == pytest.approx(1)
    assert almost.interval[0] == pytest.approx(perfect.interval[0], abs=1e-4)
    assert almost.interval[0] < almost.auc < almost.interval[1] <= 1


def test_many_errors_give_delong_on_the_logit_scale() -> None:
    rng = np.random.default_rng(0)
    measured = auc_interval(*_with_class(*two_class(*draw("binormal", 0.9, 800, rng))))
    half = norm.isf(0.025) * measured.standard_error / (measured.auc * (1 - measured.auc))
    centre = np.log(measured.auc / (1 - measured.auc))
    expected = 1 / (1 + np.exp(-(centre + np.array([-half, half]))))
    assert measured.method == "delong_logit_t"
    np.testing.assert_allclose(measured.interval, expected, atol=2e-4)


def test_no_interval_has_zero_width() -> None:
    tied = auc_interval(*_with_class(*two_class(np.zeros(30), np.zeros(30))))
    assert (tied.auc, tied.method) == (0.5, "distribution_free")
    reversed_ = auc_interval(*_with_class(*two_class(np.arange(30.0), np.arange(30.0) + 50)))
    assert reversed_.interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 30)))
    lonely = auc_interval(*_with_class(*two_class(np.array([5.5]), np.arange(9.0))))
    for measured in (tied, reversed_, lonely):
        assert measured.interval[0] < measured.interval[1]
    with pytest.raises(DataError, match="two classes"):
        auc_interval(*two_class(np.ones(2), np.ones(2))[:2], [], np.array(list("abcd")))


def test_groups_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    positives, negatives = draw("binormal", 0.9, 100, rng)
    alone = auc_interval(*_with_class(*two_class(positives, negatives)))
    repeated = two_class(np.repeat(positives, 4), np.repeat(negatives, 4))
    grouped = auc_interval(repeated[0], repeated[1], [1], np.repeat(np.arange(200), 4).astype(str))
    assert grouped.method == "cluster_logit_t"
    assert np.ptp(grouped.interval) == pytest.approx(np.ptp(alone.interval), rel=0.1)


@pytest.mark.parametrize("area", [0.0, 0.2, 0.5, 0.9, 0.9999, 1.0])
def test_distribution_free_interval_solves_its_equation(area: float) -> None:
    low, high = distribution_free_interval(area, 200)
    assert low <= area <= high
    for bound in (low, high):
        if 0 < bound < 1:
            divergence = sum(
                p * np.log(p / q) for p, q in ((area, bound), (1 - area, 1 - bound)) if p > 0
            )
            assert 200 * divergence == pytest.approx(np.log(2 / 0.05), rel=1e-6)
    assert distribution_free_interval(area, 0) == (0.0, 1.0)


def test_wilson_never_collapses() -> None:
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1
    assert wilson_interval(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)


def test_bootstrap_resamples_are_what_repeating_images_gives() -> None:
    rng = np.random.default_rng(2)
    scores, labels, groups = two_class(rng.normal(1, 1, 40).round(1), rng.normal(0, 1, 60).round(1))
    resampled = bootstrap_auc(scores, labels, [0, 1], groups, num_resamples=400, seed=5)
    np.testing.assert_allclose(resampled.samples[:, 0], resampled.samples[:, 1], rtol=1e-6)
    assert resampled.unit == "image"
    again = bootstrap_auc(scores, labels, [0, 1], groups, num_resamples=400, seed=5)
    np.testing.assert_array_equal(resampled.samples, again.samples)
    other = bootstrap_auc(scores, labels, [0, 1], groups, num_resamples=400, seed=6)
    assert (resampled.samples != other.samples).any()
    direct = []
    for _ in range(400):
        rows = np.concatenate([rng.integers(0, 40, 40), 40 + rng.integers(0, 60, 60)])
        direct.append(auc(scores[rows, 1], labels[rows] == 1))
    assert resampled.macro.mean() == pytest.approx(np.mean(direct), abs=0.01)
    assert resampled.macro.std() == pytest.approx(np.std(direct), rel=0.2)


def test_bootstrap_draws_whole_groups() -> None:
    rng = np.random.default_rng(3)
    scores, labels, _ = two_class(rng.normal(1, 1, 50), rng.normal(0, 1, 50))
    pairs = np.tile(np.arange(50), 2).astype(str)  # one positive and one negative a group
    resampled = bootstrap_auc(scores, labels, [1], pairs, num_resamples=50)
    assert resampled.unit == "group"
    # doubling every image as its own group must not narrow the spread
    twice = bootstrap_auc(
        np.tile(scores, (2, 1)),
        np.tile(labels, 2),
        [1],
        np.tile(np.arange(100), 2).astype(str),
        num_resamples=400,
    )
    once = bootstrap_auc(scores, labels, [1], np.arange(100).astype(str), num_resamples=400)
    assert twice.samples.std() == pytest.approx(once.samples.std(), rel=0.2)


def test_a_bootstrap_without_spread_says_nothing() -> None:
    scores, labels, groups = two_class(np.arange(5.0) + 9, np.arange(5.0))
    resampled = bootstrap_auc(scores, labels, [1], groups, num_resamples=20)
    assert percentile_interval(resampled.macro) is None
    with pytest.raises(ConfigurationError, match="at least 1"):
        bootstrap_auc(scores, labels, [1], groups, num_resamples=0)
    with pytest.raises(DataError, match="at least one positive"):
        bootstrap_auc(scores, np.zeros(10, dtype=int), [1], groups)
