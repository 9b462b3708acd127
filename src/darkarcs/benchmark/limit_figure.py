"""Figure of an information limit: AUC of oracle, marginalized oracle, observer and models."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new
from darkarcs.limits import LimitResult
from darkarcs.limits.results import LimitRow, ModelPoint

_FIGURES = (
    ("oracle", "oracle:\nall known but the class", "#0072b2"),
    ("marginalized", "marginalized oracle:\nsmooth lens unknown", "#009e73"),
    ("observer", "observer:\nsubstructure unknown", "#d55e00"),
)
_MARKERS = "osD^vP*X"
_COLOURS = ("black", "#cc79a7", "#0072b2", "#e69f00", "#56b4e9", "#7f7f7f")
#: Neighbouring models stand side by side, by this factor of the fraction.
_APART = 1.06


def draw_limits(results: Sequence[LimitResult], path: Path) -> Path:
    """Draw the pooled AUC against the mass fraction, a panel for each scene.

    Bands are 95 % intervals over lenses; points are models. A result with several noises is drawn
    against the noise instead, a panel for each fraction.

    Parameters
    ----------
    results : sequence of LimitResult
        Each with fractions.
    path : pathlib.Path
        A new picture; its suffix (png, svg, pdf) decides the format.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DataError
        If the format is not known, or there are no fractions to draw against.
    OutputExistsError
        If the path exists.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise DataError(f"{path}: a figure ends in .png, .svg or .pdf")
    drawn = [panel for result in results for panel in _panels(result)]
    if not drawn or not all(panel.rows for panel in drawn):
        raise DataError("no fractions to draw the limits against: give --fractions 0.01,0.1")
    style: Any = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(3.4 * len(drawn) + 2.4, 3.0), layout="constrained")
        panels = figure.subplots(1, len(drawn), squeeze=False, sharey=True)[0]
        for axes, panel in zip(panels, drawn, strict=True):
            _draw_panel(axes, panel)
        panels[0].set_ylabel("AUC, images of different lenses")
        entries = [axes.get_legend_handles_labels() for axes in panels]
        shown = {
            text: line for lines, texts in entries for line, text in zip(lines, texts, strict=True)
        }
        figure.legend(
            shown.values(), shown.keys(), frameon=False, loc="outside right center", fontsize=7
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=110)
    write_new(path, buffer.getvalue())
    return path


@dataclass(frozen=True)
class _Panel:
    """What one pair of axes shows: the rows of one class, along their fraction or noise."""

    title: str
    label: str
    along: Literal["fraction", "noise_factor"]
    rows: tuple[LimitRow, ...]
    models: tuple[ModelPoint, ...]


def _panels(result: LimitResult) -> list[_Panel]:
    first = result.rows[0].class_name if result.rows else ""
    rows = [row for row in result.rows if row.class_name == first and row.fraction is not None]
    name = result.scene.split("/")[0]
    if len({row.noise_factor for row in rows}) < 2:
        models = tuple(point for point in result.models if point.fraction is not None)
        if rows and rows[0].noise_factor != 1:
            name = f"{name}, noise x {rows[0].noise_factor:g}"
        return [_Panel(name, f"mass fraction of {first}", "fraction", tuple(rows), models)]
    fractions = dict.fromkeys(row.fraction for row in rows)
    return [
        _Panel(
            f"{name}, {first} {fraction:g}",
            "noise, in units of the scene's",
            "noise_factor",
            tuple(row for row in rows if row.fraction == fraction),
            (),
        )
        for fraction in fractions
    ]


def _draw_panel(axes: Any, panel: _Panel) -> None:
    for name, text, colour in _FIGURES:
        known = [
            (getattr(row, panel.along), getattr(row, name))
            for row in panel.rows
            if getattr(row, name)
        ]
        if not known:
            continue
        share = [place for place, _ in known]
        areas = [figure.pooled for _, figure in known]
        axes.plot(share, [area.value for area in areas], color=colour, label=text, marker=".")
        low, high = zip(*(area.interval for area in areas), strict=True)
        axes.fill_between(share, low, high, color=colour, alpha=0.2, linewidth=0)
    names = list(dict.fromkeys(point.model for point in panel.models))
    for number, name in enumerate(names):
        aside = _APART ** (number - (len(names) - 1) / 2)
        points = [point for point in panel.models if point.model == name]
        values = [point.pooled.value for point in points]
        errors = [
            [value - p.pooled.interval[0] for value, p in zip(values, points, strict=True)],
            [p.pooled.interval[1] - value for value, p in zip(values, points, strict=True)],
        ]
        axes.errorbar(
            [aside * point.fraction for point in points if point.fraction is not None],
            values,
            errors,
            fmt=_MARKERS[number % len(_MARKERS)],
            color=_COLOURS[number % len(_COLOURS)],
            markersize=4,
            linewidth=0.8,
            label=name,
        )
    axes.set(xscale="log", ylim=(0.45, 1.02), xlabel=panel.label)
    places = sorted({getattr(row, panel.along) for row in panel.rows})
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.minorticks_off()
    axes.axhline(0.5, color="grey", linewidth=0.6, linestyle=":")
    axes.set_title(panel.title, loc="left")
