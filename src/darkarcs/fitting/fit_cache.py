"""Residuals that are kept in a folder: fits take minutes, and a run that was cut off goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import DarkarcsError
from darkarcs.fitting.residuals import SmoothFit, residuals_to_store


def kept_residuals(
    lenses: LensImages,
    fit: SmoothFit,
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> LensImages:
    """Read residuals from a folder, or fit smooth lenses and keep there what they leave.

    Parameters
    ----------
    lenses : LensImages
        As for `darkarcs.fitting.residual_images`.
    fit : SmoothFit
        What is fitted.
    folder : pathlib.Path
        Gets one file for these pixels and this fit; made if it is not there. May be deleted at
        any time.
    progress : callable, optional
        Called with the number of images that were just fitted, or found.

    Returns
    -------
    LensImages
        As `darkarcs.fitting.residual_images` gives them. A file that is damaged is made again.

    Raises
    ------
    DataError
        If the images are residuals already, or not of the scene's size, bands or pixel scale.
    """
    pixels = np.ascontiguousarray(lenses.images)
    told = f"{fit.identity} {lenses.metadata['identity'].tolist()} {pixels.shape}".encode()
    key = hashlib.sha256(told + pixels.tobytes()).hexdigest()[:16]
    file = folder / f"fits-{key}.h5"
    if not _is_whole(file, lenses):
        folder.mkdir(parents=True, exist_ok=True)
        residuals_to_store(lenses, fit, file, progress=progress)
    return data.open(str(file))


def _is_whole(file: Path, lenses: LensImages) -> bool:
    if not file.exists():
        return False
    try:
        kept = data.open(str(file)).metadata["identity"]
    except DarkarcsError:
        kept = None
    if kept is None or not np.array_equal(kept, lenses.metadata["identity"]):
        file.unlink()
        return False
    return True
