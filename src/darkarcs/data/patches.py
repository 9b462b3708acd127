"""What a vision transformer makes of an image: a sequence of square patches."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from darkarcs.data.resampling import border_median
from darkarcs.data.stretching import brightness, stretch
from darkarcs.errors import DataError, require_new

#: Colours of the figure: lighter than the empty sky, so that empty patches stand out.
BACKGROUND, ACCENT, TEXT = "#1b212c", "#ffb454", "#e5e9f0"
#: Patches to a side above which only every few are numbered.
MAX_NUMBERED = 14
#: Share of a patch's side that is left free around it.
GAP = 0.2


def extract_patches(images: NDArray[np.float32], patch_size: int) -> NDArray[np.float32]:
    """Cut images into their patches, row by row from the top left.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        H and W are multiples of the patch size.
    patch_size : int, pixels
        Side p of a patch.

    Returns
    -------
    ndarray, shape (N, H W / p^2, C, p, p)
        The sequence a transformer sees, before it is embedded.

    Raises
    ------
    DataError
        If the patches do not fill the image.

    Examples
    --------
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> extract_patches(image, 2)[0, :, 0].tolist()[1]
    [[2.0, 3.0], [6.0, 7.0]]
    """
    if images.ndim != 4:
        raise DataError(f"images must have shape (N, C, H, W), not {images.shape}")
    count, channels, height, width = images.shape
    if patch_size < 1 or height % patch_size or width % patch_size:
        common = math.gcd(height, width)
        fitting = [p for p in range(2, common + 1) if common % p == 0]
        raise DataError(
            f"patches of {patch_size} pixels do not fill images of {height} x {width}: "
            f"{', '.join(map(str, fitting)) or 'only 1'} would, or set another size"
        )
    rows, columns = height // patch_size, width // patch_size
    cut = images.reshape(count, channels, rows, patch_size, columns, patch_size)
    sequence = cut.transpose(0, 2, 4, 1, 3, 5)  # (N, rows, columns, C, p, p)
    return sequence.reshape(count, rows * columns, channels, patch_size, patch_size)


def assemble_patches(patches: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Put patches together again: the inverse of `extract_patches`.

    Parameters
    ----------
    patches : ndarray, shape (N, num_patches, C, p, p)
        The sequence, row by row.
    height, width : int, pixels
        Of the images.

    Returns
    -------
    ndarray, shape (N, C, height, width)
        The images.

    Raises
    ------
    DataError
        If the patches do not make images of this size.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((1, 3, 6, 8), dtype=np.float32)
    >>> bool((assemble_patches(extract_patches(image, 2), 6, 8) == image).all())
    True
    """
    count, length, channels, side, _ = patches.shape
    rows, columns = height // side, width // side
    if (rows * side, columns * side) != (height, width) or rows * columns != length:
        raise DataError(
            f"{length} patches of {side} pixels do not make an image of {height} x {width}"
        )
    grid = patches.reshape(count, rows, columns, channels, side, side)
    return grid.transpose(0, 3, 1, 4, 2, 5).reshape(count, channels, height, width)


def draw_patches(image: NDArray[np.float32], patch_size: int, path: Path) -> Path:
    """Draw an image under its grid, beside the numbered sequence of its patches.

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
        One channel is drawn in false colour, three as red, green and blue, others by their
        mean. Brightness is stretched for the eye.
    patch_size : int, pixels
        Side of a patch.
    path : pathlib.Path
        Where the figure goes; the suffix (png, pdf, svg) decides its format.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DataError
        If the patches do not fill the image.
    OutputExistsError
        If the path exists already.
    """
    path = require_new(Path(path))
    if image.ndim != 3:
        raise DataError(f"an image must have shape (C, H, W), not {image.shape}")
    picture = _colours(np.asarray(image, dtype=np.float32))
    height, width = picture.shape[1:]
    patches = extract_patches(picture[None], patch_size)[0]
    rows, columns = height // patch_size, width // patch_size
    figure = Figure(figsize=(12.5, 0.9 + 5.4 * min(rows / columns, 1.6)), facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.0, 1.18], "wspace": 0.16})
    _draw_grid(left, picture, rows, columns)
    _draw_sequence(right, patches, rows, columns)
    _caption(left, f"{height} x {width} pixels", f"a patch is {patch_size} x {patch_size}")
    _caption(right, f"a sequence of {len(patches)} tokens", "read row by row")
    left.add_patch(
        FancyArrowPatch(
            (1.02, 0.5),
            (1.12, 0.5),
            arrowstyle="-|>",
            mutation_scale=22,
            color=ACCENT,
            linewidth=2,
            transform=left.transAxes,
            clip_on=False,
        )
    )
    figure.savefig(path, dpi=140, bbox_inches="tight", pad_inches=0.25, facecolor=BACKGROUND)
    return path


def _colours(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch an image (C, H, W) for the eye and colour it (3, H, W), each within 0 and 1."""
    above = image[None] - border_median(image[None])
    stretched = stretch(above / brightness(above).max(), "asinh", 0.2)[0]
    # a little below the sky is kept, so that noise is seen on both of its sides
    unit: NDArray[np.float32] = np.clip((stretched + 0.05) / 1.05, 0.0, 1.0)
    if len(unit) == 3:
        return unit
    coloured = np.asarray(colormaps["inferno"](unit.mean(axis=0)), dtype=np.float32)
    return coloured[..., :3].transpose(2, 0, 1)


def _draw_grid(axes: Axes, picture: NDArray[np.float32], rows: int, columns: int) -> None:
    extent = (0.0, float(columns), float(rows), 0.0)
    axes.imshow(picture.transpose(1, 2, 0), extent=extent, interpolation="nearest")
    axes.hlines(range(1, rows), 0, columns, color="white", alpha=0.35, linewidth=0.7)
    axes.vlines(range(1, columns), 0, rows, color="white", alpha=0.35, linewidth=0.7)
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
    axes.spines[:].set_color(ACCENT)


def _draw_sequence(axes: Axes, patches: NDArray[np.float32], rows: int, columns: int) -> None:
    """Draw the patches apart from each other, numbered in the order they are read."""
    zoom = math.ceil(16 / patches.shape[-1])  # so that a gap is a whole number of pixels
    large = patches.repeat(zoom, axis=-1).repeat(zoom, axis=-2)
    side = large.shape[-1]
    gap = max(1, round(GAP * side / 2))
    cells = np.empty((len(patches), 3, side + 2 * gap, side + 2 * gap), dtype=np.float32)
    cells[...] = np.array(to_rgb(BACKGROUND))[:, None, None]
    cells[..., gap:-gap, gap:-gap] = large
    cell = side + 2 * gap
    mosaic = assemble_patches(cells[None], rows * cell, columns * cell)[0]
    extent = (0.0, float(columns), float(rows), 0.0)
    axes.imshow(mosaic.transpose(1, 2, 0), extent=extent, interpolation="nearest")
    every = math.ceil(max(rows, columns) / MAX_NUMBERED)
    offset = gap / cell + 0.05
    for row in range(0, rows, every):
        for column in range(0, columns, every):
            number = row * columns + column
            corner = patches[number, :, : side // zoom // 2 + 1, : side // zoom // 2 + 1]
            axes.text(
                column + offset,
                row + offset,
                str(number + 1),
                color="white" if corner.mean() < 0.5 else "black",
                fontsize=min(9.0, 70 * min(every, 1.6) / max(rows, columns)),
                ha="left",
                va="top",
            )
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _caption(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, color=TEXT, fontsize=14, loc="left", pad=10)
    axes.set_title(note, color=ACCENT, fontsize=11, loc="right", pad=10)
