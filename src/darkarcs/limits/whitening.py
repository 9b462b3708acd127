"""Differences of noiseless images in units of the noise."""

from __future__ import annotations

import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.noise import CountingNoise, NoNoise


def noise_scale(scene: Scene, images: Tensor, lenses: LensParameters) -> Tensor:
    """Compute what differences of noiseless images are multiplied by to be in units of noise.

    Parameters
    ----------
    scene : Scene
        Whose noise.
    images : Tensor, shape (B, C, H, W)
        Noiseless.
    lenses : LensParameters
        Of these images.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        Gain over standard deviation.

    Raises
    ------
    ConfigurationError
        If there is no noise, or it is correlated between pixels.
    """
    noise = scene.noise
    if isinstance(noise, NoNoise):
        raise ConfigurationError(
            f"scene {scene.name} has no noise, so nothing limits what its images tell: "
            "give it some, for example by noise.kind=instrument"
        )
    gain = torch.ones(len(lenses), dtype=images.dtype)
    if isinstance(noise, CountingNoise):
        if noise.smoothing > 0:
            raise ConfigurationError(
                f"the noise of scene {scene.name} is correlated between pixels (noise.smoothing), "
                "which the limits do not treat: give noise.smoothing=0"
            )
        gain = 10 ** torch.from_numpy(lenses.columns["noise.log10_exposure"]).to(images)
    return gain[:, None, None, None] / scene.noise_variance(images, lenses).sqrt()
