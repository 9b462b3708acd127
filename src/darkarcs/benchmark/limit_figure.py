"""Figure of an information limit: AUC of oracle, marginalized oracle, observer and models."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new
from darkarcs.limits import LimitResult
from darkarcs.limits.results import LimitRow

_FIGURES = (
    ("oracle", "all known but the class", "#0072b2"),
    ("marginalized", "smooth lens unknown", "#009e73"),
    ("observer", "substructure unknown", "#d55e00"),
)
_MARKERS = "osD^vP*X"
_COLOURS = ("black", "#cc79a7", "#0072b2", "#e69f00", "#56b4e9", "#7f7f7f")
#: Neighbouring models stand side by side, by this factor of the fraction.
_APART = 1.06


def draw_limits(results: Sequence[LimitResult], path: Path) -> Path:
    """Draw the pooled AUC against the mass fraction, a panel for each scene.

    Bands are 95 % intervals over lenses; points are models. Rows of other noise than the scene's
    are left out.

    Parameters
    ----------
    results : sequence of LimitResult
        One a panel, each with fractions.
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
    tables = [_rows(result) for result in results]
    if not tables or not all(tables):
        raise DataError("no fractions to draw the limits against: give --fractions 0.01,0.1")
    style: Any = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(3.4 * len(results) + 2.4, 3.0), layout="constrained")
        panels = figure.subplots(1, len(results), squeeze=False, sharey=True)[0]
        for axes, result, rows in zip(panels, results, tables, strict=True):
            _draw_panel(axes, result, rows)
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


def _rows(result: LimitResult) -> list[LimitRow]:
    if not result.rows:
        return []
    first = result.rows[0].class_name
    return [
        row
        for row in result.rows
        if row.class_name == first and row.noise_factor == 1.0 and row.fraction is not None
    ]


def _draw_panel(axes: Any, result: LimitResult, rows: list[LimitRow]) -> None:
    for name, text, colour in _FIGURES:
        known = [(row.fraction, getattr(row, name)) for row in rows if getattr(row, name)]
        if not known:
            continue
        share = [fraction for fraction, _ in known]
        areas = [figure.pooled for _, figure in known]
        axes.plot(share, [area.value for area in areas], color=colour, label=text, marker=".")
        low, high = zip(*(area.interval for area in areas), strict=True)
        axes.fill_between(share, low, high, color=colour, alpha=0.2, linewidth=0)
    names = list(dict.fromkeys(point.model for point in result.models))
    for number, name in enumerate(names):
        aside = _APART ** (number - (len(names) - 1) / 2)
        points = [p for p in result.models if p.model == name and p.fraction is not None]
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
    axes.set(xscale="log", ylim=(0.45, 1.02), xlabel=f"mass fraction of {rows[0].class_name}")
    axes.axhline(0.5, color="grey", linewidth=0.6, linestyle=":")
    axes.set_title(result.scene.split("/")[0], loc="left")
