"""Picture of sensitivity maps: the lens, and beside it what each observer would find where."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from darkarcs.benchmark.detection_lenses import ARC_SHARE
from darkarcs.benchmark.sensitivity import grid_of
from darkarcs.benchmark.sensitivity_map import SensitivityMap, SensitivitySettings
from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new

_COLOURS = "viridis_r"
#: Lenses of which a picture shows the maps; the result file has all.
MOST_LENSES = 4


def draw_sensitivity(
    maps: list[SensitivityMap], settings: SensitivitySettings, pixel_scale: float, path: Path
) -> Path:
    """Draw a row for each of the first lenses.

    Parameters
    ----------
    maps : list of SensitivityMap
        From `darkarcs.benchmark.sensitivity.map_sensitivity`.
    settings : SensitivitySettings
        What was mapped.
    pixel_scale : float, arcsec
        Of the images.
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
    shown, observers = maps[:MOST_LENSES], list(maps[0].values)
    rate = settings.false_positive_rates[0]
    scale = Normalize(settings.log10_masses[0], settings.log10_masses[-1])
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure(
            figsize=(3.0 * (1 + len(observers)) + 0.8, 3.0 * len(shown) + 0.8),
            layout="constrained",
        )
        panels = figure.subplots(
            len(shown), 1 + len(observers), sharex="row", sharey="row", squeeze=False
        )
        for row, one in zip(panels, shown, strict=True):
            _draw_lens(row[0], one, pixel_scale)
            row[0].set_ylabel("arcsec")
            for axes, name in zip(row[1:], observers, strict=True):
                _draw_map(axes, one, grid_of(one, name, rate, settings), settings, scale)
                _draw_arc(axes, one, pixel_scale)
                if one.is_false_alarm(name, rate):
                    axes.set_title("a false alarm without any subhalo", fontsize=8, color="C3")
        for axes, name in zip(panels[0], ["the lens, as observed", *observers], strict=True):
            axes.set_title(f"{name}\n{axes.get_title()}".strip().replace("$", r"\$"), fontsize=9)
        for axes in panels[-1]:
            axes.set_xlabel("arcsec")
        bar = figure.colorbar(
            ScalarMappable(scale, _COLOURS), ax=panels, shrink=0.8, extend="min", pad=0.01
        )
        label = r"smallest $\log_{10}\,m_{200}/M_\odot$ found"
        bar.set_label(f"{label}\nat {rate:g} false positives", fontsize=9)
        figure.supxlabel(
            f"Grey: not even 10^{settings.log10_masses[-1]:g} solar masses. Orange: the arc "
            f"({ARC_SHARE:g} of the peak). Circle: Einstein radius.",
            fontsize=8,
        )
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, dpi=150)
    write_new(path, stream.getvalue())
    return path


def _edges(one: SensitivityMap, pixel_scale: float) -> tuple[float, float, float, float]:
    height, width = one.image.shape[1:]
    half_x, half_y = width * pixel_scale / 2, height * pixel_scale / 2
    return (-half_x, half_x, -half_y, half_y)


def _draw_lens(axes: Axes, one: SensitivityMap, pixel_scale: float) -> None:
    image = one.observed.sum(axis=0)
    shown = np.arcsinh(image / max(float(np.quantile(image, 0.5)), 1e-12, float(image.std())))
    axes.imshow(shown, origin="lower", extent=_edges(one, pixel_scale), cmap="gray")
    _draw_arc(axes, one, pixel_scale)


def _draw_map(
    axes: Axes, one: SensitivityMap, image: Any, settings: SensitivitySettings, scale: Normalize
) -> None:
    reach, (x, y) = settings.extent * one.einstein_radius, one.centre
    extent = (x - reach, x + reach, y - reach, y + reach)
    disk = np.zeros(image.shape)
    disk[tuple(one.cells.T)] = 1
    nothing = np.ma.masked_where(disk == 0, np.full(image.shape, 0.18))
    axes.imshow(nothing, origin="lower", extent=extent, cmap="Greys", vmin=0, vmax=1)
    found = np.ma.masked_invalid(image)
    axes.imshow(found, origin="lower", extent=extent, cmap=_COLOURS, norm=scale)
    left, right, bottom, top = extent
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _draw_arc(axes: Axes, one: SensitivityMap, pixel_scale: float) -> None:
    light = one.image.sum(axis=0)
    left, right, bottom, top = _edges(one, pixel_scale)
    half = pixel_scale / 2
    x = np.linspace(left + half, right - half, light.shape[1])
    y = np.linspace(bottom + half, top - half, light.shape[0])
    axes.contour(x, y, light, [ARC_SHARE * light.max()], colors="#d55e00", linewidths=0.8)
    ring = Circle(one.centre, one.einstein_radius, fill=False, color="#56b4e9", linewidth=0.6)
    axes.add_patch(ring)
