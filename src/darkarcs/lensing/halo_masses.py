r"""From the mass and concentration of a halo to its lensing parameters, and back.

``mass`` is M_200: that of the untruncated NFW profile inside the radius r_200 within which the
mean density is 200 times the critical density of the universe; ``concentration`` is
c = r_200 / r_s. With m(c) = ln(1 + c) - c / (1 + c) and M_0 = M_200 / m(c) = 4 pi rho_s r_s^3,

.. math::
    \alpha_s = 4 \kappa_s r_s (1 - \ln 2) = \frac{M_0 (1 - \ln 2)}{\pi r_s \Sigma_{cr}}, \qquad
    M = M_0 \frac{\tau^2}{(\tau^2 + 1)^2} \left[(\tau^2 - 1) \ln \tau + \pi \tau
    - (\tau^2 + 1)\right],

with r_s in arcsec and Sigma_cr in solar masses per square arcsec. What they need of cosmology
(`darkarcs.lensing.cosmology`) comes in as numbers.

References
----------
.. [1] Navarro, Frenk & White 1997, ApJ 490, 493.
.. [2] Baltz, Marshall & Oguri 2009, JCAP 01, 015 (arXiv 0705.0682), appendix A (the total mass).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Mean density inside r_200 over the critical density.
OVERDENSITY = 200.0

_RADIANS_TO_ARCSEC = 180 * 3600 / math.pi


def from_mass(
    mass: Tensor,
    concentration: Tensor | float,
    *,
    distance: Tensor | float,
    critical_density: Tensor | float,
    critical_surface_density: Tensor | float,
) -> tuple[Tensor, Tensor]:
    """Find the scale radius and scale deflection of a halo.

    Parameters
    ----------
    mass : Tensor, any shape, solar masses
        M_200; zero gives a scale radius of zero, which no profile takes.
    concentration : Tensor or float, broadcast
        r_200 over the scale radius.
    distance : Tensor or float, broadcast, Mpc
        Angular-diameter distance of the halo.
    critical_density : Tensor or float, broadcast, solar masses per Mpc^3
        Of the universe at the halo's redshift.
    critical_surface_density : Tensor or float, broadcast, solar masses per arcsec^2
        For the halo's and the source's redshift.

    Returns
    -------
    scale_radius, scale_deflection : Tensor, broadcast shape, arcsec
        As `darkarcs.lensing.tnfw` takes them.

    Examples
    --------
    >>> from darkarcs.lensing import cosmology
    >>> radius, angle = from_mass(
    ...     torch.tensor(1e9, dtype=torch.float64),
    ...     15.0,
    ...     distance=float(cosmology.angular_diameter_distance(0.5)),
    ...     critical_density=float(cosmology.critical_density(0.5)),
    ...     critical_surface_density=float(cosmology.critical_surface_density(0.5, 1.0)),
    ... )
    >>> round(radius.item(), 3), round(angle.item(), 4)
    (0.188, 0.0025)
    """
    volume = 3 * mass / (4 * math.pi * OVERDENSITY * critical_density)
    scale_radius = volume ** (1 / 3) / concentration / distance * _RADIANS_TO_ARCSEC
    characteristic = mass / enclosed_shape(torch.as_tensor(concentration, dtype=mass.dtype))
    strength = (1 - math.log(2)) / (math.pi * critical_surface_density)
    return scale_radius, strength * characteristic / scale_radius


def enclosed_shape(concentration: Tensor) -> Tensor:
    """Compute m(c) = ln(1 + c) - c / (1 + c).

    Parameters
    ----------
    concentration : Tensor, any shape
        Radius over the scale radius.

    Returns
    -------
    Tensor, same shape
        The NFW mass inside, in units of 4 pi rho_s r_s^3.

    Examples
    --------
    >>> round(enclosed_shape(torch.tensor(10.0)).item(), 4)
    1.4888
    """
    return torch.log1p(concentration) - concentration / (1 + concentration)


def total_mass(
    scale_radius: Tensor,
    scale_deflection: Tensor | float,
    truncation_radius: Tensor | float,
    *,
    critical_surface_density: Tensor | float,
) -> Tensor:
    """Compute the mass of a truncated halo out to infinity.

    Parameters
    ----------
    scale_radius : Tensor, any shape, arcsec
        As `darkarcs.lensing.tnfw` takes it.
    scale_deflection, truncation_radius : Tensor or float, broadcast, arcsec
        As `darkarcs.lensing.tnfw` takes them.
    critical_surface_density : Tensor or float, broadcast, solar masses per arcsec^2
        For the halo's and the source's redshift.

    Returns
    -------
    Tensor, broadcast shape, solar masses
        The mass; that inside a projected radius r is pi r alpha(r) times the critical density.

    Examples
    --------
    >>> mass = total_mass(torch.tensor(1.0), 0.1, 5.0, critical_surface_density=1e10)
    >>> f"{mass.item():.3g}"
    '1.07e+10'
    """
    tau = truncation_radius / scale_radius
    ratio = 1 / (tau**2 + 1)
    shape = (1 - 2 * ratio) * torch.log(tau) + math.pi * tau * ratio - 1
    characteristic = (
        math.pi * critical_surface_density * scale_radius * scale_deflection / (1 - math.log(2))
    )
    return characteristic * (1 - ratio) * shape
