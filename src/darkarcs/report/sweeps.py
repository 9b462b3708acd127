"""The figure of a sweep: AUC of its arms, with every seed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.stats import t as student

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new
from darkarcs.report.drawing import plain

#: Of Okabe & Ito, which people with any form of colour vision tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
GREY, _HATCHED = "#5a6470", "//////"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9dde2",
    "hatch.linewidth": 0.7,
}
_FORMATS = ("png", "svg", "pdf")
#: An interval over seeds may reach beyond them by this share of their spread; the rest is cut
#: off, since Student's t of two seeds is 13.
_BEYOND = 1.0
#: Least spread of AUC that a panel shows, so that noise does not fill it.
_LEAST_SPREAD = 0.004


@dataclass(frozen=True)
class Arm:
    """What one arm of a sweep reached with one number of labels.

    Attributes
    ----------
    name : str
        Of the arm.
    areas : tuple of float
        Macro AUC of each seed.
    converged : tuple of bool
        Whether the validation of each had levelled off.
    mean : float
        Of the areas.
    interval : tuple of float
        95 %: Student's t of the mean over seeds, or that over images of the only seed.
    """

    name: str
    areas: tuple[float, ...]
    converged: tuple[bool, ...]
    mean: float
    interval: tuple[float, float]


def read_sweep(path: Path) -> dict[str, Any]:
    """Read the result of a sweep.

    Parameters
    ----------
    path : pathlib.Path
        ``results/sweeps/NAME.json``.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    DataError
        If it is no such file.
    """
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["rows"] and content["configuration"]["name"]:
            return content
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{path}: is no result of 'darkarcs sweep'")


def sweep_arms(content: dict[str, Any]) -> dict[int | None, list[Arm]]:
    """Gather the seeds of each arm, by number of labels.

    Parameters
    ----------
    content : dict
        From `read_sweep`.

    Returns
    -------
    dict of (int or None) to list of Arm
        Labels a class, None for all; arms in the sweep's order, the plain one first.

    Examples
    --------
    >>> row = {"arm": "plain", "num_per_class": 100, "auc_interval": [0.8, 0.9], "converged": True}
    >>> arms = sweep_arms({"rows": [{**row, "auc": 0.84}, {**row, "auc": 0.86}]})
    >>> [(arm.name, round(arm.mean, 2), len(arm.areas)) for arm in arms[100]]
    [('plain', 0.85, 2)]
    """
    found: dict[int | None, dict[str, list[dict[str, Any]]]] = {}
    for row in content["rows"]:
        found.setdefault(row["num_per_class"], {}).setdefault(row["arm"], []).append(row)
    return {
        labels: [_gather(name, rows) for name, rows in arms.items()]
        for labels, arms in found.items()
    }


def _gather(name: str, rows: Sequence[dict[str, Any]]) -> Arm:
    areas = tuple(float(row["auc"]) for row in rows)
    mean = float(np.mean(areas))
    if len(areas) == 1:
        low, high = rows[0]["auc_interval"]
    else:
        half = student.ppf(0.975, len(areas) - 1) * np.std(areas, ddof=1) / np.sqrt(len(areas))
        low, high = max(0.0, mean - half), min(1.0, mean + half)
    converged = tuple(bool(row["converged"]) for row in rows)
    return Arm(name, areas, converged, mean, (float(low), float(high)))


def draw_sweep(content: dict[str, Any], path: Path) -> Path:
    """Draw each arm's mean AUC with its interval and its seeds, a panel for each number of labels.

    Parameters
    ----------
    content : dict
        From `read_sweep`.
    path : pathlib.Path
        A new picture; its suffix (png, svg, pdf) decides the format.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DataError
        If the format is not known.
    OutputExistsError
        If the path exists.
    """
    panels = sweep_arms(content)
    names = list(dict.fromkeys(arm.name for arms in panels.values() for arm in arms))
    with mpl.rc_context(STYLE):
        width = 1.3 + 0.065 * max(len(plain(name)) for name in names) + 3.3 * len(panels)
        figure = Figure(figsize=(width, 1.75 + 0.34 * len(names)), layout="constrained")
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (labels, arms) in zip(row, panels.items(), strict=True):
            _paint_arms(axes, arms, names)
            axes.set_title("all labels" if labels is None else f"{labels} labels a class")
        row[0].set_yticks(range(len(names)), [plain(name) for name in names])
        row[0].set_ylim(len(names) - 0.4, -0.6)
        number = content["rows"][0].get("num_images")
        where = content["configuration"].get("measured_on", "")
        label = f"AUC on {number:,} images ({where})" if number else "AUC"
        figure.supxlabel(label, fontsize=9.5)
        figure.legend(handles=_legend(panels), loc="outside upper center", ncols=2, frameon=False)
        return save_figure(figure, path)


def _paint_arms(axes: Axes, arms: Sequence[Arm], names: Sequence[str]) -> None:
    axes.axvline(arms[0].mean, color=GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    low, high = shown_range(arms)
    axes.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    for index, arm in enumerate(arms):
        place = names.index(arm.name)
        colour = GREY if index == 0 else COLOURS[0]
        start, end = arm.interval
        levelled = all(arm.converged)
        axes.barh(
            place,
            end - start,
            left=start,
            height=0.42,
            facecolor=f"{colour}40" if levelled else "none",
            edgecolor=f"{colour}90",
            hatch="" if levelled else _HATCHED,
            linewidth=0.8,
        )
        axes.plot([arm.mean] * 2, [place - 0.28, place + 0.28], color=colour, linewidth=2.4)
        for area, done in zip(arm.areas, arm.converged, strict=True):
            face = colour if done else "white"
            axes.plot(
                area, place, "o", color=face, markeredgecolor=colour, markersize=4.5, zorder=3
            )
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="y")


def _legend(panels: dict[int | None, list[Arm]]) -> list[Any]:
    arms = [arm for found in panels.values() for arm in found]
    single = any(len(arm.areas) == 1 for arm in arms)
    many = any(len(arm.areas) > 1 for arm in arms)
    over = "over seeds" if not single else ("over images" if not many else "over seeds or images")
    dot: Any = {"linestyle": "", "marker": "o", "markersize": 4.5, "markeredgecolor": COLOURS[0]}
    shown: list[Any] = [
        Line2D([], [], color=COLOURS[0], linewidth=2.4, label="mean"),
        Patch(facecolor=f"{COLOURS[0]}40", edgecolor=f"{COLOURS[0]}90", label=f"95 % {over}"),
        Line2D([], [], color=COLOURS[0], label="a seed", **dot),
        Line2D([], [], color=GREY, linewidth=1, linestyle=(0, (4, 2)), label="the first arm"),
    ]
    if not all(all(arm.converged) for arm in arms):
        shown += [
            Line2D([], [], color="white", label="a seed that had not levelled off", **dot),
            Patch(
                facecolor="none",
                edgecolor=f"{COLOURS[0]}90",
                hatch=_HATCHED,
                label="an arm with such seeds",
            ),
        ]
    return shown


def shown_range(arms: Sequence[Arm]) -> tuple[float, float]:
    """Choose the range of AUC to show: all seeds, and of wide intervals of few seeds a part.

    Parameters
    ----------
    arms : sequence of Arm
        Of one panel.

    Returns
    -------
    low, high : float
        Lowest and highest AUC.
    """
    dots = [area for arm in arms for area in arm.areas]
    beyond = _BEYOND * max(max(dots) - min(dots), _LEAST_SPREAD)
    low, high = min(dots) - beyond, max(dots) + beyond
    ends = [
        (start, end) if len(arm.areas) == 1 else (max(start, low), min(end, high))
        for arm in arms
        for start, end in [arm.interval]
    ]
    return min(*dots, *(e[0] for e in ends)), max(*dots, *(e[1] for e in ends))


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, once.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn.
    path : pathlib.Path
        A new picture; its suffix (png, svg, pdf) decides the format.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DataError
        If the format is not known.
    OutputExistsError
        If the path exists.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in _FORMATS:
        raise DataError(f"{path}: a figure ends in .png, .svg or .pdf")
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=150)
    write_new(Path(path), stream.getvalue())
    return Path(path)
