"""What is in a set of lens images, as numbers and as a picture."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from darkarcs.data.lens_images import LensImages
from darkarcs.data.readers import open as open_images
from darkarcs.errors import require_new

#: Percentiles of the pixel values that are reported.
PERCENTILES = (1, 50, 99)
_MAX_SAMPLED = 2_000_000  # pixels a class that percentiles are taken of
_MAX_DUPLICATES = 20  # groups of duplicates listed by name


def inspect(path: str | Path, skip_bad: bool = True) -> dict[str, Any]:
    """Open a set of lens images and describe it.

    Parameters
    ----------
    path : str or pathlib.Path
        Anything that `darkarcs.data.open` takes.
    skip_bad : bool, default True
        Describe what can be used and list what cannot.

    Returns
    -------
    dict
        As `describe` gives it.

    Raises
    ------
    DataError
        If nothing can be used.
    """
    return describe(open_images(path, skip_bad=skip_bad))


def describe(lens_images: LensImages) -> dict[str, Any]:
    """Describe lens images by what can be written as JSON.

    Parameters
    ----------
    lens_images : LensImages
        Any.

    Returns
    -------
    dict
        ``num_images``, ``shape`` (C, H, W), ``pixel_scale``, ``class_counts``, ``classes`` with
        the range and percentiles of the pixel values of each (``"all"`` if unlabelled),
        ``duplicates`` within and across classes, ``skipped``, ``ignored``, ``container``,
        ``file_formats``, ``file_dtypes``, ``metadata_columns``, ``content_hash``, ``source``.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.arange(48, dtype=np.float32).reshape(3, 1, 4, 4) // 16
    >>> facts = describe(LensImages.from_arrays(pixels[[0, 1, 1]], [0, 0, 1], ("no_sub", "sub")))
    >>> facts["class_counts"], facts["duplicates"]["num_across_classes"]
    ({'no_sub': 2, 'sub': 1}, 1)
    """
    manifest = lens_images.manifest
    height, width = lens_images.images.shape[2:]
    return {
        "source": manifest.get("source"),
        "container": manifest.get("format"),
        "num_images": len(lens_images),
        "shape": [lens_images.num_channels, int(height), int(width)],
        "pixel_scale": lens_images.pixel_scale,
        "class_counts": lens_images.class_counts(),
        "classes": _ranges(lens_images),
        "duplicates": find_duplicates(lens_images),
        "file_formats": manifest.get("file_formats", {}),
        "file_dtypes": manifest.get("file_dtypes", {}),
        "metadata_columns": sorted(lens_images.metadata),
        "num_skipped": len(manifest.get("skipped", [])),
        "skipped": manifest.get("skipped", []),
        "ignored": manifest.get("ignored", 0),
        "content_hash": lens_images.content_hash,
    }


def _ranges(lens_images: LensImages) -> dict[str, dict[str, float | int]]:
    names = lens_images.label_names
    classes = lens_images.class_names or ("",)
    return {
        name or "all": _range(lens_images.images[names == name])
        for name in classes
        if np.any(names == name)
    }


def _range(images: NDArray[np.float32]) -> dict[str, float | int]:
    values = images.reshape(-1)
    sampled = values[:: max(1, values.size // _MAX_SAMPLED)]
    percentiles = np.percentile(sampled, PERCENTILES)
    return {
        "num_images": len(images),
        "min": float(values.min()),
        **{f"p{p}": float(v) for p, v in zip(PERCENTILES, percentiles, strict=True)},
        "max": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        "std": float(values.std(dtype=np.float64)),
    }


def find_duplicates(lens_images: LensImages) -> dict[str, Any]:
    """Find images whose pixels are exactly equal.

    Parameters
    ----------
    lens_images : LensImages
        Any.

    Returns
    -------
    dict
        ``num_within_classes`` and ``num_across_classes`` count groups of equal images with one
        label and with contradicting labels; ``groups`` lists up to 20, those across first, each
        with its ``names`` and ``classes``.
    """
    members: defaultdict[str, list[int]] = defaultdict(list)
    for index, identity in enumerate(lens_images.metadata["identity"]):
        members[str(identity)].append(index)
    labels, names = lens_images.label_names, lens_images.metadata["name"]
    groups = [
        {
            "names": sorted(str(names[i]) for i in indices),
            "classes": sorted({str(labels[i]) for i in indices} - {""}),
        }
        for indices in members.values()
        if len(indices) > 1
    ]
    groups.sort(key=lambda group: (-len(group["classes"]), group["names"]))
    across = sum(len(group["classes"]) > 1 for group in groups)
    return {
        "num_within_classes": len(groups) - across,
        "num_across_classes": across,
        "groups": groups[:_MAX_DUPLICATES],
    }


def draw_panel(lens_images: LensImages, path_png: str | Path, per_class: int = 8) -> Path:
    """Draw a row of images for each class.

    The images of a class are spread evenly over the set. Each is shown on its own scale, from
    the median of its border (the sky) to its 99.7th percentile, stretched by asinh so that faint
    arcs and bright cores are both seen; the colours rise in lightness alone, so that they read
    the same in grey and to the colour-blind.

    Parameters
    ----------
    lens_images : LensImages
        Any.
    path_png : str or pathlib.Path
        The picture to make.
    per_class : int, default 8
        How many images a row.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    OutputExistsError
        If the path exists.
    """
    path = require_new(Path(path_png))
    path.parent.mkdir(parents=True, exist_ok=True)
    names = lens_images.label_names
    rows = [(name, np.flatnonzero(names == name)) for name in lens_images.class_names or ("",)]
    rows = [(name, members) for name, members in rows if len(members)]
    columns = max(1, min(per_class, max(len(members) for _, members in rows)))
    figure = _frame(len(rows), columns)
    for number, (name, members) in enumerate(rows):
        picks = members[np.linspace(0, len(members) - 1, min(columns, len(members)), dtype=int)]
        for column, pick in enumerate(picks):
            axis = figure.axes[number * columns + column]
            shown = displayed(lens_images.images[pick])
            axis.imshow(shown, cmap="inferno", vmin=0, vmax=1, interpolation="nearest")
        axis = figure.axes[number * columns]
        label = f"{name or 'images'}\n{len(members):,}"
        axis.text(
            -0.1, 0.5, label, transform=axis.transAxes, rotation=90, ha="right", va="center",
            ma="center", fontsize=9, linespacing=1.4,
        )  # fmt: skip
    scale = lens_images.pixel_scale
    height, width = lens_images.images.shape[2:]
    caption = f"{len(lens_images):,} images of {width} x {height} pixels"
    caption += f", {scale * width:.3g} arcsec wide" if scale else ""
    figure.text(0.995, 0.015, caption, fontsize=7, color="0.4", ha="right", va="bottom")
    figure.savefig(path)
    return path


def _frame(num_rows: int, num_columns: int) -> Figure:
    """Lay out square axes with equal gaps, in inches, whatever their number."""
    side, gap, left, bottom = 1.3, 0.05, 0.5, 0.22
    width = left + num_columns * (side + gap)
    height = bottom + num_rows * (side + gap) + gap
    figure = Figure(figsize=(width, height), dpi=160)
    FigureCanvasAgg(figure)  # pixels in memory: no display, no global state of pyplot
    for row in range(num_rows):
        for column in range(num_columns):
            x, y = left + column * (side + gap), height - (row + 1) * (side + gap)
            axis = figure.add_axes((x / width, y / height, side / width, side / height))
            axis.set_axis_off()
    return figure


def displayed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale an image for the eye.

    Parameters
    ----------
    image : ndarray, shape (C, H, W)
        Any units.

    Returns
    -------
    ndarray
        Between 0 and 1, shape (H, W) for one channel (or two, averaged), else (H, W, 3).
    """
    pixels = image[:3] if len(image) >= 3 else image.mean(axis=0, keepdims=True)
    border = np.concatenate(
        [pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1
    )
    sky = float(np.median(border))
    bright = float(np.percentile(pixels, 99.7))
    if bright <= sky:
        sky, bright = float(pixels.min()), float(pixels.max())
    unit = np.clip((pixels - sky) / max(bright - sky, 1e-30), 0, 1)
    shown = np.asarray(np.arcsinh(unit / 0.2) / np.arcsinh(1 / 0.2), dtype=np.float32)
    return shown[0] if len(shown) == 1 else np.moveaxis(shown, 0, -1)
