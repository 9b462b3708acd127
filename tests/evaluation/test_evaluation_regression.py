"""Errors of measured numbers, coverage, files, and maps against the radial map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import r2_score

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation.measurements import (
    MeasuredNumber,
    Measurements,
    read_measurements,
    write_measurements,
)
from darkarcs.evaluation.regression import evaluate_regression
from darkarcs.evaluation.substructure_maps import evaluate_map

LEVELS = (0.68, 0.9)


def measured(count: int = 2000, noise: float = 0.5) -> tuple[np.ndarray, ...]:
    """Make truths, and the exact posterior's median and bounds."""
    random = np.random.default_rng(0)
    truth = random.normal(size=count)
    seen = truth + noise * random.normal(size=count)
    spread = noise / np.sqrt(1 + noise**2)
    median = seen / (1 + noise**2)
    reach = spread * norm.isf((1 - np.array(LEVELS)) / 2)
    return truth, median, median[:, None] - reach, median[:, None] + reach


def test_figures_of_an_exact_posterior() -> None:
    truth, median, lower, upper = measured()
    report = evaluate_regression(truth, median, lower, upper, LEVELS, num_bootstrap=200)
    assert report["r_squared"] == pytest.approx(r2_score(truth, median))
    assert report["rmse"] == pytest.approx(0.5 / np.sqrt(1.25), rel=0.05)
    for name in ("r_squared", "rmse", "bias", "spearman"):
        low, high = report[f"{name}_interval"]
        assert low < report[name] < high
    for level in LEVELS:
        figures = report["intervals"][f"{level:g}"]
        low, high = figures["coverage_interval"]
        assert low < level < high
        assert figures["width_ratio"] == pytest.approx(0.5 / np.sqrt(1.25), rel=0.1)
    # coverage at a measured value holds; at an extreme true value a posterior shrinks
    covered = [one["intervals"]["0.9"]["coverage"] for one in report["by_measured"]]
    assert min(covered) > 0.85
    assert sum(one["n"] for one in report["by_truth"]) == 2000
    assert report["by_truth"][0]["bias"] > 0 > report["by_truth"][-1]["bias"]


def test_unknown_truths_are_counted_and_left_out() -> None:
    truth, median, lower, upper = measured(50)
    whole = evaluate_regression(truth[10:], median[10:], lower[10:], upper[10:], LEVELS)
    truth[:10] = np.nan
    part = evaluate_regression(truth, median, lower, upper, LEVELS)
    assert part.pop("num_unknown") == 10
    assert whole.pop("num_unknown") == 0
    assert part == whole


def test_a_constant_answer_explains_nothing() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    bounds = np.zeros((3, 1))
    report = evaluate_regression(truth, np.full(3, 2.0), bounds, bounds, [0.9], num_bootstrap=0)
    assert report["r_squared"] == 0.0
    assert report["spearman"] == 0.0
    assert report["rmse_interval"] is None
    assert report["intervals"]["0.9"]["coverage"] == 0.0


def test_shapes_must_fit() -> None:
    with pytest.raises(DataError, match="do not fit"):
        evaluate_regression(np.zeros(3), np.zeros(3), np.zeros((3, 1)), np.zeros((3, 2)), [0.9])
    bounds = np.zeros((3, 1))
    with pytest.raises(DataError, match="fewer than three"):
        evaluate_regression(np.full(3, np.nan), np.zeros(3), bounds, bounds, [0.9])


def table() -> Measurements:
    truth, median, lower, upper = measured(4)
    truth[2] = np.nan
    names = np.array(["a", "b", "c,d", "e"])
    number = MeasuredNumber("log10", truth, median, lower, upper, LEVELS)
    plain = MeasuredNumber("none", truth, median, lower, upper, LEVELS)
    return Measurements(
        names, names, names, names, {"s.fraction": number, "s.log10_mass": plain}, "test", "ab+cd"
    )


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = table()
    path = write_measurements(written, tmp_path / "m.csv")
    read = read_measurements(path)
    assert (read.split, read.model_hash) == ("test", "ab+cd")
    assert read.names.tolist() == written.names.tolist()
    assert list(read.numbers) == ["s.fraction", "s.log10_mass"]
    for name, number in read.numbers.items():
        assert number.transform == written.numbers[name].transform
        assert number.levels == LEVELS
        for field in ("truth", "median", "lower", "upper"):
            expected = getattr(written.numbers[name], field)
            assert np.allclose(getattr(number, field), expected, equal_nan=True, rtol=1e-8)
    with pytest.raises(OutputExistsError):
        write_measurements(written, path)


@pytest.mark.parametrize("cut", [3, 40, 200])
def test_a_damaged_table_is_told(tmp_path: Path, cut: int) -> None:
    path = write_measurements(table(), tmp_path / "m.csv")
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:cut] if cut < 100 else text[:-cut], encoding="utf-8")
    with pytest.raises(DataError):
        read_measurements(path)


def scattered(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Scatter subhalos inside a ring of eight by eight cells."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:8, :8] - 3.5
    radius = np.broadcast_to(np.hypot(x, y) / 2, (count, 8, 8))
    chance = np.where(radius < 1.3, 0.25, 0.01)
    return (random.random((count, 8, 8)) < chance).astype(float), radius


def test_a_map_that_knows_the_ring_only_gains_nothing() -> None:
    counts, radius = scattered()
    report = evaluate_map(-radius, counts, radius, num_bootstrap=100)
    assert 0.7 < report["radial"]["auc_within"] < 0.95
    low, high = report["gain"]["auc_within_interval"]
    assert low < 0.02
    assert high < 0.05
    perfect = evaluate_map(counts + 0.01, counts, radius, num_bootstrap=100)
    assert perfect["model"]["auc"] == 1.0
    assert perfect["model"]["average_precision"] == 1.0
    assert perfect["gain"]["auc_within_interval"][0] > 0.05


def test_within_an_image_only_where_counts() -> None:
    counts, _ = scattered()
    # knows how many subhalos an image holds, and nothing of where
    amount = np.broadcast_to(counts.sum(axis=(1, 2), keepdims=True), counts.shape)
    report = evaluate_map(amount, counts, None, num_bootstrap=0)
    assert report["model"]["auc_within"] == 0.5
    assert report["model"]["auc"] > 0.5
    assert report["radial"] is None
    assert report["model"]["auc_interval"] is None


def test_maps_without_truth_are_left_out() -> None:
    counts, radius = scattered()
    counts[:5] = np.nan
    report = evaluate_map(-radius, counts, radius, num_bootstrap=0)
    assert (report["n"], report["num_unknown"]) == (55, 5)
    with pytest.raises(DataError, match="no occupied cells"):
        evaluate_map(-radius, np.zeros_like(counts), radius)
