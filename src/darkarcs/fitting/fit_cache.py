"""Fits that are kept in a folder: they take minutes, and a run that was cut off goes on."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.evaluation.provenance import package_version

Arrays = dict[str, NDArray[Any]]


def kept(
    folder: Path, identity: str, pixels: NDArray[np.float32], make: Callable[[], Arrays]
) -> Arrays:
    """Read what these pixels gave before, or make it and keep it.

    Parameters
    ----------
    folder : pathlib.Path
        Gets one file for these pixels; made if it is not there. It may be deleted at any time,
        and several processes may share it.
    identity : str
        Of the fits; others have files of their own, as have other versions of the package.
    pixels : NDArray of float32, shape (N, C, H, W)
        What is fitted.
    make : callable
        Fits.

    Returns
    -------
    dict of str to ndarray
        As ``make`` gives them. A file that is damaged is made again.
    """
    told = f"{package_version()} {identity} {pixels.shape}".encode()
    key = hashlib.sha256(told + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:24]
    file = folder / f"fits-{key}.npz"
    try:
        # opened here, for numpy leaves a file open that is no archive
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # not there, or damaged
    arrays = make()
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{file.stem}.{os.getpid()}.npz"
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(file)  # a kill leaves all of the file or none
    return arrays
