"""The figures of training, and of several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from darkarcs.report.contents import HISTORY_AXES
from darkarcs.report.drawing import SURFACE, draw, plain, series_colour, series_dashes

_AXIS_NAMES = {"images_seen": "training images seen", "step": "step", "epoch": "epoch"}

#: From which AUC on an axis is drawn by the distance from 1, on a logarithmic scale.
_NEAR_ONE = 0.97


def learning_figures(
    name: str, history: dict[str, NDArray[np.float64]]
) -> list[tuple[str, str, str]]:
    """Losses, and validation AUC, against images seen.

    Parameters
    ----------
    name : str
        Unique within the page.
    history : dict of str to NDArray of float64
        From `darkarcs.report.contents.read_history`.

    Returns
    -------
    list of (str, str, str)
        Heading, description and SVG of what could be drawn.
    """
    axis = next(column for column in HISTORY_AXES if column in history)
    figures = []
    on_axis = np.isfinite(history[axis])
    drawable = {name for name, column in history.items() if (np.isfinite(column) & on_axis).any()}
    losses = [column for column in ("train_loss", "validation_loss") if column in drawable]
    if losses:
        svg = draw(f"{name}-loss", lambda axes: _paint_history(axes, history, axis, losses))
        last = ", ".join(f"{c.replace('_', ' ')} {_last(history[c]):.4f}" for c in losses)
        figures.append(("Loss", f"Loss against {_AXIS_NAMES[axis]}; at the end {last}.", svg))
    if "validation_auc" in drawable:
        best = float(np.nanmax(history["validation_auc"]))
        svg = draw(f"{name}-auc", lambda axes: _paint_auc(axes, history, axis))
        text = f"Validation AUC against {_AXIS_NAMES[axis]}; at best {best:.5f}."
        figures.append(("Validation AUC", text, svg))
    return figures


def _last(column: NDArray[np.float64]) -> float:
    return float(column[np.isfinite(column)][-1])


def _paint_history(
    axes: Axes, history: dict[str, NDArray[np.float64]], axis: str, columns: Sequence[str]
) -> None:
    for index, column in enumerate(columns):
        there = np.isfinite(history[column]) & np.isfinite(history[axis])
        axes.plot(
            history[axis][there],
            history[column][there],
            color=series_colour(index),
            linestyle=series_dashes(index),
            marker="o" if there.sum() < 40 else None,
            markersize=3.5,
            label=column.replace("_loss", ""),
        )
    axes.set(xlabel=_AXIS_NAMES[axis], ylabel="loss")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(FuncFormatter(_short_number))
    axes.legend(loc="upper right")


def _paint_auc(axes: Axes, history: dict[str, NDArray[np.float64]], axis: str) -> None:
    there = np.isfinite(history["validation_auc"]) & np.isfinite(history[axis])
    position, area = history[axis][there], history["validation_auc"][there]
    style: dict[str, Any] = {"color": series_colour(0), "marker": "o" if len(area) < 40 else None}
    if area.max() > _NEAR_ONE:
        missing = 1 - area
        smallest = float(missing[missing > 0].min(initial=0.1)) / 2
        axes.plot(position, np.maximum(missing, smallest), markersize=3.5, **style)
        axes.set_yscale("log")
        axes.invert_yaxis()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{1 - value:.7g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("validation AUC (log distance from 1)")
    else:
        axes.plot(position, area, markersize=3.5, **style)
        axes.set_ylabel("validation AUC")
    axes.set_xlabel(_AXIS_NAMES[axis])
    axes.xaxis.set_major_formatter(FuncFormatter(_short_number))


def _short_number(value: float, _: int) -> str:
    return (
        f"{value / 1e6:g}M"
        if abs(value) >= 1e6
        else (f"{value / 1e3:g}k" if abs(value) >= 1e3 else f"{value:g}")
    )


def runs_figure(name: str, rows: Sequence[tuple[str, float, Sequence[float]]]) -> str:
    """AUC of several runs with their intervals.

    Parameters
    ----------
    name : str
        Unique within the page.
    rows : sequence of (str, float, (float, float))
        Name, AUC and interval, from top to bottom.

    Returns
    -------
    str
        SVG.
    """

    def paint(axes: Axes) -> None:
        for place, (_, area, (low, high)) in enumerate(rows):
            axes.plot([low, high], [place, place], color=series_colour(0), linewidth=2.2)
            axes.plot(
                [area], [place], "o", color=series_colour(0), markeredgecolor=SURFACE, markersize=8
            )
        axes.set_yticks(range(len(rows)), [plain(row[0]) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("AUC with its interval")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(visible=False, axis="y")

    return draw(name, paint, width=6.4, height=1.2 + 0.36 * len(rows))
