"""How well numbers are measured: errors, and whether intervals cover as often as they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from darkarcs.errors import DataError
from darkarcs.evaluation.intervals import wilson_interval
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float64]


def evaluate_regression(
    truth: ArrayLike,
    median: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    levels: Sequence[float],
    *,
    num_bins: int = 5,
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    r"""Evaluate the measurements of one number.

    Parameters
    ----------
    truth : array_like, shape (N,)
        NaN where unknown: such lenses are counted and left out.
    median : array_like, shape (N,)
        What is measured, in the same unit (dex for a logarithm).
    lower, upper : array_like, shape (N, L)
        Bounds of the intervals.
    levels : sequence of float, length L
        What the intervals promise.
    num_bins : int, default 5
        Bins of equally many lenses, by the truth and by the measured value.
    num_bootstrap : int, default 1000
        Resamples for the intervals of the errors.
    seed : int, default 0
        Of the resamples.

    Returns
    -------
    dict
        ``n``, ``num_unknown``, ``r_squared`` (1 - squared errors over scatter of the truth),
        ``rmse``, ``bias`` (mean of measured - true), ``spearman``, ``truth_std`` (the error of
        who answers the mean), each of the first four with ``_interval`` of level 0.95;
        ``intervals``: by level ``coverage`` with Wilson's interval, ``mean_width`` and
        ``width_ratio``, the width over that of the central interval of all truths, which knows
        no image; ``by_truth`` and ``by_measured``: the bins.

    Raises
    ------
    DataError
        If shapes differ or fewer than three lenses have a truth.

    Examples
    --------
    >>> truth = np.arange(10.0)
    >>> report = evaluate_regression(truth, truth + 0.5, truth[:, None], truth[:, None] + 1, [0.9])
    >>> report["n"], report["bias"], report["rmse"], report["intervals"]["0.9"]["coverage"]
    (10, 0.5, 0.5, 1.0)
    """
    values, middle = np.asarray(truth, np.float64), np.asarray(median, np.float64)
    low, high = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
    expected = (len(values), len(levels))
    if middle.shape != values.shape or low.shape != expected or high.shape != expected:
        raise DataError(
            f"regression: {values.shape} truths, {middle.shape} medians and bounds of "
            f"{low.shape}, {high.shape} for {len(levels)} levels do not fit"
        )
    known = np.isfinite(values)
    if known.sum() < 3:
        raise DataError("regression: fewer than three lenses have a known truth")
    values, middle, low, high = values[known], middle[known], low[known], high[known]
    errors = _errors(values, middle)
    random = numpy_generator(seed, "regression bootstrap")
    draws = [
        _errors(values[chosen], middle[chosen])
        for chosen in (random.integers(0, len(values), len(values)) for _ in range(num_bootstrap))
    ]
    bounds = {f"{name}_interval": _percentiles([draw[name] for draw in draws]) for name in errors}
    inside = (low <= values[:, None]) & (values[:, None] <= high)  # (N, L)
    return {
        "n": int(known.sum()),
        "num_unknown": int((~known).sum()),
        **errors,
        **bounds,
        "truth_std": float(values.std()),
        "intervals": {
            f"{level:g}": {
                **_coverage(inside[:, index]),
                "mean_width": float((high - low)[:, index].mean()),
                "width_ratio": float((high - low)[:, index].mean() / _prior_width(values, level)),
            }
            for index, level in enumerate(levels)
        },
        "by_truth": _bins(values, values, middle, inside, levels, num_bins),
        "by_measured": _bins(middle, values, middle, inside, levels, num_bins),
    }


def _errors(truth: Floats, median: Floats) -> dict[str, float]:
    residual = median - truth
    scatter = float(((truth - truth.mean()) ** 2).mean())
    constant = scatter == 0 or np.ptp(median) == 0
    return {
        "r_squared": 1 - float((residual**2).mean()) / scatter if scatter else 0.0,
        "rmse": float(np.sqrt((residual**2).mean())),
        "bias": float(residual.mean()),
        # a rank correlation with what does not vary has no value
        "spearman": 0.0 if constant else float(spearmanr(truth, median).statistic),
    }


def _percentiles(draws: list[float]) -> list[float] | None:
    if not draws:
        return None
    return [float(bound) for bound in np.percentile(draws, [2.5, 97.5])]


def _coverage(inside: NDArray[np.bool_]) -> dict[str, Any]:
    count = int(inside.sum())
    return {
        "coverage": count / len(inside),
        "coverage_interval": list(wilson_interval(count, len(inside))),
    }


def _prior_width(truth: Floats, level: float) -> float:
    low, high = np.quantile(truth, [(1 - level) / 2, (1 + level) / 2])
    return max(float(high - low), np.finfo(np.float64).tiny)


def _bins(
    by: Floats,
    truth: Floats,
    median: Floats,
    inside: NDArray[np.bool_],
    levels: Sequence[float],
    num_bins: int,
) -> list[dict[str, Any]]:
    bins = []
    for members in np.array_split(np.argsort(by, kind="stable"), min(num_bins, len(by))):
        residual = median[members] - truth[members]
        bins.append(
            {
                "low": float(by[members].min()),
                "high": float(by[members].max()),
                "n": len(members),
                "bias": float(residual.mean()),
                "rmse": float(np.sqrt((residual**2).mean())),
                "intervals": {
                    f"{level:g}": _coverage(inside[members, index])
                    for index, level in enumerate(levels)
                },
            }
        )
    return bins
