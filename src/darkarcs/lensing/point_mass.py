r"""Point mass, and its softened form, the Plummer lens.

With d the distance from the mass, theta_E its Einstein radius and s the softening,

.. math::
    \alpha = \theta_E^2 \frac{d}{d^2 + s^2}, \qquad
    \kappa = \theta_E^2 \frac{s^2}{(d^2 + s^2)^2}, \qquad
    \psi = \frac{\theta_E^2}{2} \ln (d^2 + s^2).

The total mass is that inside theta_E of a uniform sheet of critical density, whatever s; the
share s^2 / (d^2 + s^2) of it lies beyond d. Several masses at once: see `total_deflection`.

References
----------
.. [1] Schneider, Ehlers & Falco 1992, Gravitational Lenses, sections 8.1.2 and 8.1.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from darkarcs.kernels import Method, misfit_of_masses, use_kernel
from darkarcs.lensing.kernels.point_masses import sum_point_masses
from darkarcs.lensing.summation import sum_in_chunks


def convergence(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    softening: Tensor | float = 0.0,
) -> Tensor:
    """Compute the convergence.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius : Tensor or float, broadcast, arcsec
        Of the mass alone.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Position of the mass.
    softening : Tensor or float, broadcast, arcsec
        Radius that holds half of the mass; without it the convergence is zero off the centre.

    Returns
    -------
    Tensor, shape (..., H, W)
        Surface mass density in units of the critical one.

    Examples
    --------
    >>> zero = torch.zeros(1)
    >>> convergence(zero, zero, einstein_radius=1.0, softening=0.5).item()
    4.0
    """
    squared = _squared_distance(theta_x - centre_x, theta_y - centre_y, softening)
    return einstein_radius**2 * softening**2 / squared**2


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    softening: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius, centre_x, centre_y, softening : Tensor or float
        As for `convergence`.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection; zero at the centre itself.

    Examples
    --------
    >>> alpha_x, _ = deflection(torch.tensor(2.0), torch.tensor(0.0), einstein_radius=1.0)
    >>> alpha_x.item()
    0.5
    """
    x, y = theta_x - centre_x, theta_y - centre_y
    ratio = einstein_radius**2 / _squared_distance(x, y, softening)
    return ratio * x, ratio * y


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    softening: Tensor | float = 0.0,
) -> Tensor:
    """Compute the lensing potential.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius, centre_x, centre_y, softening : Tensor or float
        As for `convergence`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, zero at one arcsec from an unsoftened mass.

    Examples
    --------
    >>> potential(torch.tensor(1.0), torch.tensor(0.0), einstein_radius=2.0).item()
    0.0
    """
    squared = _squared_distance(theta_x - centre_x, theta_y - centre_y, softening)
    return einstein_radius**2 / 2 * torch.log(squared)


def total_deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor,
    centre_x: Tensor,
    centre_y: Tensor,
    softening: Tensor | float = 0.0,
    method: Method = "auto",
) -> tuple[Tensor, Tensor]:
    """Sum the deflections of many masses, lens by lens.

    The array of all masses times all pixels is never made: the sum would be bound by memory.
    Where no derivative is asked for, a compiled kernel does it on the CPU, in float32 and on
    as many threads as torch uses (`darkarcs.lensing.kernels`).

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (H, W) or (B, H, W), arcsec
        Positions in the image plane.
    einstein_radius, centre_x, centre_y : Tensor, shape (B, S), arcsec
        Of S masses in each of B lenses; an Einstein radius of zero is no mass.
    softening : Tensor or float, broadcast to (B, S), arcsec
        As for `convergence`.
    method : "auto", "torch" or "kernel", default "auto"
        Plain torch, differentiable; the kernel; or the kernel wherever it does the same.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (B, H, W), arcsec
        The deflection of all masses.

    Raises
    ------
    ConfigurationError
        If the kernel is demanded and cannot do it.

    Examples
    --------
    >>> zero = torch.zeros(1, 1)
    >>> radius = torch.ones(1, 2)
    >>> alpha_x, _ = total_deflection(
    ...     zero, zero, einstein_radius=radius, centre_x=2 * radius, centre_y=0 * radius
    ... )
    >>> alpha_x.item()
    -1.0
    """
    softened = torch.as_tensor(softening, dtype=theta_x.dtype, device=theta_x.device)
    masses = {
        "einstein_radius": einstein_radius,
        "centre_x": centre_x,
        "centre_y": centre_y,
        "softening": softened.expand(einstein_radius.shape),
    }
    misfit = misfit_of_masses(theta_x, theta_y, *masses.values())
    if use_kernel(method, (theta_x, theta_y, *masses.values()), misfit):
        return sum_point_masses(theta_x, theta_y, **masses)
    return sum_in_chunks(deflection, theta_x, theta_y, masses)


def _squared_distance(x: Tensor, y: Tensor, softening: Tensor | float) -> Tensor:
    """d^2 + s^2, kept off zero so that the centre has a finite value and gradient."""
    return (x**2 + y**2 + softening**2).clamp(min=torch.finfo(x.dtype).tiny)
