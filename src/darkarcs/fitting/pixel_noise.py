"""Noise of images whose exposure nobody tells: its level is read off the sky at their borders."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import Scene
from darkarcs.scenes.noise import InstrumentNoise, Storage
from darkarcs.scenes.smooth import smooth_lenses

_PRIOR_SEED, _PRIOR_LENSES = 21, 256
#: Rows at the top and at the bottom of an image whose scatter is the sky's.
_BORDER = 8


class PixelNoise:
    """What weighs the pixels of one scene's images.

    Parameters
    ----------
    scene : Scene
        Its instrument, and how widely it draws exposures.

    Raises
    ------
    ConfigurationError
        If the noise is not an instrument's or images are stored rescaled.
    """

    def __init__(self, scene: Scene) -> None:
        if not isinstance(scene.noise, InstrumentNoise) or scene.storage != Storage():
            raise ConfigurationError(
                f"scene {scene.name}: a fit weighs pixels by their noise: give a scene with "
                "noise.kind=instrument whose images are stored as they are"
            )
        prior = smooth_lenses(scene, _PRIOR_SEED, 0, _PRIOR_LENSES)
        least, middle, most = np.quantile(prior.columns["noise.exposure_factor"], [0.0, 0.5, 1.0])
        self._exposure = float(middle)
        self._sky_range = float(middle / most), float(middle / least)
        pixels = scene.num_pixels
        dark = torch.zeros(1, len(scene.channels), pixels, pixels)
        self.sky_variance = float(self._variance(scene, dark).mean())

    def sky_factor(self, images: Tensor) -> Tensor:
        """Read the noise off the border of each image.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W), electrons / s
            Sky subtracted.

        Returns
        -------
        Tensor, shape (B, 1, 1, 1)
            Variance of the sky in units of that at the scene's middle exposure, held to the range
            of the scene's exposures.
        """
        top, bottom = images[..., :_BORDER, :].flatten(1), images[..., -_BORDER:, :].flatten(1)
        seen = torch.cat([top, bottom], dim=1)
        # quartiles, so that an arc that reaches the border does not count as noise
        low, high = torch.quantile(seen, torch.tensor([0.25, 0.75]), dim=1)
        observed = ((high - low) / 1.349) ** 2
        factor = (observed / self.sky_variance).clamp(*self._sky_range)
        return torch.as_tensor(factor[:, None, None, None])

    def scale(self, scene: Scene, prediction: Tensor, sky_factor: Tensor) -> Tensor:
        """Weigh the pixels of images that a lens predicts.

        Parameters
        ----------
        scene : Scene
            That was rendered; its pixels may be larger than the images'.
        prediction : Tensor, shape (B, C, H, W), electrons / s
            Noiseless.
        sky_factor : Tensor, shape (B, 1, 1, 1)
            Of these images.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            One over the standard deviation of each pixel.
        """
        return 1 / (self._variance(scene, prediction) * sky_factor).sqrt()

    def _variance(self, scene: Scene, images: Tensor) -> Tensor:
        columns = {"exposure_factor": torch.full((len(images), 1, 1, 1), self._exposure)}
        return scene.noise.variance(images, columns, scene.instrument)
