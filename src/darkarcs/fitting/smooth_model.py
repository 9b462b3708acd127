"""Images of a scene's smooth lenses, and their slopes, in the coordinates of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from darkarcs.fitting.coordinates import MacroCoordinates
from darkarcs.scenes import Scene

#: Rays rendered at a time: see `darkarcs.scenes.scene`.
_SAMPLES_AT_ONCE = 2**18
#: Step of the numerical derivatives, in standard deviations of the prior: large enough for
#: float32, small enough to be straight. Every step of the fit is checked by the model itself.
_DIFFERENCE = 0.01


@dataclass(frozen=True, eq=False)
class SmoothModel:
    """What smooth lenses look like without noise.

    Attributes
    ----------
    scene : Scene
        Instrument, sampling, and what is fixed.
    coordinates : MacroCoordinates
        Of the K parameters.
    """

    scene: Scene
    coordinates: MacroCoordinates

    def images(self, parameters: Tensor) -> Tensor:
        """Render.

        Parameters
        ----------
        parameters : Tensor, shape (B, K)
            Standardized coordinates.

        Returns
        -------
        Tensor, shape (B, C, H, W), electrons / s
            At the scene's sampling.
        """
        values = self.coordinates.decode(parameters)
        step = max(1, _SAMPLES_AT_ONCE // self.scene.grid.num_samples**2)
        parts = [
            self.scene.render_values({name: v[first : first + step] for name, v in values.items()})
            for first in range(0, len(parameters), step)
        ]
        if not parts:
            pixels = self.scene.num_pixels
            return torch.zeros(0, len(self.scene.channels), pixels, pixels)
        return torch.cat(parts)

    def slopes(self, parameters: Tensor) -> Tensor:
        """Differentiate images in their parameters.

        Parameters
        ----------
        parameters : Tensor, shape (B, K)
            Standardized coordinates.

        Returns
        -------
        Tensor, shape (B, K, C, H, W)
            Forward differences.
        """
        count, num = parameters.shape
        moved = parameters[:, None] + _DIFFERENCE * torch.eye(num)
        points = torch.cat([parameters[:, None], moved], dim=1).flatten(0, 1)
        images = self.images(points)
        grouped = images.reshape(count, num + 1, *images.shape[1:])
        return (grouped[:, 1:] - grouped[:, :1]) / _DIFFERENCE
