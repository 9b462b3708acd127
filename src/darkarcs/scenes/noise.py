"""From the noiseless image to the one that is published or observed: noise, scaling, storage."""

from __future__ import annotations

import io
from typing import Annotated, Literal, Self

import numpy as np
import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from darkarcs.configuration import Configuration
from darkarcs.instrument import NORMAL_ABOVE, Instrument, convolve, draw_counts, gaussian_kernel
from darkarcs.instrument.point_spread import FWHM_OVER_SIGMA
from darkarcs.scenes.distributions import Distribution, NotNegative, Positive


class InstrumentNoise(Configuration):
    """What the scene's instrument adds: photons of source and sky, and read-out.

    Attributes
    ----------
    kind : "instrument"
        Which noise this is.
    exposure_factor : Distribution
        Exposure of each image in units of the instrument's.
    """

    kind: Literal["instrument"] = "instrument"
    exposure_factor: Positive = 1.0

    def apply(
        self,
        images: Tensor,
        columns: dict[str, Tensor],
        instrument: Instrument,
        generator: torch.Generator,
    ) -> Tensor:
        """Observe noiseless images.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W), electrons / s
            Expected.
        columns : dict of str to Tensor of shape (B, 1, 1, 1)
            Of the parameters, those of this noise by their own names.
        instrument : Instrument
            The scene's.
        generator : torch.Generator
            Source of chance, on the device of the images.

        Returns
        -------
        Tensor, shape (B, C, H, W), electrons / s
            Sky subtracted.
        """
        factor = columns["exposure_factor"]
        time = instrument.total_exposure_time * factor
        return instrument.observe(images * time, generator, exposure_factor=factor) / time

    def variance(
        self, images: Tensor, columns: dict[str, Tensor], instrument: Instrument
    ) -> Tensor:
        """Compute the variance of each pixel.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W), electrons / s
            Expected.
        columns : dict of str to Tensor of shape (B, 1, 1, 1)
            As for `apply`.
        instrument : Instrument
            The scene's.

        Returns
        -------
        Tensor, shape (B, C, H, W), (electrons / s)^2
            Of `apply`.
        """
        factor = columns["exposure_factor"]
        time = instrument.total_exposure_time * factor
        read_out = instrument.num_exposures * instrument.read_noise**2
        return (images.clamp(min=0) * time + instrument.sky_counts * factor + read_out) / time**2


class NoNoise(Configuration):
    """Nothing is added, as in the published Models II and III.

    Attributes
    ----------
    kind : "none"
        Which noise this is.
    factor : float
        What the image is multiplied by; the published code adds the image to itself.
    """

    kind: Literal["none"] = "none"
    factor: float = 1.0

    def apply(
        self,
        images: Tensor,
        columns: dict[str, Tensor],
        instrument: Instrument,
        generator: torch.Generator,
    ) -> Tensor:
        """Give the images back; see `InstrumentNoise.apply`.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Expected.
        columns : dict of str to Tensor
            Not used.
        instrument : Instrument
            Not used.
        generator : torch.Generator
            Not used.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            Times the factor.
        """
        return images * self.factor

    def variance(
        self, images: Tensor, columns: dict[str, Tensor], instrument: Instrument
    ) -> Tensor:
        """Give zero; see `InstrumentNoise.variance`.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Expected.
        columns : dict of str to Tensor
            Not used.
        instrument : Instrument
            Not used.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            Zero.
        """
        return torch.zeros_like(images)


class CountingNoise(Configuration):
    """Counts of photons without an instrument, as published sets have them.

    Attributes
    ----------
    kind : "counting"
        Which noise this is.
    log10_exposure : Distribution
        Counts for each unit of the image.
    background_counts : Distribution, counts
        Of the sky, in each pixel; it stays in the image.
    background : Distribution
        The same in units of the image, so that it grows with the exposure.
    background_rms : float
        Normal noise in units of the image, added before counting.
    twice : bool
        Also add the photon noise once as a normal number before counting: Model I's fault.
    smoothing : float, pixels
        Standard deviation of a Gaussian that the noise, not the light, is smoothed by, as where
        noise was added before the image was blurred or enlarged; counts are not whole then.
    """

    kind: Literal["counting"] = "counting"
    log10_exposure: Distribution = 0.0
    background_counts: NotNegative = 0.0
    background: NotNegative = 0.0
    background_rms: float = Field(0.0, ge=0)
    twice: bool = False
    smoothing: float = Field(0.0, ge=0)

    def apply(
        self,
        images: Tensor,
        columns: dict[str, Tensor],
        instrument: Instrument,
        generator: torch.Generator,
    ) -> Tensor:
        """Count photons; see `InstrumentNoise.apply`.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Expected.
        columns : dict of str to Tensor of shape (B, 1, 1, 1)
            Of the parameters.
        instrument : Instrument
            Not used.
        generator : torch.Generator
            Source of chance.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            Counts.
        """
        exposure = 10 ** columns["log10_exposure"]
        rate = images.clamp(min=0)
        if self.background_rms > 0:
            rate = rate + self.background_rms * _standard_normal(images, generator)
        if self.twice:
            photon = (images.clamp(min=0) / exposure).sqrt()
            rate = rate + photon * _standard_normal(images, generator)
        sky = columns["background"] * exposure + columns["background_counts"]
        expected = (rate * exposure + sky).clamp(min=0)
        counts = draw_counts(expected, generator, normal_above=NORMAL_ABOVE)
        if self.smoothing > 0:
            kernel = gaussian_kernel(self.smoothing * FWHM_OVER_SIGMA, 1.0, dtype=images.dtype)
            counts = expected + convolve(counts - expected, kernel)
        return counts

    def variance(
        self, images: Tensor, columns: dict[str, Tensor], instrument: Instrument
    ) -> Tensor:
        """Compute the variance of each pixel, in counts; see `InstrumentNoise.variance`.

        The cut at zero counts, which matters where ``background_rms`` outweighs the light, is
        neglected.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Expected.
        columns : dict of str to Tensor of shape (B, 1, 1, 1)
            Of the parameters.
        instrument : Instrument
            Not used.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            Of `apply`.
        """
        exposure = 10 ** columns["log10_exposure"]
        photons = images.clamp(min=0) * exposure * (2 if self.twice else 1)
        sky = columns["background"] * exposure + columns["background_counts"]
        variance: Tensor = photons + sky + (self.background_rms * exposure) ** 2
        if self.smoothing > 0:
            kernel = gaussian_kernel(self.smoothing * FWHM_OVER_SIGMA, 1.0, dtype=images.dtype)
            variance = convolve(variance, kernel**2)
        return variance


Noise = Annotated[InstrumentNoise | NoNoise | CountingNoise, Field(discriminator="kind")]


class Storage(Configuration):
    """How a set stores its images.

    Attributes
    ----------
    scaling : {"none", "peak", "min_max"}
        Divide each image by its maximum, or map its range to [0, 1].
    levels : int, optional
        Round to this many grey levels: 256 for 8-bit pictures, which then run from 0 to 255.
    jpeg_quality : int, optional
        Compress the picture as a JPEG of this quality, and read it again; needs 256 levels.
    """

    scaling: Literal["none", "peak", "min_max"] = "none"
    levels: int | None = Field(None, ge=2)
    jpeg_quality: int | None = Field(None, ge=1, le=95)

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.levels is not None and self.scaling == "none":
            raise ValueError("levels divide the range from 0 to 1: give scaling peak or min_max")
        if self.jpeg_quality is not None and self.levels != 256:
            raise ValueError("a JPEG has 256 grey levels: give levels: 256")
        return self

    def apply(self, images: Tensor) -> Tensor:
        """Scale and round images.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Observed.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            As stored.
        """
        if self.scaling != "none":
            flat = images.flatten(1)
            low = flat.amin(1) if self.scaling == "min_max" else torch.zeros_like(flat[:, 0])
            span = (flat.amax(1) - low).clamp(min=torch.finfo(images.dtype).tiny)
            images = (images - low[:, None, None, None]) / span[:, None, None, None]
        if self.levels is not None:
            images = (images.clamp(0, 1) * (self.levels - 1)).round()
        if self.jpeg_quality is not None:
            images = _through_jpeg(images, self.jpeg_quality)
        return images


def _through_jpeg(images: Tensor, quality: int) -> Tensor:
    """Compress each plane, of whole numbers up to 255, and read it again."""
    planes = images.flatten(0, -3).to("cpu", torch.uint8).numpy()
    read = np.empty(planes.shape, dtype=np.uint8)
    for stored, plane in zip(read, planes, strict=True):
        with io.BytesIO() as file:
            Image.fromarray(plane).save(file, "JPEG", quality=quality)
            stored[...] = np.asarray(Image.open(file))
    return torch.from_numpy(read).reshape(images.shape).to(images)


def _standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
