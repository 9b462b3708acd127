"""Cells of the tables of what a model measured: numbers with their intervals, and maps."""

from __future__ import annotations

from typing import Any

from darkarcs.evaluation.tables import Cells


def number_cells(report: dict[str, Any]) -> Cells:
    """Give how far measured numbers are from the truth, and what their intervals cover.

    Parameters
    ----------
    report : dict
        ``measurement.json`` of ``darkarcs measure``.

    Returns
    -------
    header : tuple of str
        Names of the columns.
    rows : list of tuple of str
        One a number whose truth is known; widths of intervals are in units of those of an interval
        that knows no image.

    Examples
    --------
    >>> figures = {"coverage": 0.9, "coverage_interval": [0.88, 0.92], "width_ratio": 0.5}
    >>> number = {"unit": "dex", "n": 1200, "r_squared": 0.5, "r_squared_interval": [0.4, 0.6]}
    >>> number |= {"rmse": 0.3, "bias": 0.01, "intervals": {"0.9": figures}}
    >>> number_cells({"numbers": {"fraction": number}})[1][0][2:]
    ('0.50 [0.40, 0.60]', '0.300 dex', '+0.010', '90.0 % [88.0, 92.0], 0.50')
    """
    known = {name: one for name, one in report["numbers"].items() if one is not None}
    levels = list(next(iter(known.values()))["intervals"]) if known else []
    header = (
        *("number", "lenses", "R squared [95 %]", "RMSE", "bias"),
        *(f"{float(level):.0%} interval: covered, width" for level in levels),
    )
    rows = []
    for name, one in known.items():
        rows.append(
            (
                f"`{name}`",
                f"{one['n']:,}",
                f"{one['r_squared']:.2f}{_interval(one['r_squared_interval'], 2)}",
                f"{one['rmse']:.3f} {one['unit']}".rstrip(),
                f"{one['bias']:+.3f}",
                *(_covered(one["intervals"][level]) for level in levels),
            )
        )
    return header, rows


def map_cells(report: dict[str, Any]) -> Cells:
    """Give how well a map tells where heavy subhalos sit, beside a map that knows the ring alone.

    Parameters
    ----------
    report : dict
        ``measurement.json`` of ``darkarcs measure``.

    Returns
    -------
    header : tuple of str
        Names of the columns.
    rows : list of tuple of str
        The model's map, the radial map, and the gain of the one over the other; none without maps.

    Examples
    --------
    >>> one = {"auc": 0.8, "auc_interval": [0.7, 0.9]}
    >>> one |= {"average_precision": 0.05, "average_precision_interval": [0.04, 0.06]}
    >>> one |= {"auc_within": 0.75, "auc_within_interval": [0.7, 0.8]}
    >>> map_cells({"map": {"model": one, "radial": None, "gain": None}})[1]
    [('model', '0.800 [0.700, 0.900]', '0.050 [0.040, 0.060]', '0.750 [0.700, 0.800]')]
    """
    header = ("map", "AUC [95 %]", "average precision", "AUC within an image")
    found = report["map"] or {}
    keys = ("auc", "average_precision", "auc_within")
    rows = [
        (name, *(_bounded(found[name], key) for key in keys))
        for name in ("model", "radial", "gain")
        if found.get(name) is not None
    ]
    return header, rows


def _covered(figures: dict[str, Any]) -> str:
    low, high = (100 * bound for bound in figures["coverage_interval"])
    share = 100 * figures["coverage"]
    return f"{share:.1f} % [{low:.1f}, {high:.1f}], {figures['width_ratio']:.2f}"


def _bounded(figures: dict[str, Any], key: str) -> str:
    return f"{figures[key]:.3f}{_interval(figures[f'{key}_interval'], 3)}"


def _interval(bounds: list[float] | None, digits: int) -> str:
    """Empty where nothing was resampled."""
    return "" if bounds is None else f" [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"
