"""DeLong's variance against its definition, a published example's structure, and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from darkarcs.errors import DataError
from darkarcs.evaluation.delong import delong_covariance, delong_test, placements
from darkarcs.evaluation.influence import (
    effective_errors,
    has_clusters,
    independent_tuples,
    influence,
    influence_variance,
    kish_number,
)


def brute_force(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations 4 to 6 of DeLong et al. 1988, written out."""
    kernels = []
    for row in scores:
        gaps = row[positive][:, None] - row[~positive][None]
        kernels.append((gaps > 0) + 0.5 * (gaps == 0))
    v10 = np.stack([kernel.mean(axis=1) for kernel in kernels])
    v01 = np.stack([kernel.mean(axis=0) for kernel in kernels])
    areas = v10.mean(axis=1)
    d10, d01 = v10 - areas[:, None], v01 - areas[:, None]
    m, n = v10.shape[1], v01.shape[1]
    return areas, d10 @ d10.T / (m - 1) / m + d01 @ d01.T / (n - 1) / n


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_midranks_give_what_the_definition_gives(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    positive = rng.random(80) < 0.4
    scores = (rng.normal(size=(3, 80)) + positive).round(decimals)
    areas, covariance = delong_covariance(scores, positive)
    expected_areas, expected = brute_force(scores, positive)
    np.testing.assert_allclose(areas, expected_areas, rtol=1e-13)
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-16)


def test_a_case_worked_by_hand() -> None:
    # positives 3, 2, 1; negatives 1, 2: V10 = 1, 3/4, 1/4; V01 = 5/6, 1/2
    scores = np.array([3.0, 2.0, 1.0, 1.0, 2.0])
    positive = np.array([1, 1, 1, 0, 0], dtype=bool)
    shares = placements(scores, positive)
    np.testing.assert_allclose(shares, [1, 0.75, 0.25, 5 / 6, 0.5])
    areas, covariance = delong_covariance(scores[None], positive)
    assert areas[0] == pytest.approx(2 / 3)
    # variances 7/48 and 1/18 over 3 and 2 images
    assert covariance[0, 0] == pytest.approx(7 / 48 / 3 + 1 / 18 / 2)


def test_the_paired_test_has_its_level() -> None:
    rng = np.random.default_rng(2)
    positive = np.arange(120) < 60
    rejected = 0
    for _ in range(200):
        common = rng.normal(size=120) + 1.2 * positive
        pair = common + rng.normal(size=(2, 120))
        rejected += delong_test(pair[0], pair[1], positive).p_value < 0.05
    # 10 expected; 3 standard deviations are 9
    assert 1 <= rejected <= 20


def test_the_paired_test_finds_a_difference_and_its_sign() -> None:
    rng = np.random.default_rng(3)
    positive = np.arange(400) < 200
    better = rng.normal(size=400) + 2 * positive
    worse = better + 2 * rng.normal(size=400)
    test = delong_test(better, worse, positive)
    assert test.p_value < 1e-6
    assert test.z is not None
    assert test.z > 0
    assert test.interval is not None
    assert 0 < test.interval[0] < test.difference < test.interval[1]
    swapped = delong_test(worse, better, positive)
    assert swapped.difference == pytest.approx(-test.difference)
    assert swapped.p_value == pytest.approx(test.p_value)


def test_equal_scores_leave_nothing_to_test() -> None:
    scores = np.array([1.0, 3.0, 2.0, 4.0])
    test = delong_test(scores, 2 * scores, np.array([0, 0, 1, 1], dtype=bool))
    assert (test.difference, test.p_value, test.z, test.interval) == (0.0, 1.0, None, None)


def test_too_few_images_are_an_error() -> None:
    with pytest.raises(DataError, match="two images of each"):
        delong_covariance(np.arange(3.0)[None], np.array([1, 0, 0], dtype=bool))
    with pytest.raises(DataError, match="at least one positive"):
        placements(np.arange(3.0), np.zeros(3, dtype=bool))


def test_influence_gives_delong_for_one_class() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 90)
    score = (rng.normal(size=90) + labels).round(1)
    scores = np.stack([-score, score], axis=1)
    psi = influence(scores, labels, [1])
    _, covariance = delong_covariance(score[None], labels == 1)
    assert influence_variance(psi, labels) == pytest.approx(covariance[0, 0], rel=1e-12)
    assert psi.sum() == pytest.approx(0, abs=1e-12)


def test_macro_variance_agrees_with_simulation() -> None:
    rng = np.random.default_rng(6)
    labels = np.arange(300) % 3
    areas, variances = [], []
    for _ in range(150):
        logits = rng.normal(size=(300, 3)) + 1.5 * np.eye(3)[labels]
        psi = influence(logits, labels, [0, 1, 2])
        variances.append(influence_variance(psi, labels))
        areas.append(
            np.mean([placements(logits[:, k], labels == k)[labels == k].mean() for k in range(3)])
        )
    assert np.mean(variances) == pytest.approx(np.var(areas), rel=0.4)


def test_doubling_every_image_does_not_shrink_a_clustered_variance() -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, 200)
    score = rng.normal(size=200) + labels
    scores = np.stack([-score, score], axis=1)
    groups = np.arange(200).astype(str)
    alone = influence_variance(influence(scores, labels, [1]), labels, groups)
    twice = influence_variance(
        influence(np.tile(scores, (2, 1)), np.tile(labels, 2), [1]),
        np.tile(labels, 2),
        np.tile(groups, 2),
    )
    assert twice == pytest.approx(alone, rel=0.02)


def test_effective_errors_count_what_makes_the_error() -> None:
    labels = np.repeat([0, 1], 50)
    score = np.concatenate([np.linspace(0, 1, 50), np.linspace(2, 3, 50)])
    groups = np.arange(100).astype(str)
    stacked = np.stack([-score, score], axis=1)
    assert effective_errors(stacked, labels, [1], groups) == 0
    stacked[99] = [5, -5]
    assert effective_errors(stacked, labels, [1], groups) == pytest.approx(1)
    stacked[98] = [5, -5]
    assert effective_errors(stacked, labels, [1], groups) == pytest.approx(2)
    groups[98] = groups[99]
    assert effective_errors(stacked, labels, [1], groups) == pytest.approx(1)
    assert kish_number(np.full(7, 1e-300)) == pytest.approx(7)


def test_independent_tuples() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    assert independent_tuples(labels, np.array(list("abcde"))) == 2
    assert independent_tuples(labels, np.array(list("aabcd"))) == 2
    assert independent_tuples(labels, np.array(list("abcab"))) == 1
    assert has_clusters(np.array(list("aabc")))
    assert not has_clusters(np.array(list("aaaa")))
