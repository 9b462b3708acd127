"""Measured point-spread functions: reading them, and bringing them to another pixel scale."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from darkarcs.errors import DataError


def resample_kernel(
    kernel: NDArray[np.float64], from_scale: float, to_scale: float
) -> NDArray[np.float64]:
    """Bring a measured kernel to another pixel scale by the overlap of areas.

    The centre of the array stays the centre, so an even-sided array becomes odd-sided.

    Parameters
    ----------
    kernel : ndarray, shape (H, W)
        Flux in each pixel.
    from_scale, to_scale : float, arcsec per pixel
        Of the array and of the result.

    Returns
    -------
    ndarray, shape (odd, odd)
        Flux in each new pixel; sums to what ``kernel`` sums to.

    Examples
    --------
    >>> resample_kernel(np.ones((2, 2)), 1.0, 1.0).tolist()
    [[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]]
    """
    ratio = to_scale / from_scale
    rows, columns = (_overlaps(length, ratio) for length in kernel.shape)
    return np.asarray(rows @ kernel @ columns.T)


def read_kernel(
    path: str | Path, *, from_scale: float | None = None, to_scale: float | None = None
) -> NDArray[np.float64]:
    """Read a measured point-spread function from FITS.

    Parameters
    ----------
    path : str or pathlib.Path
        The first image of two dimensions in the file is taken.
    from_scale : float, optional, arcsec per pixel
        Of the file; the keyword ``PIXELSCL`` by default, if a new scale is asked for.
    to_scale : float, optional, arcsec per pixel
        Of the kernel that is wanted; that of the file by default.

    Returns
    -------
    ndarray, shape (odd, odd)
        Sums to one.

    Raises
    ------
    DataError
        If the file is not a usable point-spread function.
    """
    try:
        with fits.open(path, memmap=False) as units:
            images = [unit for unit in units if unit.data is not None and unit.data.ndim == 2]
            data = np.array(images[0].data, dtype=np.float64) if images else None
            stated = images[0].header.get("PIXELSCL") if images else None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read as FITS ({error})") from None
    if data is None:
        raise DataError(f"{path}: holds no image of two dimensions")
    if not np.isfinite(data).all() or not data.sum() > 0:
        raise DataError(f"{path}: a point-spread function must be finite and of positive sum")
    if to_scale is not None:
        from_scale = stated if from_scale is None else from_scale
        if from_scale is None:
            raise DataError(f"{path}: has no keyword PIXELSCL: give the scale of its pixels")
        data = resample_kernel(data, float(from_scale), to_scale)
    elif data.shape[0] % 2 == 0 or data.shape[1] % 2 == 0:
        data = resample_kernel(data, 1.0, 1.0)
    return np.asarray(data / data.sum())


def _overlaps(length: int, ratio: float) -> NDArray[np.float64]:
    """Share of each old pixel (column) that falls into each new one (row), both centred."""
    half = max(math.ceil(length / ratio / 2 - 0.5 - 1e-9), 0)
    new = (np.arange(2 * half + 1) - half)[:, None] * ratio
    old = np.arange(length)[None, :] - (length - 1) / 2
    upper = np.minimum(new + ratio / 2, old + 0.5)
    lower = np.maximum(new - ratio / 2, old - 0.5)
    return np.asarray(np.maximum(upper - lower, 0.0))
