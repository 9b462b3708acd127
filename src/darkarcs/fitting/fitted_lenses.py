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

    def select(self, chosen: Tensor) -> SmoothFits:
        """Take the fits to some of the images.

        Parameters
        ----------
        chosen : Tensor of int64, shape (N,)
            Which.

        Returns
        -------
        SmoothFits
            In this order.
        """
        places = chosen.numpy()
        return SmoothFits(
            images=self.images[chosen],
            scale=self.scale[chosen],
            parameters=self.parameters[chosen],
            values={name: values[places] for name, values in self.values.items()},
            chi_square=self.chi_square[places],
            converged=self.converged[places],
        )

    def put(self, chosen: Tensor, others: SmoothFits) -> None:
        """Replace the fits to some of the images.

        Parameters
        ----------
        chosen : Tensor of int64, shape (N,)
            Which.
        others : SmoothFits
            To these N.
        """
        for name in ("images", "scale", "parameters"):
            getattr(self, name)[chosen] = getattr(others, name)
        places = chosen.numpy()
        for name, values in self.values.items():
            values[places] = others.values[name]
        self.chi_square[places] = others.chi_square
        self.converged[places] = others.converged
