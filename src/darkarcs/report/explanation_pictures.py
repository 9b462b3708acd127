"""Pictures of an explanation as PNG files: maps, the erasing sequence, attention by layer."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from darkarcs.explain.explanation import Explanation
from darkarcs.report.drawing import plain

Floats = NDArray[np.floating[Any]]

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_DPI = 130
#: Levels of the image's brightness, between sky and brightest, at which a map shows its outline.
_OUTLINE = (0.3, 0.6)
#: Evidence beyond this percentile of its size is drawn in the last colour.
_CLIP_PERCENTILE = 99.5


def draw_maps(explanation: Explanation, class_name: str, measure: str) -> bytes:
    """Draw the image beside every map of it, the image's outline on each.

    Parameters
    ----------
    explanation : Explanation
        What there is of it.
    class_name : str
        The class that is explained.
    measure : str
        ``"log_odds"`` or ``"probability"``: whose drop the evidence is.

    Returns
    -------
    bytes
        A PNG. The evidence has a colour bar of its own, since it has a sign and a unit; all
        other maps share one, each relative to its own largest value.
    """
    maps = _relative_maps(explanation)
    columns = 3
    rows = -(-(2 + len(maps)) // columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.3 * columns + 0.6, 2.75 * rows + 0.3), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        shown = axes[0].imshow(_grey(explanation.image), cmap="cividis", interpolation="nearest")
        figure.colorbar(shown, ax=axes[0], shrink=0.85, label="brightness, as the model sees it")
        _title(axes[0], "image")
        size = float(np.percentile(np.abs(explanation.evidence), _CLIP_PERCENTILE)) or 1.0
        drawn = axes[1].imshow(explanation.evidence, cmap="RdBu_r", vmin=-size, vmax=size)
        unit = "log-odds" if measure == "log_odds" else "probability"
        figure.colorbar(
            drawn, ax=axes[1], shrink=0.85, extend="both", label=f"drop of the {unit} if erased"
        )
        _title(axes[1], f"evidence for {plain(class_name)}")
        _outline(axes[1], explanation.image, "black")
        used = axes[2 : 2 + len(maps)]
        for ax, (title, values) in zip(used, maps, strict=True):
            top = float(values.max())
            relative = values / top if top > 0 else values
            drawn = ax.imshow(
                relative, cmap="inferno", vmin=0, vmax=1, extent=_extent(explanation.image)
            )
            _title(ax, title)
            _outline(ax, explanation.image, "white")
        figure.colorbar(drawn, ax=used, shrink=0.85, label="relative to the map's maximum")
        for ax in axes[2 + len(maps) :]:
            ax.remove()
        return _png(figure)


def draw_erasing(
    explanation: Explanation, probabilities: Sequence[Mapping[str, float]]
) -> bytes | None:
    """Draw the image after each round of erasing, with what the model says of it.

    Parameters
    ----------
    explanation : Explanation
        Of a model with attention.
    probabilities : sequence of mapping of str to float
        By class name, one a round.

    Returns
    -------
    bytes or None
        A PNG; all rounds share one colour scale. None without an erasing sequence.
    """
    if explanation.erasing_images is None:
        return None
    rounds = [_grey(image) for image in explanation.erasing_images]
    low, high = float(rounds[0].min()), float(rounds[0].max())
    columns = min(len(rounds), 5)
    rows = -(-len(rounds) // columns)
    with mpl.rc_context(_STYLE):
        height = 2.5 + 0.17 * len(probabilities[0])
        figure = Figure(figsize=(2.3 * columns + 0.9, height * rows), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for number, (ax, image) in enumerate(zip(axes, rounds, strict=False)):
            shown = ax.imshow(image, cmap="cividis", vmin=low, vmax=high, interpolation="nearest")
            _title(ax, "whole image" if number == 0 else f"round {number}")
            said = [f"{plain(name)} {value:.3f}" for name, value in probabilities[number].items()]
            ax.set_xlabel("\n".join(said))
        for ax in axes[len(rounds) :]:
            ax.remove()
        figure.colorbar(
            shown, ax=axes[: len(rounds)], shrink=0.8, label="brightness, as the model sees it"
        )
        return _png(figure)


def draw_attention(explanation: Explanation) -> bytes | None:
    """Draw the attention of what the head reads in each layer and head, and the rollout below.

    Parameters
    ----------
    explanation : Explanation
        Of a model with attention.

    Returns
    -------
    bytes or None
        A PNG; every cell shares one colour scale, attention to a patch over its mean, so that
        1 is looking everywhere alike. None without attention.
    """
    if explanation.attention is None or explanation.rollout is None:
        return None
    layers, heads = explanation.attention.shape[:2]
    rows = [*(f"head {head + 1}" for head in range(heads)), "mean", "rollout"]
    cells = np.concatenate(
        [
            explanation.attention,
            explanation.attention.mean(axis=1, keepdims=True),
            explanation.rollout[:, None],
        ],
        axis=1,
    )  # (layers, heads + 2, g, g)
    cells = cells / np.maximum(cells.mean(axis=(2, 3), keepdims=True), 1e-12)
    top = float(np.percentile(cells, _CLIP_PERCENTILE))
    with mpl.rc_context(_STYLE):
        figure = Figure(
            figsize=(max(6.0, 1.12 * layers + 1.6), 1.12 * len(rows) + 0.6), layout="constrained"
        )
        axes = figure.subplots(len(rows), layers, squeeze=False)
        for row, name in enumerate(rows):
            for layer in range(layers):
                ax = axes[row, layer]
                drawn = ax.imshow(
                    cells[layer, row],
                    cmap="inferno",
                    vmin=0,
                    vmax=top,
                    extent=_extent(explanation.image),
                )
                _title(ax, f"layer {layer + 1}" if row == 0 else "")
                if layer == 0:
                    ax.set_ylabel(name)
        figure.colorbar(drawn, ax=axes, shrink=0.7, extend="max", label="attention, over its mean")
        return _png(figure)


def _relative_maps(explanation: Explanation) -> list[tuple[str, Floats]]:
    maps: list[tuple[str, Floats]] = []
    if explanation.attention is not None:
        maps.append(("attention, last layer", explanation.attention[-1].mean(axis=0)))
    if explanation.rollout is not None:
        maps.append(("attention rollout", explanation.rollout[-1]))
    if explanation.gradient_attention is not None:
        maps.append(("gradient-weighted attention", explanation.gradient_attention))
    maps.append(("input gradient", explanation.gradient))
    return maps


def _grey(image: Floats) -> Floats:
    grey: Floats = image.mean(axis=0)
    return grey


def _extent(image: Floats) -> tuple[float, float, float, float]:
    """Frame of the image's pixels, so that a map of patches lies on them."""
    height, width = image.shape[-2:]
    return (-0.5, width - 0.5, height - 0.5, -0.5)


def _outline(ax: Axes, image: Floats, colour: str) -> None:
    grey = _grey(image)
    sky, top = float(np.median(grey)), float(np.percentile(grey, 99.7))
    if top > sky:
        levels = [sky + share * (top - sky) for share in _OUTLINE]
        ax.contour(grey, levels=levels, colors=colour, linewidths=0.6, alpha=0.7)


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text)
    ax.set(xticks=[], yticks=[])


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()
