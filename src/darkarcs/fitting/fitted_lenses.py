"""What fits of smooth lenses give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SmoothFits:
    """Smooth lenses fitted to B images.

    Attributes
    ----------
    images : Tensor, shape (B, C, H, W)
        Noiseless, of the fitted lenses, in the unit of the data.
    scale : Tensor, shape (B, C, H, W)
        One over the standard deviation of each pixel's noise.
    parameters : Tensor, shape (B, K)
        Standardized coordinates of the fits.
    values : dict of str to ndarray, each of shape (B,)
        Fitted columns.
    chi_square : ndarray, shape (B,)
        Of the data, without the prior.
    converged : ndarray of bool, shape (B,)
        Whether the last step changed next to nothing.
    """

    images: Tensor
    scale: Tensor
    parameters: Tensor
    values: dict[str, NDArray[np.float32]]
    chi_square: NDArray[np.float32]
    converged: NDArray[np.bool_]
