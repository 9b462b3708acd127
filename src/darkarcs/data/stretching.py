"""Compressing the range of pixel values between faint arcs and bright cores."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: Quantile of an image's pixels that counts as its brightness: above it are noise and cosmics.
BRIGHT_QUANTILE = 0.999

Stretch = Literal["linear", "sqrt", "asinh", "log"]


def stretch(
    values: NDArray[np.float32], kind: Stretch = "asinh", softening: float = 0.1
) -> NDArray[np.float32]:
    """Compress the range of pixel values; odd, increasing, 0 -> 0 and 1 -> 1.

    With u the value and s the softening, up to the factor that maps 1 to 1:
    ``linear`` u, ``sqrt`` sqrt(1 + u/s) - 1, ``asinh`` asinh(u/s), ``log`` log(1 + u/s);
    negative values by f(-u) = -f(u).

    Parameters
    ----------
    values : ndarray, any shape
        In units of the brightness, background subtracted.
    kind : {"linear", "sqrt", "asinh", "log"}, default "asinh"
        Which function.
    softening : float, default 0.1
        Below it, in units of the brightness, the stretch is nearly linear.

    Returns
    -------
    ndarray
        The shape of ``values``, float32.

    Examples
    --------
    >>> stretch(np.float32([-1, 0, 0.0625, 1]), "sqrt", 1 / 48).tolist()
    [-1.0, 0.0, 0.1666666716337204, 1.0]
    """
    if kind == "linear":
        return values
    if kind == "asinh":
        curved = np.arcsinh(values / np.float32(softening))
        one = math.asinh(1.0 / softening)
    elif kind == "log":
        curved = np.copysign(np.log1p(np.abs(values) / np.float32(softening)), values)
        one = math.log1p(1.0 / softening)
    else:
        root = np.sqrt(1 + np.abs(values) / np.float32(softening))
        curved, one = np.copysign(root - 1, values), math.sqrt(1.0 + 1.0 / softening) - 1.0
    stretched: NDArray[np.float32] = curved / np.float32(one)
    return stretched


def brightness(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure how bright images are, robustly to a few hot pixels.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        Background subtracted.

    Returns
    -------
    ndarray, shape (N, C)
        The quantile `BRIGHT_QUANTILE` of the pixels; 1 where that is not positive, so that
        it can always be divided by.

    Examples
    --------
    >>> brightness(np.arange(2001, dtype=np.float32).reshape(1, 1, 3, 667)).item()
    1998.0
    """
    flat = images.reshape(*images.shape[:2], -1)
    position = round(BRIGHT_QUANTILE * (flat.shape[-1] - 1))
    value = np.partition(flat, position, axis=-1)[..., position]
    return np.where(value > 0, value, np.float32(1.0))
