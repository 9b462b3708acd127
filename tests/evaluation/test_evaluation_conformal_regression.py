"""Conformal intervals cover as often as they say, however wrong the model's own are."""

from __future__ import annotations

import numpy as np
import pytest

from darkarcs.errors import DataError
from darkarcs.evaluation.conformal_regression import apply_correction, fit_correction


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("level", [0.68, 0.9])
@pytest.mark.parametrize("width", [0.2, 1.0, 5.0])
def test_new_lenses_are_covered(width: float, level: float, scaled: bool) -> None:
    random = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        spread = random.uniform(0.5, 2.0, 240)
        truth = spread * random.normal(size=240)
        low, high = -width * spread, 1.5 * width * spread
        fitted = fit_correction(low[:40], high[:40], truth[:40], level, scaled=scaled)
        assert fitted is not None
        lower, upper = apply_correction(low[40:], high[40:], fitted, scaled=scaled)
        covered.append(((lower <= truth[40:]) & (truth[40:] <= upper)).mean())
    # theorem 1: at least the level, and at most 1 / 41 more; 300 draws leave 0.4 % of error
    assert level - 0.012 < np.mean(covered) < level + 1 / 41 + 0.012


def test_it_is_the_right_order_statistic() -> None:
    truth = np.arange(1.0, 11.0)
    # scores are truth - 0 = 1..10; ceil(11 * 0.8) = 9
    assert fit_correction(np.full(10, -99.0), np.zeros(10), truth, 0.8) == 9.0
    # exactly 11 * 10 / 11 = 10, whatever rounding makes of it
    assert fit_correction(np.full(10, -99.0), np.zeros(10), truth, 10 / 11) == 10.0
    assert fit_correction(np.full(10, -99.0), np.zeros(10), truth, 0.95) is None


def test_unknown_truths_do_not_calibrate() -> None:
    truth = np.array([1.0, np.nan, 2.0, 3.0])
    known = np.isfinite(truth)
    low, high = np.zeros(4), np.ones(4)
    assert fit_correction(low, high, truth, 0.5) == fit_correction(
        low[known], high[known], truth[known], 0.5
    )


def test_an_interval_is_never_turned_inside_out() -> None:
    lower, upper = apply_correction([0.0, 0.0], [1.0, 4.0], -1.0)
    assert lower.tolist() == [0.5, 1.0]
    assert upper.tolist() == [0.5, 3.0]


def test_levels_are_shares() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        fit_correction([0.0], [1.0], [0.5], 1.0)
