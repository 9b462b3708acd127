"""The figures of the gallery: images on one scale, differences on another, and what is in them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

#: Light from dark to bright, even in lightness; differences from blue over white to red.
_LIGHT, _DIFFERENCE = "inferno", "RdBu_r"
#: Images are shown in units of their peak, faint light spread out.
_IMAGES = AsinhNorm(linear_width=0.06, vmin=-0.06, vmax=1.0)
#: Differences are linear up to here and grow as the logarithm beyond.
_LINEAR = 0.7
#: Ends of the scale of differences, of which the smallest is taken that holds nearly all pixels.
_LIMITS = (1.0, 3.0, 10.0, 30.0, 100.0)
#: Subhalos whose place is marked in a difference, the heaviest.
_MARKED = 12
_MINUS = "\N{MINUS SIGN}"
_NOISE = "noise \N{GREEK SMALL LETTER SIGMA}"
_CELL = 2.05  # inches
_DPI = 100
_PADS: Any = {"w_pad": 0.06, "h_pad": 0.04, "wspace": 0.0, "hspace": 0.0}
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
}


@dataclass(frozen=True)
class Panel:
    """One image of a lens and how it differs from the same lens without substructure.

    Attributes
    ----------
    image : ndarray, shape (C, H, W)
        As observed.
    difference : ndarray, shape (H, W)
        Of the noiseless images: in units of the noise, or per cent of the peak.
    in_noise : bool
        Which of the two.
    distance : float
        d, the root of the sum of squares of the difference over all pixels and bands.
    pixel_scale : float, arcsec
        Of the image.
    einstein_radius : float, arcsec
        Of the lens.
    centre : tuple of float, arcsec
        x and y of the lens.
    redshifts : tuple of float
        Of lens and source.
    masses : ndarray, shape (S, 3)
        Mass (solar masses), x and y (arcsec) of the substructure.
    """

    image: NDArray[np.float64]
    difference: NDArray[np.float64]
    in_noise: bool
    distance: float
    pixel_scale: float
    einstein_radius: float
    centre: tuple[float, float]
    redshifts: tuple[float, float]
    masses: NDArray[np.float64]

    @property
    def half_field(self) -> float:
        """Half the side of the image.

        Returns
        -------
        float, arcsec
            From the centre to the edge.
        """
        return len(self.difference) * self.pixel_scale / 2


def draw_scene(title: str, class_names: Sequence[str], lenses: Sequence[Sequence[Panel]]) -> bytes:
    """Draw lenses of a scene: a column a lens, a row a class, and below it its difference.

    Parameters
    ----------
    title : str
        Above the figure.
    class_names : sequence of str
        Of the rows; the first is what others are compared with.
    lenses : sequence of sequence of Panel
        First index the lens, second the class.

    Returns
    -------
    bytes
        A PNG.
    """
    rows = [(0, False)]
    for label in range(1, len(class_names)):
        rows += [(label, False), (label, True)]
    with mpl.rc_context(_STYLE):
        size = (_CELL * len(lenses) + 1.25, _CELL * len(rows) + 0.55)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(**_PADS))
        figure.suptitle(title, fontsize=10.5)
        axes = figure.subplots(len(rows), len(lenses), squeeze=False)
        for row, (label, is_difference) in enumerate(rows):
            panels = [lens[label] for lens in lenses]
            name = class_names[label]
            name = f"{name} {_MINUS} {class_names[0]}" if is_difference else name
            axes[row, 0].set_ylabel(name, fontsize=9.5)
            if is_difference:
                shown = _draw_differences(axes[row], panels)
                unit = _NOISE if panels[0].in_noise else "% of the peak"
                _difference_bar(figure, shown, axes[row], unit)
            else:
                for axis, panel in zip(axes[row], panels, strict=True):
                    _draw_image(axis, panel)
        for axis, lens in zip(axes[0], lenses, strict=True):
            near, far = lens[0].redshifts
            theta = rf"$\theta_\mathrm{{E}}$ = {lens[0].einstein_radius:.2f}″"
            axis.set_title(f"{theta}, z = {near:.2f}, {far:.2f}")
        images = [axis for row, (_, d) in enumerate(rows) if not d for axis in axes[row]]
        if lenses[0][0].image.shape[0] == 1:
            light = ScalarMappable(_IMAGES, _LIGHT)
            bar = figure.colorbar(light, ax=list(axes[0]), shrink=0.9, aspect=14)
            bar.set_label("share of the peak")
            bar.set_ticks([0, 0.1, 0.3, 1.0], labels=["0", "0.1", "0.3", "1"])
        _scale_bar(images[0], lenses[0][0].half_field)
        return _png(figure, colours=len(lenses[0][0].image) > 1)


def draw_telescopes(telescopes: Sequence[tuple[str, str, Sequence[Panel]]], field: float) -> bytes:
    """Draw one lens as every telescope sees it, and what its subhalos change.

    Parameters
    ----------
    telescopes : sequence of (name, description, panels)
        Panels without and with subhalos.
    field : float, arcsec
        Side of what is shown.

    Returns
    -------
    bytes
        A PNG.
    """
    width = 5
    strips = [telescopes[i : i + width] for i in range(0, len(telescopes), width)]
    with mpl.rc_context(_STYLE):
        size = (_CELL * width * 0.92 + 1.1, (2 * _CELL * 0.95 + 0.35) * len(strips) + 0.3)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(**_PADS))
        axes = figure.subplots(2 * len(strips), width, squeeze=False)
        shown = None
        for axis in axes.flat:
            axis.set_visible(False)
        for number, strip in enumerate(strips):
            images, differences = axes[2 * number], axes[2 * number + 1]
            for column, (name, _, panels) in enumerate(strip):
                images[column].set_visible(True)
                differences[column].set_visible(True)
                _draw_image(images[column], panels[1])
                images[column].set_title(
                    f"{name}\n{panels[1].pixel_scale:g}″ per pixel", fontsize=8.5
                )
                shown = _draw_differences([differences[column]], [panels[1]], limit=10.0)
            for axis in axes[2 * number : 2 * number + 2, : len(strip)].flat:
                axis.set(xlim=(-field / 2, field / 2), ylim=(-field / 2, field / 2))
            images[0].set_ylabel("with subhalos", fontsize=9.5)
            differences[0].set_ylabel(f"with {_MINUS} without", fontsize=9.5)
            _scale_bar(images[0], field / 2)
            if shown is not None:
                _difference_bar(figure, shown, differences, _NOISE)
        return _png(figure)


def stretch(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring an observed image onto a common scale: the sky is zero, the bright end one.

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
        In any unit.

    Returns
    -------
    ndarray, shape (C, H, W)
        All channels by the same factor.

    Examples
    --------
    >>> stretch(np.full((1, 4, 4), 7.0)).max().item()  # sky and nothing else
    0.0
    """
    edge = np.concatenate([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], axis=1)
    light = image - np.median(edge, axis=1)[:, None, None]
    peak = np.quantile(light, 1 - 4 / light[0].size)
    return np.asarray(light / max(peak, np.finfo(np.float64).tiny))


def _draw_image(axis: Axes, panel: Panel) -> None:
    light = stretch(panel.image)
    if len(light) >= 3:  # from the reddest to the bluest band
        bands = light[::-1][:: max(1, len(light) // 3)][:3]
        spread = np.ma.getdata(_IMAGES(bands.reshape(-1))).reshape(bands.shape)
        shown, norm = np.clip(np.moveaxis(spread, 0, -1), 0, 1), None
    else:
        shown, norm = np.clip(light[0], None, 1), _IMAGES
    half = panel.half_field
    axis.imshow(
        shown,
        origin="lower",
        extent=(-half, half, -half, half),
        cmap=_LIGHT,
        norm=norm,
        interpolation="nearest",
    )
    _ring(axis, panel, "white")
    axis.set(xticks=[], yticks=[])


def _draw_differences(
    axes: Sequence[Axes], panels: Sequence[Panel], limit: float | None = None
) -> Any:
    if limit is None:
        largest = max(float(np.quantile(np.abs(panel.difference), 0.999)) for panel in panels)
        limit = next((one for one in _LIMITS if one >= largest), _LIMITS[-1])
    shown = None
    for axis, panel in zip(axes, panels, strict=True):
        half = panel.half_field
        shown = axis.imshow(
            panel.difference,
            origin="lower",
            extent=(-half, half, -half, half),
            cmap=_DIFFERENCE,
            norm=AsinhNorm(linear_width=_LINEAR, vmin=-limit, vmax=limit),
            interpolation="nearest",
        )
        _ring(axis, panel, "0.35")
        _mark_masses(axis, panel.masses, half)
        if panel.in_noise:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0}
            axis.text(
                0.04,
                0.04,
                f"d = {panel.distance:.1f}",
                transform=axis.transAxes,
                fontsize=8,
                bbox=box,
            )
        axis.set(xticks=[], yticks=[], xlim=(-half, half), ylim=(-half, half))
    return shown


def _mark_masses(axis: Axes, masses: NDArray[np.float64], half: float) -> None:
    if len(masses) > 2 and np.ptp(masses[:, 0]) < 1e-6 * masses[0, 0]:  # a rod of equal masses
        axis.plot(masses[[0, -1], 1], masses[[0, -1], 2], color="0.2", lw=1.2)
        return
    for mass, x, y in masses[np.argsort(masses[:, 0])[::-1][:_MARKED]]:
        radius = 0.1 * (mass / 1e9) ** (1 / 3)
        if max(abs(x), abs(y)) + radius < half:
            axis.add_patch(Circle((x, y), radius, fill=False, color="0.2", lw=0.6))


def _ring(axis: Axes, panel: Panel, colour: str) -> None:
    ring = Circle(
        panel.centre,
        panel.einstein_radius,
        fill=False,
        color=colour,
        lw=0.7,
        ls=(0, (4, 4)),
        alpha=0.8,
    )
    axis.add_patch(ring)


def _scale_bar(axis: Axes, half: float) -> None:
    start = -half * 0.92
    edge = [withStroke(linewidth=2.2, foreground="black")]
    axis.plot([start, start + 1], [-half * 0.88] * 2, color="white", lw=1.8, solid_capstyle="butt")
    axis.text(
        *(start + 0.5, -half * 0.84, "1″"),
        color="white",
        ha="center",
        va="bottom",
        fontsize=8.5,
        path_effects=edge,
    )


def _difference_bar(figure: Figure, shown: Any, axes: NDArray[Any], unit: str) -> None:
    bar = figure.colorbar(shown, ax=list(axes), label=unit, shrink=0.9, aspect=14)
    limit = shown.norm.vmax
    positive = [one for one in (1.0, 3.0, 10.0, 30.0, 100.0) if one <= limit]
    ticks = [*(-one for one in reversed(positive)), 0.0, *positive]
    bar.set_ticks(ticks, labels=[f"{one:g}".replace("-", _MINUS) for one in ticks])
    bar.minorticks_off()


def _png(figure: Figure, colours: bool = False) -> bytes:
    """Make a picture of at most 256 colours, which halves it, unless images are in colour."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    if colours:
        return stream.getvalue()
    stream.seek(0)
    maps = [mpl.colormaps[name](np.linspace(0, 1, 104))[:, :3] for name in (_LIGHT, _DIFFERENCE)]
    greys = np.repeat(np.linspace(0, 1, 48)[:, None], 3, axis=1)
    palette = (np.concatenate([*maps, greys]) * 255).round().astype(np.uint8)
    with Image.open(stream) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    colours_used, where = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = cKDTree(palette.astype(float)).query(colours_used.astype(float))[1]
    few = Image.fromarray(nearest[where].astype(np.uint8).reshape(pixels.shape[:2]))
    few.putpalette(palette.ravel().tolist())
    small = io.BytesIO()
    few.save(small, format="png", optimize=True)
    return small.getvalue()
