"""Cutouts of galaxies in files: NumPy archives, FITS and folders of them.

Nothing is ever unpickled.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from darkarcs.errors import DataError

_IMAGE_NAMES = ("image", "images")
_SCALE_KEYWORDS = ("PIXSCALE", "PIXSCAL", "PIXELSCL", "PIXSCAL1", "D001SCAL", "SECPIX")
_NOT_LIGHT = {"WHT", "WEIGHT", "ERR", "RMS", "VAR", "IVAR", "DQ", "MASK", "CTX", "SEG", "PSF"}
_SUFFIXES = (".npz", ".npy", ".fits", ".fit", ".fits.gz")
#: Sides of a cutout, pixels: less shows no galaxy with a border, more is a mosaic.
MIN_SIDE, MAX_SIDE = 32, 2048


@dataclass(frozen=True, eq=False)
class Cutout:
    """One galaxy as it is stored.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W)
        As stored.
    pixel_scale : float or None, arcsec per pixel
        As the file states it.
    snr : float or None
        As the file states it.
    """

    pixels: NDArray[np.float32]
    pixel_scale: float | None
    snr: float | None


def read_cutouts(path: Path) -> list[Cutout]:
    """Read all cutouts of a file or folder.

    Parameters
    ----------
    path : pathlib.Path
        ``.npz`` or ``.npy`` with a stack of images, FITS with one image, a cube or several
        extensions, or a folder of such files.

    Returns
    -------
    list of Cutout
        In the order of names, then of storage.

    Raises
    ------
    DataError
        If there is nothing there that can be read as images of galaxies.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder of galaxies")
    if path.is_dir():
        files = [file for file in galaxy_files(path) if file != path]
        if not files:
            raise DataError(f"{path}: the folder holds no {', '.join(_SUFFIXES)}")
        return [cutout for file in files for cutout in read_cutouts(file)]
    if not path.name.lower().endswith(_SUFFIXES):
        raise DataError(f"{path}: galaxies are read from {', '.join(_SUFFIXES)} or a folder")
    read = _from_numpy if path.suffix.lower() in (".npz", ".npy") else _from_fits
    cutouts = list(read(path))
    for cutout in cutouts:
        short, long = min(cutout.pixels.shape), max(cutout.pixels.shape)
        if short < MIN_SIDE or long > MAX_SIDE:
            raise DataError(
                f"{path}: a cutout of {cutout.pixels.shape} pixels is not one galaxy with its "
                f"surroundings: sides must be {MIN_SIDE} to {MAX_SIDE}"
            )
    return cutouts


def galaxy_files(path: Path) -> list[Path]:
    """Name the files that `read_cutouts` would open.

    Parameters
    ----------
    path : pathlib.Path
        A file or folder.

    Returns
    -------
    list of pathlib.Path
        The file itself, or those of the folder by name.
    """
    if not path.is_dir():
        return [path]
    return [
        file
        for file in sorted(path.iterdir())
        if file.name.lower().endswith(_SUFFIXES) and not file.name.startswith(".")
    ]


def _from_numpy(path: Path) -> Iterator[Cutout]:
    arrays = _load_arrays(path)
    stacks = [name for name, array in arrays.items() if array.ndim == 3]
    named = [name for name in _IMAGE_NAMES if name in stacks]
    if not named and len(stacks) != 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise DataError(
            f"{path}: holds {found}, and needs an array 'image' of shape (galaxies, rows, columns)"
        )
    images = arrays[named[0] if named else stacks[0]]
    scale = _one_number(path, arrays["pixel_scale"]) if "pixel_scale" in arrays else None
    snr = arrays.get("snr")
    if snr is not None and (snr.shape != images.shape[:1] or snr.dtype.kind not in "fiu"):
        raise DataError(f"{path}: 'snr' must hold one number for each of {len(images)} galaxies")
    for number, image in enumerate(images):
        yield Cutout(_pixels(path, image), scale, None if snr is None else float(snr[number]))


def _load_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with path.open("rb") as stream:  # NumPy leaves a broken archive open
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"image": loaded}
            with loaded as archive:
                return {name: archive[name] for name in archive.files}
    except ValueError as error:
        reason = "it is pickled, which is never opened" if "pickle" in str(error) else error
        raise DataError(f"{path}: cannot be read as NumPy arrays ({reason})") from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is truncated or damaged ({error})") from None


def _one_number(path: Path, array: NDArray[np.generic]) -> float:
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise DataError(f"{path}: 'pixel_scale' must be one number")
    return float(array.astype(np.float64).reshape(-1)[0])


def _pixels(path: Path, image: NDArray[np.generic]) -> NDArray[np.float32]:
    if image.dtype.kind not in "fiu":
        raise DataError(f"{path}: images of type {image.dtype} are not surface brightness")
    return np.ascontiguousarray(image, dtype=np.float32)


def _from_fits(path: Path) -> Iterator[Cutout]:
    try:
        # Headers in the wild are full of trifles; what matters is whether pixels come out.
        with warnings.catch_warnings(), fits.open(path, memmap=False) as units:
            warnings.simplefilter("ignore", AstropyWarning)
            found = [
                (
                    np.asarray(unit.data),
                    pixel_scale_of(unit.header) or pixel_scale_of(units[0].header),
                )
                for unit in units
                if unit.is_image
                and str(unit.header.get("EXTNAME", "")).upper() not in _NOT_LIGHT
                and unit.data is not None
                and unit.data.ndim in (2, 3)
            ]
    except Exception as error:  # astropy raises many kinds on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: is a truncated or damaged FITS file ({reason})") from None
    if not found:
        raise DataError(f"{path}: has no image of two or three dimensions")
    for data, scale in found:
        for image in data[None] if data.ndim == 2 else data:
            yield Cutout(_pixels(path, image), scale, None)


def pixel_scale_of(header: fits.Header) -> float | None:
    """Read the pixel scale off a FITS header.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.

    Returns
    -------
    float or None
        Arcsec per pixel, from a keyword that states it, else the side of a square of a pixel's
        area by the world coordinates (CD, or CDELT and PC, in degrees); None if neither is there.

    References
    ----------
    Greisen & Calabretta 2002, A&A 395, 1061, equations 1 and 3.
    """
    for keyword in _SCALE_KEYWORDS:
        value = header.get(keyword)
        if isinstance(value, int | float) and 1e-4 < value < 60:
            return float(value)
    if any(f"CD{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        matrix = [[header.get(f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)]
    elif "CDELT1" in header and "CDELT2" in header:
        matrix = [
            [header[f"CDELT{i}"] * header.get(f"PC{i}_{j}", float(i == j)) for j in (1, 2)]
            for i in (1, 2)
        ]
    else:
        return None
    scale = 3600 * math.sqrt(abs(np.linalg.det(np.array(matrix, dtype=np.float64))))
    return round(scale, 9) if 1e-4 < scale < 60 else None
