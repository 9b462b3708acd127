r"""Truncated Navarro-Frenk-White halo.

The density in space is rho_s / (x (1 + x)^2) times tau^2 / (x^2 + tau^2), with x the radius and
tau the truncation radius in units of the scale radius r_s. With s = sqrt(tau^2 + x^2), now of the
projected radius, F the function of `nfw_shapes`, L = ln(x / (tau + s)) and kappa_s = rho_s r_s
over the critical surface density,

.. math::
    \kappa = \frac{2 \kappa_s \tau^2}{(\tau^2 + 1)^2} \left[\frac{\tau^2 + 1}{x^2 - 1} (1 - F)
    + 2 F - \frac{\pi}{s} + \frac{\tau^2 - 1}{\tau s} L \right], \\
    \alpha = \frac{4 \kappa_s r_s \tau^2}{x (\tau^2 + 1)^2} \left[(\tau^2 + 2 x^2 - 1) F
    + \pi \tau + (\tau^2 - 1) \ln \tau + s \left(\frac{\tau^2 - 1}{\tau} L - \pi\right)\right].

The code orders these by powers of x so that nothing cancels at small x or large tau; as tau grows
the profile becomes the plain NFW one. Like lenstronomy's ``TNFW`` the normalisation is the
deflection at the scale radius that the halo would have without truncation,
``scale_deflection`` = 4 kappa_s r_s (1 - ln 2); from a mass see `from_mass`.

References
----------
.. [1] Baltz, Marshall & Oguri 2009, JCAP 01, 015 (arXiv 0705.0682), appendix A.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.kernels import Method, misfit_of_masses, use_kernel
from darkarcs.lensing import nfw_shapes
from darkarcs.lensing.kernels.truncated_halos import is_tabulated, sum_truncated_halos
from darkarcs.lensing.special_functions import log1p_ratio
from darkarcs.lensing.summation import sum_in_chunks


def convergence(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    scale_radius: Tensor | float,
    scale_deflection: Tensor | float,
    truncation_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the convergence.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    scale_radius : Tensor or float, broadcast, arcsec
        Where the untruncated profile has a logarithmic slope of -2; above 0.
    scale_deflection : Tensor or float, broadcast, arcsec
        Deflection at the scale radius, the truncation neglected.
    truncation_radius : Tensor or float, broadcast, arcsec
        Above 0; about where the density starts to fall as the fifth power of the radius.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Position of the halo.

    Returns
    -------
    Tensor, shape (..., H, W)
        Surface mass density in units of the critical one; it grows as the logarithm towards the
        centre, where it is finite but arbitrary.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> halo = {"scale_radius": 1.0, "scale_deflection": 0.3, "truncation_radius": 1e6}
    >>> round(convergence(one, 0 * one, **halo).item(), 4)
    0.1629
    """
    x, tau = _scaled(theta_x - centre_x, theta_y - centre_y, scale_radius, truncation_radius)
    s, log = _truncation(x, tau)
    ratio = 1 / (tau**2 + 1)
    shape = (
        nfw_shapes.convergence_shape(x)
        + (2 * nfw_shapes.arc_ratio(x) - math.pi / s) * ratio
        + (1 - 2 * ratio) * log / (tau * s)
    )
    return 2 * _kappa_s(scale_radius, scale_deflection) * (1 - ratio) * shape


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    scale_radius: Tensor | float,
    scale_deflection: Tensor | float,
    truncation_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    scale_radius, scale_deflection, truncation_radius, centre_x, centre_y : Tensor or float
        As for `convergence`.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection; zero at the centre.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> halo = {"scale_radius": 1.0, "scale_deflection": 0.3, "truncation_radius": 1e6}
    >>> round(deflection(one, 0 * one, **halo)[0].item(), 4)
    0.3
    """
    offset_x, offset_y = theta_x - centre_x, theta_y - centre_y
    x, tau = _scaled(offset_x, offset_y, scale_radius, truncation_radius)
    s, log = _truncation(x, tau)
    ratio, reach = 1 / (tau**2 + 1), tau * (tau + s)
    truncated = log - log1p_ratio(x**2 / (2 * reach)) / 2
    shape = (1 - 2 * ratio) * (nfw_shapes.mass_shape(x) + truncated / reach)
    shape = shape + (2 * nfw_shapes.arc_ratio(x) - math.pi / (tau + s)) * ratio
    mean_convergence = 4 * _kappa_s(scale_radius, scale_deflection) * (1 - ratio) * shape
    return mean_convergence * offset_x, mean_convergence * offset_y


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    scale_radius: Tensor | float,
    scale_deflection: Tensor | float,
    truncation_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the lensing potential.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    scale_radius, scale_deflection, truncation_radius, centre_x, centre_y : Tensor or float
        As for `convergence`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, zero at the centre.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> halo = {"scale_radius": 1.0, "scale_deflection": 0.3, "truncation_radius": 1e6}
    >>> round(potential(one, 0 * one, **halo).item(), 4)
    0.2349
    """
    x, tau = _scaled(theta_x - centre_x, theta_y - centre_y, scale_radius, truncation_radius)
    s, log = _truncation(x, tau)
    ratio, reach = 1 / (tau**2 + 1), tau * (tau + s)
    step = torch.log1p(x**2 / (2 * reach))
    shape = nfw_shapes.potential_shape(x) - step * (2 * log + step + 2) + 2 * x**2 * log / reach
    wing = 2 * math.pi * (tau * step - x**2 / (tau + s))
    wing = wing + 4 * x**2 * (nfw_shapes.arc_ratio(x) - nfw_shapes.mass_shape(x))
    shape = (1 - ratio) * ((1 - 2 * ratio) * shape + ratio * wing)
    return 2 * _kappa_s(scale_radius, scale_deflection) * scale_radius**2 * shape


def total_deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    scale_radius: Tensor,
    scale_deflection: Tensor,
    truncation_radius: Tensor,
    centre_x: Tensor,
    centre_y: Tensor,
    method: Method = "auto",
) -> tuple[Tensor, Tensor]:
    """Sum the deflections of many halos, lens by lens.

    The array of all halos times all pixels is never made: the sum would be bound by memory.
    Where no derivative is asked for, a compiled kernel does it on the CPU, in float32 and on
    as many threads as torch uses (`darkarcs.lensing.kernels`).

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (H, W) or (B, H, W), arcsec
        Positions in the image plane.
    scale_radius, scale_deflection, truncation_radius : Tensor, shape (B, S), arcsec
        Of S halos in each of B lenses; a scale deflection of zero is no halo (its radii must be
        above 0 all the same).
    centre_x, centre_y : Tensor, shape (B, S), arcsec
        Their positions.
    method : "auto", "torch" or "kernel", default "auto"
        Plain torch, differentiable; the kernel, for truncations of 2^-7 to 2^20 scale radii; or
        the kernel wherever it does the same.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (B, H, W), arcsec
        The deflection of all halos.

    Raises
    ------
    ConfigurationError
        If the kernel is demanded and cannot do it.

    Examples
    --------
    >>> zero, one = torch.zeros(1, 1), torch.ones(1, 2)
    >>> halos = {"scale_radius": one, "scale_deflection": one, "truncation_radius": 1e6 * one}
    >>> alpha_x, _ = total_deflection(zero, zero, **halos, centre_x=-one, centre_y=0 * one)
    >>> round(alpha_x.item(), 4)
    2.0
    """
    halos = {
        "scale_radius": scale_radius,
        "scale_deflection": scale_deflection,
        "truncation_radius": truncation_radius,
        "centre_x": centre_x,
        "centre_y": centre_y,
    }
    misfit = misfit_of_masses(theta_x, theta_y, *halos.values())
    if use_kernel(method, (theta_x, theta_y, *halos.values()), misfit):
        if is_tabulated(theta_x, theta_y, **halos):
            return sum_truncated_halos(theta_x, theta_y, **halos, deflection=deflection)
        if method == "kernel":
            raise ConfigurationError("a halo is too small or too large for the kernel's table")
    return sum_in_chunks(deflection, theta_x, theta_y, halos)


def _scaled(
    x: Tensor, y: Tensor, scale_radius: Tensor | float, truncation_radius: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Radius (kept off zero, so that the centre has finite values) and truncation in r_s."""
    radius = (x**2 + y**2).clamp(min=torch.finfo(x.dtype).tiny).sqrt()
    tau = torch.as_tensor(truncation_radius, dtype=x.dtype, device=x.device) / scale_radius
    return radius / scale_radius, tau


def _truncation(x: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """s and L; far out L = -arsinh(tau / x) keeps the digits that the quotient loses."""
    s = (tau**2 + x**2).sqrt()
    far = x > tau
    outside = torch.asinh(tau / torch.where(far, x, tau))
    return s, torch.where(far, -outside, torch.log(x) - torch.log(tau + s))


def _kappa_s(scale_radius: Tensor | float, scale_deflection: Tensor | float) -> Tensor | float:
    return scale_deflection / (4 * scale_radius * (1 - math.log(2)))
