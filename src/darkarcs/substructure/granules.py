r"""Granules of fuzzy dark matter: the interference of its waves, as a random convergence field.

In a halo of velocity dispersion sigma the wave function is a sum of many waves of random phase,
a complex Gaussian field whose correlation is exp(-r^2 / (2 lambda^2)), lambda = hbar / (m sigma).
Density is its squared modulus, so its fluctuations correlate as rho^2 exp(-r^2 / lambda^2).
Projected along a line of sight much longer than lambda,

.. math::
    \langle\delta\kappa(0)\,\delta\kappa(R)\rangle =
    \frac{\sqrt\pi \lambda}{\Sigma_{crit}^2} \int \rho^2\,dl \; e^{-R^2 / \lambda^2}, \qquad
    P(k) = \pi \lambda^2 \langle\delta\kappa^2\rangle e^{-\lambda^2 k^2 / 4}.

Many granules add up on each line of sight, so the projected field is close to Gaussian, and is
drawn as such. With the de Broglie wavelength h / (m sigma) = 2 pi lambda the variance reads
lambda_dB / (2 sqrt(pi)) times the integral.

Left out: the soliton in the halo's centre, the change of lambda along the line of sight, and what
is not Gaussian where the number of granules per line of sight, L / lambda, is small.

References
----------
.. [1] Chan et al. 2020, 2002.10473: granules and strong lenses.
.. [2] Kawai et al. 2022, 2109.04704: power spectrum of the projected granules.
.. [3] Powell et al. 2023, 2302.10941: the random field as a model of a lens;
   m > 4.4e-21 eV from one lens.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from darkarcs.errors import ConfigurationError

#: hbar c in eV kpc, and the speed of light in km/s.
_HBAR_C = 1.973269804e-7 / 3.0856775814913673e19
_LIGHT = 299792.458
#: Copies of the spectrum beyond the grid's own frequencies that are folded back into it.
_ALIASES = 24


def de_broglie_scale(axion_mass: float, velocity_dispersion: float) -> float:
    """Compute the correlation length of the granules.

    Parameters
    ----------
    axion_mass : float, eV
        Of the particle.
    velocity_dispersion : float, km/s
        In one dimension.

    Returns
    -------
    float, kpc
        hbar / (m sigma), which is the de Broglie wavelength over 2 pi.

    Examples
    --------
    >>> round(de_broglie_scale(1e-22, 200.0), 4)
    0.0959
    """
    return _HBAR_C / axion_mass * _LIGHT / velocity_dispersion


def convergence_variance(
    scale: ArrayLike, density_squared: ArrayLike, critical_surface_density: float
) -> NDArray[np.float64]:
    """Compute the variance of the convergence.

    Parameters
    ----------
    scale : array_like, kpc
        From `de_broglie_scale`.
    density_squared : array_like, solar masses^2 / kpc^5
        Integral of the square of the dark matter's density along the line of sight.
    critical_surface_density : float, solar masses / kpc^2
        Of the lens and source planes.

    Returns
    -------
    ndarray
        sqrt(pi) lambda / Sigma_crit^2 times the integral.
    """
    integral = np.asarray(scale) * np.asarray(density_squared, dtype=np.float64)
    return np.asarray(math.sqrt(math.pi) * integral / critical_surface_density**2)


def isothermal_rms(
    scale: ArrayLike, radius: ArrayLike, convergence: ArrayLike, dark_fraction: ArrayLike = 1.0
) -> NDArray[np.float64]:
    r"""Compute the root mean square of the convergence in an isothermal halo.

    There the integral of rho^2 is Sigma^2 / (2 pi R) at the projected radius R.

    Parameters
    ----------
    scale, radius : array_like, in one unit
        lambda, and the distance from the centre in projection.
    convergence : array_like
        Of the lens there: one half at the Einstein radius.
    dark_fraction : array_like
        Share of the convergence that is dark matter.

    Returns
    -------
    ndarray
        f kappa sqrt(lambda / (2 sqrt(pi) R)).

    Examples
    --------
    >>> isothermal_rms(0.096, 7.0, 0.5, 0.5).round(4).item()
    0.0155
    """
    ratio = np.asarray(scale, dtype=np.float64) / (2 * math.sqrt(math.pi) * np.asarray(radius))
    return np.asarray(np.asarray(dark_fraction) * np.asarray(convergence) * np.sqrt(ratio))


def draw_convergence(
    random: np.random.Generator,
    *,
    num: int,
    size: int,
    pixel_scale: float,
    scale: float,
    rms: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Draw convergence fields, averaged over pixels.

    Granules below the size of a pixel keep the variance that their mean over a pixel has.

    Parameters
    ----------
    random : numpy.random.Generator
        Source of chance.
    num : int
        How many fields.
    size : int, pixels
        Side of the fields.
    pixel_scale : float, arcsec per pixel
        Side of a pixel.
    scale : float, arcsec
        lambda; at most a quarter of the field.
    rms : float or ndarray, broadcast to (num, size, size)
        Root mean square before averaging over pixels; an array that varies slowly on the scale
        lambda follows the halo's profile.

    Returns
    -------
    ndarray, shape (num, size, size)
        Mean zero; not periodic.

    Raises
    ------
    ConfigurationError
        If the field is too small for the granules.
    """
    if not 0 < scale <= size * pixel_scale / 4:
        raise ConfigurationError(
            f"granules of {scale:g} arcsec in a field of {size * pixel_scale:g}: enlarge the field"
        )
    # opposite edges of the periodic field that is drawn stay five lengths apart after the cut
    drawn = size + math.ceil(5 * scale / pixel_scale)
    amplitude = np.sqrt(_spectrum(drawn, scale / pixel_scale))
    white = random.standard_normal((num, drawn, drawn))
    waves = np.fft.rfft2(white) * amplitude[:, None] * amplitude[None, : drawn // 2 + 1]
    field = np.fft.irfft2(waves, s=(drawn, drawn))
    return np.asarray(field[:, :size, :size] * rms)


def deflection(convergence: Tensor, pixel_scale: float) -> tuple[Tensor, Tensor]:
    """Compute the deflection of any convergence on a grid, and nothing outside it.

    Exact for convergence that is constant in each pixel: the kernel is the deflection of a
    square, and the transform is padded to twice the size. Differentiable.

    Parameters
    ----------
    convergence : Tensor, shape (..., N, N)
        On square pixels.
    pixel_scale : float, arcsec per pixel
        Side of a pixel.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., N, N), arcsec
        Reduced deflection at the centres of the pixels.

    Examples
    --------
    >>> mass = torch.zeros(5, 5, dtype=torch.float64)
    >>> mass[2, 0] = 1.0
    >>> alpha_x, alpha_y = deflection(mass, 0.1)
    >>> round(alpha_x[2, 4].item() / (0.1**2 / (torch.pi * 0.4)), 3)
    1.0
    """
    size = convergence.shape[-1]
    offset = np.fft.ifftshift(np.arange(-size, size)).astype(np.float64)
    kernel = torch.from_numpy(_square_deflection(offset[None, :], offset[:, None]))
    kernel = (kernel * pixel_scale).to(convergence)
    padded = (2 * size, 2 * size)
    spectrum = torch.fft.rfft2(convergence, s=padded)
    alpha_x = torch.fft.irfft2(spectrum * torch.fft.rfft2(kernel), s=padded)
    alpha_y = torch.fft.irfft2(spectrum * torch.fft.rfft2(kernel.mT.contiguous()), s=padded)
    return alpha_x[..., :size, :size], alpha_y[..., :size, :size]


def _square_deflection(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deflection along x, in pixels, of one pixel of convergence one, at whole offsets from it."""

    def primitive(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        # its mixed derivative is x / (x^2 + y^2)
        return np.asarray(y * np.log(x**2 + y**2) / 2 + x * np.arctan(y / x))

    right, left = np.asarray(x + 0.5), np.asarray(x - 0.5)
    top, bottom = np.asarray(y + 0.5), np.asarray(y - 0.5)
    corners = primitive(right, top) - primitive(left, top)
    corners = corners - primitive(right, bottom) + primitive(left, bottom)
    return np.asarray(corners / math.pi)


def _spectrum(size: int, scale: float) -> NDArray[np.float64]:
    """Power per mode of the pixel-averaged field of variance one along one axis, in pixels."""
    copies = np.arange(-_ALIASES, _ALIASES + 1)[:, None]
    frequency = np.fft.fftfreq(size)[None, :] + copies  # cycles per pixel
    power = math.sqrt(math.pi) * scale * np.exp(-((math.pi * scale * frequency) ** 2))
    return np.asarray(np.sum(power * np.sinc(frequency) ** 2, axis=0))
