"""The frontier of a sweep: AUC against what a prediction costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from darkarcs.errors import DataError
from darkarcs.report.drawing import plain
from darkarcs.report.sweeps import (
    COLOURS,
    GREY,
    STYLE,
    Arm,
    save_figure,
    shown_range,
    sweep_arms,
)

_MARKERS = ("o", "s", "^", "D", "v", "P")


def draw_frontier(
    content: dict[str, Any], speeds: dict[str, Any], path: Path, precision: str = "float32"
) -> Path:
    """Draw AUC against parameters and against throughput; a line joins what nothing beats.

    Parameters
    ----------
    content : dict
        From `read_sweep`.
    speeds : dict
        What ``darkarcs bench inference`` wrote of one run of each arm; a run is recognised by its
        name, ``SWEEP-ARM``.
    path : pathlib.Path
        A new picture; its suffix (png, svg, pdf) decides the format.
    precision : {"float32", "bfloat16"}
        Of the throughput.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DataError
        If the speed of no arm is known, or the format is not known.
    OutputExistsError
        If the path exists.
    """
    name = content["configuration"]["name"]
    costs = {
        arm: speeds["models"][f"{name}-{arm}"]
        for arm in content["configuration"]["arms"]
        if f"{name}-{arm}" in speeds["models"]
    }
    if not costs:
        raise DataError(
            f"no run of the sweep '{name}' is among {', '.join(speeds['models'])}: give "
            "'darkarcs bench inference' the run folders of its arms"
        )
    threads = "1 thread" if speeds["threads"] == 1 else f"{speeds['threads']} threads"
    throughput = f"images/s, {precision}, batch {speeds['batch_size']}, {threads}"
    sizes = {arm: float(row["parameters"]) for arm, row in costs.items()}
    rates = {arm: float(row[precision]["throughput"]) for arm, row in costs.items()}
    panels = sweep_arms(content)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 4.0), layout="constrained")
        row = figure.subplots(1, 2, sharey=True)
        for axes, places, sign in zip(row, (sizes, rates), (-1, 1), strict=True):
            _paint_frontier(axes, panels, places, sign)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(_short_number))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.margins(x=0.25)
        row[0].set(xlabel="parameters", ylabel="AUC: mean and seeds; 95 % of three or more")
        row[1].set_xlabel(throughput)
        low, high = shown_range(
            [arm for arms in panels.values() for arm in arms if arm.name in costs]
        )
        row[0].set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
        if len(panels) > 1:
            row[0].legend(frameon=False, title="labels a class")
        return save_figure(figure, path)


def _paint_frontier(
    axes: Axes, panels: dict[int | None, list[Arm]], places: dict[str, float], sign: int
) -> None:
    """Draw arms at their places; ``sign`` is -1 where little is good and 1 where much is."""
    for index, (labels, arms) in enumerate(panels.items()):
        colour, marker = COLOURS[index % 6], _MARKERS[index % 6]
        known = [arm for arm in arms if arm.name in places]
        best = unbeaten([(sign * places[arm.name], arm.mean) for arm in known])
        line = sorted((places[known[k].name], known[k].mean) for k in best)
        axes.plot(*zip(*line, strict=True), color=colour, linewidth=1, alpha=0.6)
        for number, arm in enumerate(known):
            same = [other.name for other in known if places[other.name] == places[arm.name]]
            turn = same.index(arm.name)
            place = places[arm.name] * 1.05 ** (turn - (len(same) - 1) / 2)  # beside each other
            # two seeds make an interval as wide as the picture: they are shown themselves
            few = len(arm.areas) == 2
            bars = [[abs(bound - arm.mean)] for bound in arm.interval]
            axes.plot([place] * len(arm.areas), arm.areas, ".", color=GREY, markersize=4, zorder=1)
            axes.errorbar(
                place,
                arm.mean,
                None if few else bars,
                color=colour,
                marker=marker,
                markerfacecolor=colour if all(arm.converged) else "white",
                markersize=6,
                capsize=3,
                linestyle="",
                label=str(labels or "all") if number == 0 else None,
            )
            left = len(same) > 1 and turn < len(same) / 2
            axes.annotate(
                plain(arm.name),
                (place, arm.mean),
                (-7, -7) if left else (7, 7),  # out of the way of neighbours
                textcoords="offset points",
                horizontalalignment="right" if left else "left",
                verticalalignment="center",
                fontsize=8,
                color=GREY,
            )


def unbeaten(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find the points that no other one beats in one thing without losing in the other.

    Parameters
    ----------
    points : sequence of (float, float)
        Two things of which more is better.

    Returns
    -------
    list of int
        Their numbers.

    Examples
    --------
    >>> unbeaten([(1.0, 0.9), (2.0, 0.8), (1.5, 0.7)])
    [0, 1]
    """
    return [
        number
        for number, (first, second) in enumerate(points)
        if not any(
            one >= first and other >= second and (one, other) != (first, second)
            for one, other in points
        )
    ]


def _short_number(value: float, _: int) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
