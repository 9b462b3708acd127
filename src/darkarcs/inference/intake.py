"""From images as they are stored to those that a model takes: residuals, or grey for colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from darkarcs import fitting
from darkarcs.data import LensImages
from darkarcs.data.joining import join
from darkarcs.errors import DataError
from darkarcs.model_folder import SMOOTH_FIT, ModelDescription

#: Colours that differ by less than this share of an image's range are a grey image's, blurred
#: by JPEG.
GREY_TOLERANCE = 0.03
#: Smooth lenses that are fitted between two steps of a progress bar.
_FITTED_AT_ONCE = 32


def take_images(
    images: LensImages,
    description: ModelDescription,
    cache: Path | None = None,
    progress: bool = False,
) -> LensImages:
    """Give a model the images that it takes.

    Parameters
    ----------
    images : LensImages
        As stored.
    description : ModelDescription
        The model's.
    cache : pathlib.Path, optional
        Folder where fits are kept.
    progress : bool, default False
        Show a progress bar on standard error while smooth lenses are fitted.

    Returns
    -------
    LensImages
        See `darkarcs.inference.Predictor.as_taken`.

    Raises
    ------
    DataError
        If residuals are given to a model of images, or those of other fits.
    """
    source, given = images.manifest.get("source", "images"), images.manifest.get(SMOOTH_FIT)
    wanted = description.smooth_fit
    if wanted is None and given is not None:
        raise DataError(
            f"{source}: holds residuals of smooth lenses, and '{description.name}' looks at "
            "images: give these"
        )
    if given is not None and wanted is not None and not fitting.same_fits(given, wanted):
        raise DataError(
            f"{source}: its residuals are not of the smooth lenses that '{description.name}' was "
            "trained on; give the images themselves"
        )
    fit = None
    if wanted is not None and given is None:
        fit = fitting.SmoothFit.parse(wanted, f"model '{description.name}'")
    bands = description.preprocessing.channels if fit is None else len(fit.scene.channels)
    if bands == 1 and images.num_channels == 3:
        images = _as_grey(images)
    if fit is None:
        return images
    return _residuals(images, fit, cache, progress)


def _residuals(images: LensImages, fit: Any, cache: Path | None, progress: bool) -> LensImages:
    size = _FITTED_AT_ONCE if progress else max(1, len(images))
    starts = track(
        range(0, max(1, len(images)), size),
        "Fitting smooth lenses",
        console=Console(stderr=True),
        disable=not progress,
        transient=True,
    )
    rows = np.arange(len(images))
    parts: list[LensImages] = [
        fitting.residual_images(images.select(rows[start : start + size]), fit, cache=cache)
        for start in starts
    ]
    return parts[0] if len(parts) == 1 else join(parts, parts[0].manifest)


def _as_grey(images: LensImages) -> LensImages:
    pixels = images.images
    spread = (pixels.max(axis=1) - pixels.min(axis=1)).max(axis=(1, 2))  # (N,)
    extent = np.ptp(pixels, axis=(1, 2, 3))  # (N,)
    coloured = np.flatnonzero(spread > GREY_TOLERANCE * extent)
    if coloured.size:
        raise DataError(
            f"'{images.metadata['name'][coloured[0]]}' is a colour image and the model takes one "
            "channel: choose one band, or save the image as grey"
        )
    return LensImages(
        images=pixels.mean(axis=1, keepdims=True),
        labels=images.labels,
        class_names=images.class_names,
        metadata=images.metadata,
        pixel_scale=images.pixel_scale,
        manifest=images.manifest,
        lists=images.lists,
    )
