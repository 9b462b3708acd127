r"""Taking from the smooth lens what the substructure brings, so that the ring keeps its size.

Masses are in units of pi times the critical surface density times arcsec^2: there a mass is the
square of its own Einstein radius, theta_E^2 = m / (pi Sigma_crit).

An ellipsoid whose convergence falls as radius to the power 1 - gamma (gamma = 2: isothermal), of
circularised Einstein radius t, holds the mass t^(gamma - 1) R^(3 - gamma) inside the ellipse of
its own shape whose axes have the geometric mean R. Replacing a mass s inside the ellipse of the
full lens, R = theta_E, therefore asks for

.. math:: t = \theta_E \left(1 - s / \theta_E^2\right)^{1 / (\gamma - 1)}.

That is exact, for every axis ratio, as long as shape and slope stay; only the mass inside the
ellipse is held, not where in it the mass lies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkarcs.errors import ConfigurationError


def einstein_radius_of_mass(
    mass: ArrayLike, critical_surface_density: float
) -> NDArray[np.float64]:
    """Convert masses into the Einstein radii they have alone.

    Parameters
    ----------
    mass : array_like, solar masses
        Total masses.
    critical_surface_density : float, solar masses / arcsec^2
        Of the lens and source planes.

    Returns
    -------
    ndarray, arcsec
        sqrt(m / (pi Sigma_crit)).

    Examples
    --------
    >>> einstein_radius_of_mass(4 * np.pi * 1e10, 1e10).item()
    2.0
    """
    mass = np.asarray(mass, dtype=np.float64)
    return np.asarray(np.sqrt(mass / (np.pi * critical_surface_density)))


def enclosed(
    mass: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    *,
    einstein_radius: ArrayLike,
    axis_ratio: ArrayLike = 1.0,
    position_angle: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Sum the masses whose centres lie inside the lens's critical ellipse.

    Parameters
    ----------
    mass : array_like, shape (..., S)
        Of compact subhalos, in any unit.
    x, y : array_like, shape (..., S), arcsec
        Relative to the lens.
    einstein_radius : array_like, shape (...), arcsec
        Of the full lens, circularised.
    axis_ratio : array_like, shape (...)
        Of the lens.
    position_angle : array_like, shape (...), radians
        Of the lens's major axis, from x towards y.

    Returns
    -------
    ndarray, shape (...)
        In the unit of ``mass``.

    Examples
    --------
    >>> enclosed([1.0, 2.0], [0.5, 1.5], [0.0, 0.0], einstein_radius=1.0).item()
    1.0
    """
    angle = np.asarray(position_angle, dtype=np.float64)[..., None]
    ratio = np.asarray(axis_ratio, dtype=np.float64)[..., None]
    radius = np.asarray(einstein_radius, dtype=np.float64)[..., None]
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    inside = ratio * along**2 + across**2 / ratio <= radius**2
    return np.asarray(np.sum(np.where(inside, mass, 0.0), axis=-1))


def smooth_einstein_radius(
    einstein_radius: ArrayLike, enclosed_mass: ArrayLike, slope: ArrayLike = 2.0
) -> NDArray[np.float64]:
    """Compute the Einstein radius of a smooth lens that makes room for substructure.

    Parameters
    ----------
    einstein_radius : array_like, arcsec
        Of the lens with its substructure.
    enclosed_mass : array_like, arcsec^2
        Substructure inside the critical ellipse: the sum of the squares of the Einstein radii
        there, from `enclosed`.
    slope : array_like
        gamma of the three-dimensional density; 2 is isothermal.

    Returns
    -------
    ndarray, arcsec
        For an isothermal lens theta_E - s / theta_E.

    Raises
    ------
    ConfigurationError
        If the substructure is as heavy as the lens.

    Examples
    --------
    >>> smooth_einstein_radius(1.0, 0.01).item()
    0.99
    """
    radius = np.asarray(einstein_radius, dtype=np.float64)
    remaining = 1 - np.asarray(enclosed_mass, dtype=np.float64) / radius**2
    if np.any(remaining <= 0):
        raise ConfigurationError(
            "the substructure inside the Einstein radius outweighs the lens: lower its mass"
        )
    return np.asarray(radius * remaining ** (1 / (np.asarray(slope) - 1)))


def compensating_sheet(expected_mass: float, area: float, critical_surface_density: float) -> float:
    """Compute the negative mass sheet that keeps the mean convergence.

    The alternative to shrinking the lens where halos are spread evenly over a wide field, as
    those along the line of sight are: the sheet takes their mean away everywhere.

    Parameters
    ----------
    expected_mass : float, solar masses
        Mean mass of the population, not that of one draw.
    area : float, arcsec^2
        Over which it is spread.
    critical_surface_density : float, solar masses / arcsec^2
        Of the lens and source planes.

    Returns
    -------
    float
        Convergence, at most zero.

    Examples
    --------
    >>> compensating_sheet(1e9, 10.0, 1e10)
    -0.01
    """
    return -expected_mass / area / critical_surface_density
