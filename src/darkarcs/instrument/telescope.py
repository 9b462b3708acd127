"""Instruments as data files: what turns surface brightness into what a detector reads."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from darkarcs.configuration import Configuration, read_yaml
from darkarcs.errors import ConfigurationError
from darkarcs.instrument.noise import NORMAL_ABOVE, draw_counts, draw_read_noise
from darkarcs.instrument.pixel_grid import PixelGrid
from darkarcs.instrument.point_spread import PointSpread
from darkarcs.registry import nearest

_FOLDER = Path(__file__).parent / "telescopes"


class Instrument(Configuration):
    """A telescope, its camera and how long it looks.

    All exposures are summed: counts are electrons in ``num_exposures`` exposures together.

    Attributes
    ----------
    description : str
        Telescope, camera and filter.
    pixel_scale : float, arcsec per pixel
        Side of a pixel of the image.
    point_spread : GaussianPointSpread, MoffatPointSpread or EmpiricalPointSpread
        Point-spread function.
    zero_point : float, AB magnitudes
        Of a source that gives one electron per second.
    sky_brightness : float, AB magnitudes / arcsec^2
        Of the sky in this band.
    read_noise : float, electrons
        Root mean square, each exposure and pixel.
    gain : float, electrons / ADU
        Step of the read-out.
    exposure_time : float, seconds
        Of one exposure.
    num_exposures : int
        How many are summed.

    Examples
    --------
    >>> euclid = load_instrument("euclid-vis")
    >>> euclid.pixel_scale
    0.1
    >>> round(euclid.counts(euclid.zero_point) / euclid.total_exposure_time, 6)
    1.0
    """

    description: str
    pixel_scale: float = Field(gt=0)
    point_spread: PointSpread
    zero_point: float
    sky_brightness: float
    read_noise: float = Field(ge=0)
    gain: float = Field(1.0, gt=0)
    exposure_time: float = Field(gt=0)
    num_exposures: int = Field(1, gt=0)

    @property
    def total_exposure_time(self) -> float:
        """The time of all exposures.

        Returns
        -------
        float, seconds
            Exposure time times number.
        """
        return self.exposure_time * self.num_exposures

    @property
    def sky_counts(self) -> float:
        """The sky in a pixel.

        Returns
        -------
        float, electrons
            In all exposures together.
        """
        return self.counts(self.sky_brightness) * self.pixel_scale**2

    @property
    def background_rms(self) -> float:
        """The noise of a pixel without source.

        Returns
        -------
        float, electrons
            Of sky and read-out together.
        """
        return math.sqrt(self.sky_counts + self.num_exposures * self.read_noise**2)

    def grid(self, num_pixels: int, supersampling: int = 1) -> PixelGrid:
        """Make a grid of this instrument's pixels.

        Parameters
        ----------
        num_pixels : int
            Side of the image.
        supersampling : int
            Samples along the side of a pixel.

        Returns
        -------
        PixelGrid
            Use ``point_spread.kernel(grid.sample_scale)`` to convolve before averaging.
        """
        return PixelGrid(
            num_pixels=num_pixels, pixel_scale=self.pixel_scale, supersampling=supersampling
        )

    def counts(self, magnitude: float) -> float:
        """Convert a magnitude into electrons.

        Parameters
        ----------
        magnitude : float, AB magnitudes, or AB magnitudes / arcsec^2
            Of a source, or of a surface.

        Returns
        -------
        float, electrons, or electrons / arcsec^2
            In all exposures together.
        """
        return magnitude_to_counts(magnitude, self.zero_point, self.total_exposure_time)

    def magnitude(self, counts: float) -> float:
        """Convert electrons into a magnitude.

        Parameters
        ----------
        counts : float, electrons, or electrons / arcsec^2
            In all exposures together.

        Returns
        -------
        float, AB magnitudes, or AB magnitudes / arcsec^2
            Of a source, or of a surface.

        Raises
        ------
        ConfigurationError
            If the counts are not positive.
        """
        return counts_to_magnitude(counts, self.zero_point, self.total_exposure_time)

    def noise_variance(self, images: Tensor) -> Tensor:
        """Compute the variance of `observe`, without rounding to ADU.

        Parameters
        ----------
        images : Tensor, shape (..., H, W), electrons
            Expected counts of the sources in each pixel.

        Returns
        -------
        Tensor, shape (..., H, W), electrons^2
            Sources, sky and read-out.
        """
        return images + self.background_rms**2

    def observe(
        self,
        images: Tensor,
        generator: torch.Generator,
        *,
        subtract_sky: bool = True,
        whole_adu: bool = False,
        normal_above: float = NORMAL_ABOVE,
        exposure_factor: Tensor | float = 1.0,
    ) -> Tensor:
        """Add the sky, count photons, read out, and subtract the mean sky.

        Parameters
        ----------
        images : Tensor, shape (..., H, W), electrons
            Expected counts of the sources in each pixel, behind the point-spread function;
            rounding errors of a Fourier transform below zero count as zero.
        generator : torch.Generator
            Source of chance, on the device of ``images``.
        subtract_sky : bool
            Subtract the expected sky.
        whole_adu : bool
            Round the sum of the exposures to the step of the read-out.
        normal_above : float, counts
            As for `darkarcs.instrument.draw_counts`, of sources and sky together.
        exposure_factor : Tensor or float, broadcast
            Length of each exposure in units of the instrument's: it lengthens the sky.

        Returns
        -------
        Tensor, shape (..., H, W), electrons
            Without gradient.

        Raises
        ------
        DataError
            If an expected count is not finite, or negative by more than rounding.
        """
        floor = -1e-5 * float(images.detach().abs().max()) if images.numel() else 0.0
        sky = self.sky_counts * exposure_factor
        expected = torch.where((images < 0) & (images >= floor), 0.0, images) + sky
        observed = draw_counts(expected, generator, normal_above=normal_above)
        rms = self.read_noise * math.sqrt(self.num_exposures)
        if rms > 0:
            observed = observed + draw_read_noise(observed, rms, generator)
        if whole_adu:
            observed = (observed / self.gain).round() * self.gain
        return observed - sky if subtract_sky else observed


def magnitude_to_counts(magnitude: float, zero_point: float, exposure_time: float) -> float:
    """Convert a magnitude into electrons.

    Parameters
    ----------
    magnitude, zero_point : float, AB magnitudes
        Of the source, and of one electron per second.
    exposure_time : float, seconds
        How long.

    Returns
    -------
    float, electrons
        Expected.

    Examples
    --------
    >>> round(magnitude_to_counts(20.0, 25.0, 10.0), 6)
    1000.0
    """
    return float(exposure_time * 10 ** (0.4 * (zero_point - magnitude)))


def counts_to_magnitude(counts: float, zero_point: float, exposure_time: float) -> float:
    """Convert electrons into a magnitude.

    Parameters
    ----------
    counts : float, electrons
        Positive.
    zero_point : float, AB magnitudes
        Of one electron per second.
    exposure_time : float, seconds
        How long.

    Returns
    -------
    float, AB magnitudes
        Of the source.

    Raises
    ------
    ConfigurationError
        If the counts are not positive.

    Examples
    --------
    >>> counts_to_magnitude(1000.0, 25.0, 10.0)
    20.0
    """
    if counts <= 0:
        raise ConfigurationError(f"{counts:g} counts have no magnitude: they must be positive")
    return zero_point - 2.5 * math.log10(counts / exposure_time)


def list_instruments() -> list[str]:
    """List the instruments that come with the package.

    Returns
    -------
    list of str
        Names for `load_instrument`.

    Examples
    --------
    >>> "hst-acs-f814w" in list_instruments()
    True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_instrument(name: str | Path) -> Instrument:
    """Load an instrument.

    Parameters
    ----------
    name : str or pathlib.Path
        A name from `list_instruments`, or the path of a YAML file with the same keys; a
        measured point-spread function there is found relative to that file.

    Returns
    -------
    Instrument
        Validated.

    Raises
    ------
    ConfigurationError
        If there is no such instrument, or the file is not valid.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in list_instruments():
            raise ConfigurationError(
                f"no instrument '{name}': {nearest(str(name), list_instruments())}"
            )
        path = _FOLDER / f"{name}.yaml"
    values = read_yaml(path)
    spread = values.get("point_spread")
    if isinstance(spread, dict) and isinstance(spread.get("path"), str):
        spread["path"] = str(path.parent / spread["path"])
    return Instrument.parse(values, str(name))
