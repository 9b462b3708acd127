"""Areas from strengths, beside simulated noise and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from darkarcs.errors import DataError
from darkarcs.limits.oracle import (
    oracle_matrix,
    paired_area,
    paired_auc,
    pooled_area,
    pooled_auc,
    scores_matrix,
)


def likelihood_ratios(strengths: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Score noisy images of known signals, and of none, by their log-likelihood ratio."""
    random = np.random.default_rng(0)
    signals = random.normal(size=(len(strengths), 30))
    signals *= (strengths / np.linalg.norm(signals, axis=1))[:, None]
    noise = random.normal(size=(2, len(strengths), draws, 30))
    square = 0.5 * strengths[:, None] ** 2
    cases = np.einsum("ldp,lp->ld", noise[0] + signals[:, None], signals) - square
    controls = np.einsum("ldp,lp->ld", noise[1], signals) - square
    return cases, controls


def test_areas_are_those_of_simulated_noise() -> None:
    strengths = np.array([0.3, 0.8, 1.5, 2.5, 4.0])
    matrix = scores_matrix(*likelihood_ratios(strengths, 3000))
    np.testing.assert_allclose(matrix, oracle_matrix(strengths), atol=0.02)
    assert paired_area(matrix).value == pytest.approx(paired_auc(strengths), abs=0.01)
    assert pooled_area(matrix).value == pytest.approx(pooled_auc(strengths), abs=0.01)


def test_values_by_hand() -> None:
    assert paired_auc(np.zeros(3)) == 0.5
    assert paired_auc(np.array([2.0])) == pytest.approx(ndtr(2**0.5))
    assert pooled_auc(np.array([3.0]), np.array([4.0])) == pytest.approx(ndtr(2.5))
    # without a pair of one lens: only 3 beside 4, both ways
    assert pooled_auc(np.array([3.0, 4.0])) == pytest.approx(ndtr(2.5))
    assert scores_matrix(np.zeros((1, 2)), np.zeros((1, 3))).item() == 0.5


def test_intervals_hold_the_value_and_shrink() -> None:
    random = np.random.default_rng(1)
    widths = []
    for count in (40, 640):
        matrix = oracle_matrix(random.exponential(2.0, count))
        for area in (paired_area(matrix, 3), pooled_area(matrix, 3)):
            assert area.low < area.value < area.high
        area = paired_area(matrix, 3)
        widths.append(area.high - area.low)
        assert area == paired_area(matrix, 3)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.4)


def test_interval_covers() -> None:
    random = np.random.default_rng(2)
    truth = paired_auc(random.exponential(2.0, 200_000))
    areas = [paired_area(oracle_matrix(random.exponential(2.0, 100)), seed) for seed in range(60)]
    covered = sum(area.low <= truth <= area.high for area in areas)
    assert covered >= 51


@pytest.mark.parametrize("wrong", [[], [-1.0], [np.nan], [[1.0]]])
def test_strengths_must_be_strengths(wrong: list[float]) -> None:
    with pytest.raises(DataError, match="not negative"):
        paired_auc(np.array(wrong))


def test_one_lens_has_no_pooled_area() -> None:
    with pytest.raises(DataError, match="two at least"):
        pooled_auc(np.array([1.0]))
