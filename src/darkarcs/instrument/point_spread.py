r"""Point-spread functions as convolution kernels: Gaussian, Moffat, or measured.

A kernel is odd-sided, centred and sums to one. With r the distance from the centre,

.. math::
    G = e^{-r^2 / (2 \sigma^2)}, \quad \sigma = \frac{FWHM}{2 \sqrt{2 \ln 2}}; \qquad
    M = \left(1 + \frac{r^2}{a^2}\right)^{-\beta}, \quad
    a = \frac{FWHM}{2 \sqrt{2^{1/\beta} - 1}}.

References
----------
.. [1] Moffat 1969, A&A 3, 455.
.. [2] Trujillo et al. 2001, astro-ph/0109067: beta = 4.765 for turbulence; IRAF's default is 2.5.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.instrument.measured_kernel import read_kernel

#: Full width at half maximum of a Gaussian over its standard deviation.
FWHM_OVER_SIGMA = math.sqrt(8 * math.log(2))


def gaussian_kernel(
    fwhm: float | Tensor,
    pixel_scale: float,
    *,
    size: int | None = None,
    truncation: float = 4.0,
    integrated: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Make Gaussian kernels.

    Sampled at the centres of pixels and cut off as ``scipy.ndimage.gaussian_filter`` and with it
    lenstronomy's ``GAUSSIAN`` do, or integrated over pixels.

    Parameters
    ----------
    fwhm : float or Tensor of shape (B,), arcsec
        Full width at half maximum; differentiable.
    pixel_scale : float, arcsec per pixel
        Of the kernel.
    size : int, optional
        Odd side; needed for a tensor, else from ``truncation``.
    truncation : float
        Half of the side in standard deviations, rounded to the nearest pixel.
    integrated : bool
        Integrate over pixels instead of sampling.
    dtype : torch.dtype, default float32
        Of the kernel.
    device : torch.device or str, default "cpu"
        Where it is.

    Returns
    -------
    Tensor, shape (size, size) or (B, size, size)
        Sums to one.

    Raises
    ------
    ConfigurationError
        If the width or the size is not possible.

    Examples
    --------
    >>> gaussian_kernel(0.2, 0.1).shape
    torch.Size([7, 7])
    """
    if size is None:
        if isinstance(fwhm, Tensor):
            raise ConfigurationError("a kernel for a tensor of widths needs its size")
        size = 2 * int(truncation * fwhm / FWHM_OVER_SIGMA / pixel_scale + 0.5) + 1
    width = torch.as_tensor(fwhm, dtype=dtype, device=device) / FWHM_OVER_SIGMA / pixel_scale
    if bool((width <= 0).any()):
        raise ConfigurationError("the width of a point-spread function must be positive")
    offset = _offsets(size, dtype, device)
    sigma = width[..., None]
    if integrated:
        edge = math.sqrt(0.5) / sigma
        line = torch.erf((offset + 0.5) * edge) - torch.erf((offset - 0.5) * edge)
    else:
        line = torch.exp(-((offset / sigma) ** 2) / 2)
    line = line / line.sum(-1, keepdim=True)
    return line[..., :, None] * line[..., None, :]


def moffat_kernel(
    fwhm: float | Tensor,
    beta: float | Tensor,
    pixel_scale: float,
    *,
    size: int,
    oversampling: int = 5,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Make Moffat kernels, averaged over pixels.

    Parameters
    ----------
    fwhm : float or Tensor of shape (B,), arcsec
        Full width at half maximum before averaging; differentiable.
    beta : float or Tensor of shape (B,)
        Exponent, above one.
    pixel_scale : float, arcsec per pixel
        Of the kernel.
    size : int
        Odd side; the wings fall slowly, so give ten widths or more.
    oversampling : int
        Samples along the side of a pixel; 1 samples its centre.
    dtype : torch.dtype, default float32
        Of the kernel.
    device : torch.device or str, default "cpu"
        Where it is.

    Returns
    -------
    Tensor, shape (size, size) or (B, size, size)
        Sums to one.

    Raises
    ------
    ConfigurationError
        If width, exponent or size is not possible.

    Examples
    --------
    >>> round(moffat_kernel(0.7, 3.0, 0.2, size=41).sum().item(), 5)
    1.0
    """
    width = torch.as_tensor(fwhm, dtype=dtype, device=device)
    power = torch.as_tensor(beta, dtype=dtype, device=device)
    if bool((width <= 0).any()) or bool((power <= 1).any()):
        raise ConfigurationError("a Moffat profile needs a positive width and beta above 1")
    core = width / (2 * torch.sqrt(2 ** (1 / power) - 1)) / pixel_scale
    _offsets(size, dtype, device)
    samples = torch.arange(size * oversampling, dtype=dtype, device=device)
    offset = (samples - (size * oversampling - 1) / 2) / oversampling
    squared = offset[:, None] ** 2 + offset[None, :] ** 2
    values = (1 + squared / core[..., None, None] ** 2) ** -power[..., None, None]
    blocks = values.reshape(*values.shape[:-2], size, oversampling, size, oversampling)
    kernel = blocks.mean(dim=(-3, -1))
    return kernel / kernel.sum(dim=(-2, -1), keepdim=True)


class GaussianPointSpread(Configuration):
    """A Gaussian point-spread function.

    Attributes
    ----------
    kind : "gaussian"
        Which profile this is.
    fwhm : float, arcsec
        Full width at half maximum.
    truncation : float, standard deviations
        Half of the kernel's side.
    """

    kind: Literal["gaussian"] = "gaussian"
    fwhm: float = Field(gt=0)
    truncation: float = Field(4.0, gt=0)

    def kernel(self, pixel_scale: float) -> Tensor:
        """Make the kernel.

        Parameters
        ----------
        pixel_scale : float, arcsec per pixel
            Of the image that is to be convolved.

        Returns
        -------
        Tensor, shape (odd, odd), float64
            Sampled at the centres of pixels; sums to one.
        """
        return gaussian_kernel(
            self.fwhm, pixel_scale, truncation=self.truncation, dtype=torch.float64
        )


class MoffatPointSpread(Configuration):
    """A Moffat point-spread function.

    Attributes
    ----------
    kind : "moffat"
        Which profile this is.
    fwhm : float, arcsec
        Full width at half maximum.
    beta : float
        Exponent.
    half_width : float, full widths
        Half of the kernel's side.
    """

    kind: Literal["moffat"] = "moffat"
    fwhm: float = Field(gt=0)
    beta: float = Field(3.0, gt=1)
    half_width: float = Field(5.0, gt=0)

    def kernel(self, pixel_scale: float) -> Tensor:
        """Make the kernel.

        Parameters
        ----------
        pixel_scale : float, arcsec per pixel
            Of the image that is to be convolved.

        Returns
        -------
        Tensor, shape (odd, odd), float64
            Averaged over pixels; sums to one.
        """
        size = 2 * math.ceil(self.half_width * self.fwhm / pixel_scale) + 1
        return moffat_kernel(self.fwhm, self.beta, pixel_scale, size=size, dtype=torch.float64)


class EmpiricalPointSpread(Configuration):
    """A measured point-spread function.

    Attributes
    ----------
    kind : "empirical"
        Which profile this is.
    path : pathlib.Path
        FITS file.
    pixel_scale : float, optional, arcsec per pixel
        Of the file; its keyword ``PIXELSCL`` by default.
    """

    kind: Literal["empirical"] = "empirical"
    path: Path
    pixel_scale: float | None = Field(None, gt=0)

    def kernel(self, pixel_scale: float) -> Tensor:
        """Make the kernel.

        Parameters
        ----------
        pixel_scale : float, arcsec per pixel
            Of the image that is to be convolved.

        Returns
        -------
        Tensor, shape (odd, odd), float64
            Sums to one.
        """
        kernel = read_kernel(self.path, from_scale=self.pixel_scale, to_scale=pixel_scale)
        return torch.from_numpy(kernel)


PointSpread = Annotated[
    GaussianPointSpread | MoffatPointSpread | EmpiricalPointSpread, Field(discriminator="kind")
]


def _offsets(size: int, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    if size < 1 or size % 2 == 0:
        raise ConfigurationError(f"the side of a kernel must be odd, not {size}")
    return torch.arange(size, dtype=dtype, device=device) - (size - 1) / 2
