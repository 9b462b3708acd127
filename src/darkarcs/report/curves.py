"""The figures that predictions give: ROC curves, scores, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from darkarcs.evaluation import Predictions
from darkarcs.evaluation.evaluate import require_labels
from darkarcs.evaluation.intervals import wilson_interval
from darkarcs.evaluation.roc import RocCurve, one_vs_rest_scores, roc_curve
from darkarcs.report.drawing import INK, LINE, SURFACE, draw, plain, series_colour, series_dashes


def shown_classes(predictions: Predictions) -> list[int]:
    """Which classes have a curve of their own.

    Parameters
    ----------
    predictions : Predictions
        Labelled.

    Returns
    -------
    list of int
        Of two classes the second, since the other's curve is its mirror image; else all that
        have images.
    """
    if len(predictions.class_names) == 2:
        return [1]
    labels = require_labels(predictions)
    return [k for k in range(len(predictions.class_names)) if (labels == k).any()]


def _curves(predictions: Predictions) -> list[tuple[int, RocCurve]]:
    labels = require_labels(predictions)
    scores = one_vs_rest_scores(predictions.logits)
    return [(k, roc_curve(scores[:, k], labels == k)) for k in shown_classes(predictions)]


def roc_figure(name: str, predictions: Predictions) -> str:
    """ROC curves on linear axes.

    Parameters
    ----------
    name : str
        Unique within the page.
    predictions : Predictions
        Labelled.

    Returns
    -------
    str
        SVG.
    """

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle=(0, (3, 3)))
        _plot_curves(axes, predictions)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
        axes.legend(loc="lower right")

    return draw(name, paint)


def roc_corner_figure(name: str, predictions: Predictions) -> str:
    """ROC curves with a logarithmic false-positive rate: the corner where good models differ.

    Parameters
    ----------
    name : str
        Unique within the page.
    predictions : Predictions
        Labelled.

    Returns
    -------
    str
        SVG.
    """
    labels = require_labels(predictions)
    smallest = min(1 / int((labels != k).sum()) for k in shown_classes(predictions))

    def paint(axes: Axes) -> None:
        lowest = _plot_curves(axes, predictions, floor=smallest / 2)
        bottom = 0.0 if lowest < 0.5 else max(0.0, lowest - 0.15 * (1 - lowest) - 0.002)
        axes.set_xscale("log")
        axes.set(xlim=(smallest / 2, 1.15), ylim=(bottom, 1 + 0.03 * (1 - bottom)))
        axes.set(xlabel="false-positive rate (logarithmic)", ylabel="true-positive rate")
        axes.axvline(smallest, color=LINE, linewidth=1, linestyle=(0, (3, 3)))
        axes.legend(loc="lower right")

    return draw(name, paint)


def _plot_curves(axes: Axes, predictions: Predictions, floor: float = 0.0) -> float:
    """Plot all curves; return the lowest true-positive rate of a point that is shown."""
    lowest = 1.0
    for place, (k, curve) in enumerate(_curves(predictions)):
        false_rate = np.maximum(curve.false_positive_rate, floor)
        axes.step(
            false_rate,
            curve.true_positive_rate,
            where="post",
            color=series_colour(k),
            linestyle=series_dashes(place),
            label=plain(predictions.class_names[k]),
        )
        at_floor = curve.true_positive_rate[curve.false_positive_rate <= floor]
        lowest = min(lowest, float(at_floor.max(initial=0.0)))
    return lowest


def score_figure(name: str, predictions: Predictions, index: int) -> str:
    """Histogram of one class's log-odds, by true class.

    Parameters
    ----------
    name : str
        Unique within the page.
    predictions : Predictions
        Labelled.
    index : int
        Whose log-odds.

    Returns
    -------
    str
        SVG.
    """
    labels = require_labels(predictions)
    scores = one_vs_rest_scores(predictions.logits)[:, index]
    low, high = float(scores.min()), float(scores.max())
    edges = np.linspace(low, high if high > low else low + 1, 41)

    def paint(axes: Axes) -> None:
        for k, class_name in enumerate(predictions.class_names):
            own = scores[labels == k]
            if not len(own):
                continue
            style: dict[str, Any] = {"color": series_colour(k), "bins": edges, "log": True}
            axes.hist(own, histtype="stepfilled", alpha=0.22, **style)
            axes.hist(
                own,
                histtype="step",
                linewidth=1.8,
                linestyle=series_dashes(k),
                **style,
                label=f"{plain(class_name)} (true)",
            )
        axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel=f"log-odds of {plain(predictions.class_names[index])}", ylabel="images")
        axes.set_ylim(bottom=0.7)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.14))

    return draw(name, paint)


def reliability_figure(name: str, table: Sequence[dict[str, Any]]) -> str:
    """Reached accuracy against claimed confidence.

    Parameters
    ----------
    name : str
        Unique within the page.
    table : sequence of dict
        From `darkarcs.evaluation.calibration.reliability`.

    Returns
    -------
    str
        SVG.
    """
    confidence = np.array([row["confidence"] for row in table])
    accuracy = np.array([row["accuracy"] for row in table])
    bounds = np.array(
        [wilson_interval(round(row["accuracy"] * row["count"]), row["count"]) for row in table]
    )
    # Rounding may put a bound a hair on the wrong side, which error bars refuse.
    bars = np.clip([accuracy - bounds[:, 0], bounds[:, 1] - accuracy], 0, None)
    low = float(min(confidence.min(), bounds[:, 0].min()))
    low = max(0.0, low - 0.05 * (1 - low))

    def paint(axes: Axes) -> None:
        axes.plot([low, 1], [low, 1], color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.errorbar(
            confidence,
            accuracy,
            yerr=bars,
            fmt="o",
            color=series_colour(0),
            markersize=5.5,
            markeredgecolor=SURFACE,
            elinewidth=1.3,
            capsize=0,
        )
        pad = 0.03 * (1 - low)
        axes.set(xlim=(low - pad, 1 + pad), ylim=(low - pad, 1 + pad))
        axes.set(xlabel="claimed probability of the class called", ylabel="share that is right")

    return draw(name, paint)
