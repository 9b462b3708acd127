"""Figures of a suite: AUC by set or along its axis, ROC curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from darkarcs.report.drawing import (
    INK,
    LINE,
    SURFACE,
    draw,
    plain,
    series_colour,
    series_dashes,
)

_MARKERS = ("o", "s", "D", "^", "v", "P")


def line_figure(name: str, content: Mapping[str, Any], line: str) -> str:
    """AUC of each model along the suite's axis, for the sets of one line.

    Parameters
    ----------
    name : str
        Unique within the page.
    content : mapping
        Of ``SUITE.json``, which has an axis.
    line : str
        Which line of sets.

    Returns
    -------
    str
        SVG.
    """
    places = {
        one["name"]: one["at"]
        for one in content["sets"]
        if one["line"] == line and one["at"] is not None
    }
    axis = content["axis"]

    def paint(axes: Axes) -> None:
        axes.axhline(0.5, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        for index, model in enumerate(content["models"]):
            own = [
                score
                for score in content["scores"]
                if score["model"] == model["name"]
                and score["set"] in places
                and score["auc"] is not None
            ]
            if not own:
                continue
            own.sort(key=lambda score: places[score["set"]])
            at = np.array([places[score["set"]] for score in own])
            areas = np.array([score["auc"] for score in own])
            _bars(axes, at, areas, own, index, plain(model["name"]))
        axes.set_xscale(axis["scale"])
        ticks = sorted(set(places.values()))
        axes.set_xticks(ticks)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(xlabel=plain(axis["label"], 60), ylabel="AUC, substructure against none")
        _limits(axes, content)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", fontsize=8.5)

    return draw(name, paint)


def _bars(
    axes: Axes, at: Any, areas: Any, own: list[dict[str, Any]], index: int, label: str
) -> None:
    bounds = np.array([score["interval"] for score in own])
    axes.errorbar(
        at,
        areas,
        yerr=np.clip([areas - bounds[:, 0], bounds[:, 1] - areas], 0, None),
        color=series_colour(index),
        linestyle=series_dashes(index),
        marker=_MARKERS[index % len(_MARKERS)],
        markersize=5.5,
        markeredgecolor=SURFACE,
        elinewidth=1.3,
        capsize=0,
        label=label,
    )


def _limits(axes: Axes, content: Mapping[str, Any]) -> None:
    """One scale for all figures of a page."""
    bounds = [bound for score in content["scores"] for bound in score["interval"] or ()]
    low, high = min([0.48, *bounds]), max([0.6, *bounds])
    pad = 0.03 * (high - low)
    axes.set_ylim(low - pad, high + pad)


def set_figure(name: str, content: Mapping[str, Any]) -> str:
    """AUC of each model on each set, one row a set.

    Parameters
    ----------
    name : str
        Unique within the page.
    content : mapping
        Of ``SUITE.json``.

    Returns
    -------
    str
        SVG.
    """
    sets = [one for one in content["sets"] if not one["problem"]]
    upwards = sets[::-1]  # the first set stands on top
    rows = {one["name"]: row for row, one in enumerate(upwards)}
    models = [row["name"] for row in content["models"]]
    step = min(0.16, 0.7 / max(1, len(models)))

    def paint(axes: Axes) -> None:
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        for row in range(len(sets) - 1):
            axes.axhline(row + 0.5, color=LINE, linewidth=0.6)
        for index, model in enumerate(models):
            own = [s for s in content["scores"] if s["model"] == model and s["auc"] is not None]
            own = [score for score in own if score["set"] in rows]
            if not own:
                continue
            areas = np.array([score["auc"] for score in own])
            bounds = np.array([score["interval"] for score in own])
            shift = ((len(models) - 1) / 2 - index) * step
            axes.errorbar(
                areas,
                [rows[score["set"]] + shift for score in own],
                xerr=np.clip([areas - bounds[:, 0], bounds[:, 1] - areas], 0, None),
                color=series_colour(index),
                marker=_MARKERS[index % len(_MARKERS)],
                linestyle="none",
                markersize=5.5,
                markeredgecolor=SURFACE,
                elinewidth=1.5,
                label=plain(model),
            )
        axes.set_yticks(list(rows.values()), [plain(one["title"], 48) for one in upwards])
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="AUC, substructure against none", ylim=(-0.6, len(sets) - 0.4))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, fontsize=9)

    height = 1.2 + len(sets) * max(0.34, 0.13 * len(models))
    return draw(name, paint, width=8.6, height=height)


def roc_figure(name: str, content: Mapping[str, Any], which: str) -> str:
    """ROC curves of all models on one set.

    Parameters
    ----------
    name : str
        Unique within the page.
    content : mapping
        Of ``SUITE.json``.
    which : str
        Name of the set.

    Returns
    -------
    str
        SVG.
    """

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle=(0, (3, 3)))
        for index, model in enumerate(content["models"]):
            for score in content["scores"]:
                if (score["model"], score["set"]) == (model["name"], which) and score["roc"]:
                    curve = score["roc"]
                    axes.plot(
                        curve["false_positive_rate"],
                        curve["true_positive_rate"],
                        color=series_colour(index),
                        linestyle=series_dashes(index),
                        label=plain(model["name"]),
                    )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", fontsize=8.5)

    return draw(name, paint, width=4.2, height=4.0)
