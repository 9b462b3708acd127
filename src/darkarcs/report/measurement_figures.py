"""Figures of what was measured, from the files of ``darkarcs measure`` alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.measurements import MeasuredNumber, read_measurements

#: Of Okabe & Ito, which people with any form of colour vision tell apart.
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#5a6470"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9dde2",
}
#: Lenses that are drawn with their interval; more hide each other.
_DRAWN = 150


def draw_measurements(folder: Path) -> list[Path]:
    """Draw measured against true numbers, coverage, and the clearest maps.

    Parameters
    ----------
    folder : pathlib.Path
        What ``darkarcs measure`` wrote; it gets ``numbers.png`` and ``maps.png``, each if there
        is a truth to show.

    Returns
    -------
    list of pathlib.Path
        What was drawn.

    Raises
    ------
    DataError
        If the folder's files cannot be read.
    OutputExistsError
        If a figure is there already.
    """
    folder = Path(folder)
    try:
        report = json.loads((folder / "measurement.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{folder / 'measurement.json'}: cannot be read ({error})") from None
    drawn = []
    told = {name: figures for name, figures in report["numbers"].items() if figures is not None}
    if told:
        numbers = read_measurements(folder / "measurements.csv").numbers
        drawn.append(_draw_numbers(folder / "numbers.png", numbers, told))
    if report["map"] is not None and (folder / "maps.npz").is_file():
        with np.load(folder / "maps.npz", allow_pickle=False) as arrays:
            probability, counts = arrays["probability"], arrays["counts"]
        drawn.append(_draw_maps(folder / "maps.png", probability, counts, report["map"]))
    return drawn


def _draw_numbers(path: Path, numbers: dict[str, MeasuredNumber], report: dict[str, Any]) -> Path:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 4.0 * len(report)), layout="constrained")
        axes = figure.subplots(len(report), 2, squeeze=False, width_ratios=[1.3, 1])
        for (left, right), (name, figures) in zip(axes, report.items(), strict=True):
            number = numbers[name]
            shown = f"log10 {name}" if number.transform == "log10" else name
            _scatter(left, number, shown)
            left.set_title(
                f"R2 = {figures['r_squared']:.3f}, RMSE = {figures['rmse']:.3f} "
                f"{figures['unit']}, n = {figures['n']:,}",
                fontsize=10,
            )
            _cover(right, figures, shown)
        return _save(figure, path)


def _scatter(axes: Axes, number: MeasuredNumber, shown: str) -> None:
    known = np.flatnonzero(np.isfinite(number.truth))
    widest = int(np.argmax(number.levels))
    truth, median = number.truth[known], number.median[known]
    axes.plot(truth, median, ".", color=_BLUE, markersize=2, alpha=0.35)
    few = known[np.linspace(0, len(known) - 1, min(_DRAWN, len(known))).astype(int)]
    middle = number.median[few]
    bars = np.stack([middle - number.lower[few, widest], number.upper[few, widest] - middle])
    axes.errorbar(
        number.truth[few], middle, np.maximum(bars, 0), fmt="o", color=_BLUE, markersize=2.5,
        elinewidth=0.6, alpha=0.7, label=f"{number.levels[widest]:.0%} interval",
    )  # fmt: skip
    ends = [float(truth.min()), float(truth.max())]
    axes.plot(ends, ends, color=_GREY, linewidth=1, linestyle="--")
    axes.set(xlabel=f"true {shown}", ylabel=f"measured {shown}")
    axes.legend(frameon=False, loc="upper left", fontsize=8)


def _cover(axes: Axes, figures: dict[str, Any], shown: str) -> None:
    for level, colour in zip(figures["intervals"], (_BLUE, _ORANGE) * 4, strict=False):
        bins = figures["by_measured"]
        places = [(one["low"] + one["high"]) / 2 for one in bins]
        rows = [one["intervals"][level] for one in bins]
        shares = [row["coverage"] for row in rows]
        low = [row["coverage"] - row["coverage_interval"][0] for row in rows]
        high = [row["coverage_interval"][1] - row["coverage"] for row in rows]
        axes.errorbar(
            places, shares, np.maximum([low, high], 0), fmt="o", color=colour, capsize=3,
            markersize=4, label=f"{float(level):.0%} interval",
        )  # fmt: skip
        axes.axhline(float(level), color=colour, linewidth=1, linestyle="--")
    axes.set(xlabel=f"measured {shown}", ylabel="share of lenses covered", ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower left", fontsize=8)


def _draw_maps(
    path: Path,
    probability: np.ndarray[Any, Any],
    counts: np.ndarray[Any, Any],
    report: dict[str, Any],
) -> Path:
    """Draw the maps of the first lenses that hold subhalos, whatever they look like."""
    held = np.flatnonzero(np.nan_to_num(counts).sum(axis=(1, 2)) > 0)[:8]
    with mpl.rc_context({**_STYLE, "axes.grid": False}):
        figure = Figure(figsize=(9.6, 5.2), layout="constrained")
        axes = figure.subplots(2, 4).ravel()
        for panel in axes:
            panel.set_axis_off()
        for panel, index in zip(axes, held, strict=False):
            panel.imshow(probability[index], origin="lower", cmap="cividis", vmin=0)
            rows, columns = np.nonzero(counts[index])
            panel.plot(columns, rows, "o", markersize=6, mfc="none", mec=_ORANGE, mew=1.3)
        model = report["model"]
        known = report["radial"]
        radial = "" if known is None else f" (radial map {known['auc_within']:.3f})"
        figure.suptitle(
            "probability of a subhalo, and cells that hold one (circles); "
            f"AUC within an image {model['auc_within']:.3f}{radial}",
            fontsize=10,
        )
        return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    write_new(path, stream.getvalue())
    return path
