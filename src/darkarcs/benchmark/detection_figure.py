"""Figure of detection limits: true-positive rate against mass, by distance from the arc."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from darkarcs.benchmark.detection_lenses import INFORMED, MARGINALIZED, ORACLE
from darkarcs.benchmark.robustness_figure import COLOURS, MARKERS
from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new

#: Grey lines: what no model can do better than.
LIMITS = {ORACLE: ("#a4acb6", "-."), INFORMED: ("#6d7782", "--"), MARGINALIZED: ("#20272e", "-")}
_PUBLISHED_COLOUR = "#7a3db8"
_INCHES_PER_PANEL = (3.1, 2.9)


def draw_detection(report: dict[str, Any], path: Path) -> Path:
    """Draw a panel for each false-positive rate and bin of the distance from the arc.

    Parameters
    ----------
    report : dict
        From `darkarcs.benchmark.detection.detection`.
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
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise DataError(f"{path}: a figure ends in .png, .svg or .pdf")
    bins = _distinct(report["rows"], "bin")
    wanted = sorted(report["false_positive_rates"], reverse=True)
    style: Any = {"font.family": "DejaVu Sans", "axes.spines.top": False, "axes.grid": True}
    style |= {"axes.spines.right": False, "grid.color": "#e4e7eb", "axes.axisbelow": True}
    with mpl.rc_context(style):
        width, height = _INCHES_PER_PANEL
        figure = Figure(
            figsize=(width * len(bins) + 0.6, height * len(wanted) + 2.0), layout="constrained"
        )
        panels = figure.subplots(len(wanted), len(bins), sharex=True, sharey=True, squeeze=False)
        for row, rate in enumerate(wanted):
            for column, edges in enumerate(bins):
                axes = panels[row, column]
                _draw_panel(axes, report, rate, edges)
                if row == 0:
                    axes.set_title(bin_name(edges), fontsize=10)
                if column == 0:
                    axes.set_ylabel(f"found at {rate:.3g} false positives")
            _draw_published(panels[row, 0], report["published"]["points"], rate)
        for axes in panels[-1]:
            axes.set_xlabel(r"$\log_{10}\,m_{200}/M_\odot$ at infall")
        handles: dict[str, Any] = {}
        for axes in panels.flat:
            found, labels = axes.get_legend_handles_labels()
            handles |= dict(zip(labels, found, strict=True))
        title = f"One subhalo in {report['scene'].split('/')[0]}"
        figure.legend(
            list(handles.values()), list(handles), loc="outside upper center", ncols=3,
            frameon=False, title=title,
        )  # fmt: skip
        figure.supxlabel(_caption(report, int(width * len(bins) * 17)), fontsize=7.5)
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, dpi=110)
    write_new(path, stream.getvalue())
    return path


def bin_name(edges: list[float | None] | None) -> str:
    """Name a bin of the distance from the arc.

    Parameters
    ----------
    edges : list of float, optional
        Lower and upper edge in arcsec; the upper one may be None, and the bin too.

    Returns
    -------
    str
        For a title or a table.

    Examples
    --------
    >>> bin_name([0.0, 0.1]), bin_name([0.4, None]), bin_name(None)
    ('within 0.1" of the arc', 'beyond 0.4"', 'all distances')
    """
    if edges is None:
        return "all distances"
    low, high = edges
    if high is None:
        return f'beyond {low:g}"'
    return f'within {high:g}" of the arc' if low == 0 else f'{low:g}" to {high:g}"'


def _draw_panel(axes: Axes, report: dict[str, Any], rate: float, edges: Any) -> None:
    rows = [
        row for row in report["rows"] if row["false_positive_rate"] == rate and row["bin"] == edges
    ]
    models = [name for name in _distinct(rows, "observer") if name not in LIMITS]
    for name in _distinct(rows, "observer"):
        curve = [row for row in rows if row["observer"] == name]
        masses, values = ([row[key] for row in curve] for key in ("log10_mass", "rate"))
        low, high = zip(*(row["interval"] for row in curve), strict=True)
        if name in LIMITS:
            colour, line = LIMITS[name]
            axes.plot(masses, values, color=colour, linestyle=line, label=name)
            axes.fill_between(masses, low, high, color=colour, alpha=0.15, linewidth=0)
            continue
        place = models.index(name) % len(COLOURS)
        errors = np.abs(np.array([low, high]) - values)
        axes.errorbar(
            masses, values, errors, color=COLOURS[place], marker=MARKERS[place], markersize=4,
            capsize=2, label=name.replace("$", r"\$"),
        )  # fmt: skip
    axes.axhline(rate, color="#b0b7bf", linestyle=":", linewidth=1)
    axes.set_ylim(-0.02, 1.02)
    axes.annotate(f"{rows[0]['num']} lenses", (0.04, 0.93), xycoords="axes fraction", fontsize=8)


def _draw_published(axes: Axes, points: list[dict[str, Any]], rate: float) -> None:
    """A bar where a rate is published at this false-positive rate, an open mark where none is."""
    for index, point in enumerate(points):
        masses, label = point["log10_masses"], f"{point['name']}, other set-up"
        look: Any = {"color": _PUBLISHED_COLOUR, "label": label}
        if point.get("rate") is None:
            axes.plot(masses, [0.5], marker=MARKERS[2 + index % 4], linestyle="", fillstyle="none",
                      markersize=8, **look)  # fmt: skip
        elif point["false_positive_rate"] == rate:
            axes.plot(masses, [point["rate"]] * len(masses), linewidth=3, **look)


def _caption(report: dict[str, Any], width: int) -> str:
    arc = f"Arc: {report['arc']}. Dotted: chance. Bands and bars: 95 %."
    lines = [f"{p['name']} ({p['arxiv']}): {p['says']}; {p['differs']}." for p in
             report["published"]["points"]]  # fmt: skip
    lines.append("Open marks stand at one half because no rate was published.")
    return "\n".join(textwrap.fill(" ".join(line.split()), width) for line in [arc, *lines])


def _distinct(rows: list[dict[str, Any]], key: str) -> list[Any]:
    found: list[Any] = []
    for row in rows:
        if row[key] not in found:
            found.append(row[key])
    return found
