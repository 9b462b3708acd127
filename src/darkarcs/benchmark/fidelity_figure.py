"""Figure of a fidelity comparison: published images beside simulated ones, and mean profiles."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from darkarcs.benchmark.image_statistics import radial_profiles
from darkarcs.benchmark.published_samples import Picture
from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new

_PUBLISHED, _SIMULATED = "#d55e00", "#0072b2"
_SHOWN = 2


def draw_fidelity(pictures: Sequence[Picture], path: Path) -> Path:
    """Draw two published and two simulated images of each group, and their radial profiles.

    The band holds 95 % of the simulated profiles; lines are their mean (blue) and the published
    ones, or their mean where they are many (orange).

    Parameters
    ----------
    pictures : sequence of Picture
        From `darkarcs.benchmark.fidelity`.
    path : pathlib.Path
        A new picture; its suffix (png, svg, pdf) decides the format.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DataError
        If there is nothing to draw, or the format is not known.
    OutputExistsError
        If the path exists.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise DataError(f"{path}: a figure ends in .png, .svg or .pdf")
    if not pictures:
        raise DataError("nothing to draw: only the published simulator was compared")
    style: Any = {"font.size": 7, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(9.0, 1.35 * len(pictures)), layout="constrained")
        rows = figure.subplots(
            len(pictures), 2 * _SHOWN + 1, squeeze=False, width_ratios=[1, 1, 1, 1, 1.6]
        )
        for axes, picture in zip(rows, pictures, strict=True):
            _draw_row(axes, picture)
        for place, text in ((0, "published"), (_SHOWN, "simulated")):
            rows[0, place].set_title(text, loc="left")
        rows[0, -1].set_title("mean in rings", loc="left")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=110)
    write_new(path, buffer.getvalue())
    return path


def _draw_row(axes: Any, picture: Picture) -> None:
    blank = np.zeros_like(picture.simulated[0])
    for place in range(2 * _SHOWN):
        images = picture.samples if place < _SHOWN else picture.simulated
        index = place % _SHOWN
        axes[place].set(xticks=[], yticks=[], frame_on=False)
        if index < len(images):
            # the root shows rings and wings at once
            root = np.sqrt(np.clip(images[index], 0, None))
            axes[place].imshow(root, cmap="magma", origin="lower")
        else:
            axes[place].imshow(blank, cmap="Greys", origin="lower")
    axes[0].set_ylabel(picture.name.replace(", ", "\n"), rotation=0, ha="right", va="center")
    last = axes[-1]
    profiles = radial_profiles(picture.simulated)
    low, high = np.percentile(profiles, [2.5, 97.5], axis=0)
    ring = (np.arange(profiles.shape[1]) + 0.5) / profiles.shape[1]
    last.fill_between(ring, low, high, color=_SIMULATED, alpha=0.25, linewidth=0)
    last.plot(ring, profiles.mean(axis=0), color=_SIMULATED, linewidth=1)
    measured = radial_profiles(picture.samples)
    lines = measured if len(measured) <= 12 else measured.mean(axis=0)[None]
    last.plot(ring, lines.T, color=_PUBLISHED, linewidth=0.8)
    last.set_yticks([])
