"""The rule that flags: honest by simulation, exact where it can be written down."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from darkarcs.trust.calibration import Tail, conformal_p_values, flag_rank, guaranteed_rate


def test_p_values_are_exact_by_simulation() -> None:
    generator = np.random.default_rng(0)
    count, hits = 4000, np.zeros(3)
    for _ in range(count):
        calibration = np.sort(generator.gumbel(size=19))
        p_value = conformal_p_values(generator.gumbel(size=1), calibration)[0]
        hits += p_value <= np.array([0.05, 0.2, 0.5]) + 1e-9
    # with 19 images every multiple of 1/20 is reached exactly
    assert np.allclose(hits / count, [0.05, 0.2, 0.5], atol=0.025)


def test_ties_count_against_strangeness() -> None:
    assert conformal_p_values(np.array([1.0]), np.ones(9)).item() == 1.0


@pytest.mark.parametrize("count", [299, 800, 2048, 10_000])
def test_rank_is_the_largest_that_keeps_the_rate(count: int) -> None:
    rank = flag_rank(count)
    assert beta.sf(0.01, rank, count + 1 - rank) <= 0.05
    assert beta.sf(0.01, rank + 1, count - rank) > 0.05
    assert np.isclose(guaranteed_rate(count, rank), beta.ppf(0.95, rank, count + 1 - rank))


def test_flag_rate_exceeds_what_is_allowed_as_seldom_as_promised() -> None:
    generator = np.random.default_rng(1)
    rank = flag_rank(800)
    # true flag rate given calibration: chance of a score above the rank-th largest uniform
    rates = 1 - np.sort(generator.random((4000, 800)), axis=1)[:, -rank]
    assert 0.02 < (rates > 0.01).mean() < 0.055


def test_few_images_promise_little() -> None:
    assert flag_rank(20) == 1
    assert guaranteed_rate(20, 1) > 0.1


def test_surprise_follows_the_share_and_never_saturates() -> None:
    scores = np.random.default_rng(2).exponential(size=20_000)
    tail = Tail.fit(scores)
    # of an exponential, minus the log of the share above is the score itself
    points = np.array([0.5, 1.0, 2.0, 5.0, 9.0])
    assert np.allclose(tail.surprise(points), points, rtol=0.05)
    assert tail.surprise(np.array([1e6])).item() > 1e5


def test_a_few_freaks_do_not_hide_what_is_strange() -> None:
    scores = np.random.default_rng(2).exponential(size=1000)
    freaks = np.append(scores, np.full(3, 1e4))
    at = np.array([20.0])
    assert Tail.fit(freaks).surprise(at) > 0.7 * Tail.fit(scores).surprise(at)


def test_equal_scores_make_any_larger_one_strange() -> None:
    tail = Tail.fit(np.full(50, 3.0))
    same, larger = tail.surprise(np.array([3.0, 3.1]))
    assert np.isfinite([same, larger]).all()
    assert larger > 100
    assert same == 0


def test_whoever_is_as_strange_as_most_is_not_strange() -> None:
    tail = Tail.fit(np.repeat([0.0, 1.0], [90, 10]))
    common, between, rare = tail.surprise(np.array([0.0, 0.5, 1.0]))
    assert common == 0
    assert common < between <= rare
    assert rare == pytest.approx(-np.log(0.1), abs=0.3)
