"""How well a smooth lens fits an image, for models that look at what fits leave.

An image of stars, of noise, or of a source that no Sersic profile describes can leave residuals
that look ordinary in most respects. How large they are, whether neighbours agree, and how much
light was fitted at all says more of it than anything else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.lens_images import SMOOTH_FIT, LensImages

#: Channels of all bands together, which follow the residuals and the light of each.
_MAPS = {1: 0, 2: 5}
#: Fitted signal-to-noise of a pixel from which on it counts as light of the arc.
_BRIGHT = 2.0
#: Fewer bright pixels tell nothing of their own.
_FEW = 8
_LEAST = 1e-6


def fitted_bands(images: LensImages) -> int:
    """Count the bands that residuals are of.

    Parameters
    ----------
    images : LensImages
        Residuals of fits, or images.

    Returns
    -------
    int
        0 for images that are no residuals.
    """
    told = images.manifest.get(SMOOTH_FIT)
    if told is None:
        return 0
    return (images.num_channels - _MAPS[int(told.get("version", 2))]) // 2


def signal_to_noise(pixels: NDArray[np.float32], bands: int) -> NDArray[np.float32]:
    """Put images together again from what fits left and what they took, in units of the noise.

    Parameters
    ----------
    pixels : ndarray, shape (N, channels, H, W)
        As of `fit_statistics`.
    bands : int
        C.

    Returns
    -------
    ndarray, shape (N, C, H, W)
        Residual and fitted light, both over the noise.
    """
    together: NDArray[np.float32] = pixels[:, :bands] + np.sinh(pixels[:, bands : 2 * bands])
    return together


def fit_statistics(pixels: NDArray[np.float32], bands: int) -> NDArray[np.float64]:
    """Measure residuals and fitted light.

    Parameters
    ----------
    pixels : ndarray, shape (N, channels, H, W)
        Of N fits: residuals of C bands, then asinh of their light's signal-to-noise, then maps.
    bands : int
        C.

    Returns
    -------
    ndarray, shape (N, 6 C), float64
        For each of C bands: log mean square of the residuals, everywhere and where there is light;
        the correlation of neighbours; log of the largest residual; log of the fitted light's
        signal-to-noise squared, in all; asinh of its peak.
    """
    residuals = pixels[:, :bands].astype(np.float64)  # (N, C, H, W)
    light = pixels[:, bands : 2 * bands].astype(np.float64)
    signal_to_noise = np.sinh(light)
    axes = (2, 3)
    squares = residuals**2
    all_over = squares.mean(axis=axes)  # (N, C)
    bright = signal_to_noise > _BRIGHT
    count = bright.sum(axis=axes)
    within = (squares * bright).sum(axis=axes) / np.maximum(count, 1)
    within = np.where(count < _FEW, all_over, within)
    down = (residuals[..., 1:, :] * residuals[..., :-1, :]).mean(axis=axes)
    right = (residuals[..., 1:] * residuals[..., :-1]).mean(axis=axes)
    columns = (
        np.log(all_over + _LEAST),
        np.log(within + _LEAST),
        (down + right) / 2 / (all_over + _LEAST),
        np.log(np.abs(residuals).max(axis=axes) + _LEAST),
        np.log1p((signal_to_noise**2).sum(axis=axes)),
        light.max(axis=axes),
    )
    return np.stack(columns, axis=-1).reshape(len(residuals), -1)
