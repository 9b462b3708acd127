r"""Distances, critical densities and Einstein radii, by astropy.

With D_l, D_s and D_ls the angular-diameter distances to the lens, to the source and between them,

.. math::
    \Sigma_{cr} = \frac{c^2}{4 \pi G} \frac{D_s}{D_l D_{ls}}, \qquad
    \theta_E = \sqrt{\frac{4 G M}{c^2} \frac{D_{ls}}{D_l D_s}}.

Everything is NumPy in float64 and takes arrays of redshifts; a model works on the numbers that
come out. D_ls is not D_s - D_l: the published simulator takes it so, with luminosity distances.

References
----------
.. [1] Schneider, Ehlers & Falco 1992, Gravitational Lenses.
.. [2] Hogg 1999, astro-ph/9905116 (distance measures).
"""

from __future__ import annotations

import numpy as np
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM
from numpy.typing import ArrayLike, NDArray

from darkarcs.errors import ConfigurationError

#: The one of the published simulator.
DEFAULT_COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3, Ob0=0.05)

_ARCSEC = float(units.arcsec.to(units.rad))


def _mass_length() -> float:
    """G M / c^2 of the sun in Mpc."""
    return float((constants.G * constants.M_sun / constants.c**2).to_value(units.Mpc))


def angular_diameter_distance(
    redshift: ArrayLike, *, cosmology: FlatLambdaCDM = DEFAULT_COSMOLOGY
) -> NDArray[np.float64]:
    """Compute the angular-diameter distance from us.

    Parameters
    ----------
    redshift : array_like of float
        Redshifts, 0 or above.
    cosmology : FlatLambdaCDM, default H0 = 70, Om0 = 0.3
        A flat universe.

    Returns
    -------
    ndarray of float64, same shape, Mpc
        The distance.

    Examples
    --------
    >>> print(f"{angular_diameter_distance(0.5):.1f}")
    1259.1
    """
    return np.asarray(cosmology.angular_diameter_distance(redshift).to_value(units.Mpc))


def distance_between(
    redshift_near: ArrayLike,
    redshift_far: ArrayLike,
    *,
    cosmology: FlatLambdaCDM = DEFAULT_COSMOLOGY,
) -> NDArray[np.float64]:
    """Compute the angular-diameter distance of something far seen from something near.

    Parameters
    ----------
    redshift_near, redshift_far : array_like of float, broadcast
        Redshifts; the second must not be below the first.
    cosmology : FlatLambdaCDM, default H0 = 70, Om0 = 0.3
        A flat universe.

    Returns
    -------
    ndarray of float64, broadcast shape, Mpc
        The distance.

    Raises
    ------
    ConfigurationError
        If the far redshift is the smaller one.

    Examples
    --------
    >>> print(f"{distance_between(0.5, 1.0):.1f}")
    707.6
    """
    near, far = np.broadcast_arrays(np.asarray(redshift_near), np.asarray(redshift_far))
    if (far < near).any():
        raise ConfigurationError("a source lies in front of its lens: give z_source above z_lens")
    # flat space: comoving distances add (astropy renamed its own function for this)
    comoving = [cosmology.comoving_distance(z).to_value(units.Mpc) for z in (near, far)]
    return np.asarray((comoving[1] - comoving[0]) / (1 + far))


def critical_surface_density(
    z_lens: ArrayLike, z_source: ArrayLike, *, cosmology: FlatLambdaCDM = DEFAULT_COSMOLOGY
) -> NDArray[np.float64]:
    """Compute the surface density that a convergence of one stands for.

    Parameters
    ----------
    z_lens, z_source : array_like of float, broadcast
        Redshifts of lens and source.
    cosmology : FlatLambdaCDM, default H0 = 70, Om0 = 0.3
        A flat universe.

    Returns
    -------
    ndarray of float64, broadcast shape, solar masses per arcsec^2
        The critical surface density.

    Raises
    ------
    ConfigurationError
        If a source does not lie behind its lens.

    Examples
    --------
    >>> print(f"{critical_surface_density(0.5, 1.0):.3g}")
    1.15e+11
    """
    to_lens, to_source, between = _lens_distances(z_lens, z_source, cosmology)
    per_mpc2 = to_source / (to_lens * between) / (4 * np.pi * _mass_length())
    return np.asarray(per_mpc2 * (to_lens * _ARCSEC) ** 2)


def einstein_radius(
    mass: ArrayLike,
    z_lens: ArrayLike,
    z_source: ArrayLike,
    *,
    cosmology: FlatLambdaCDM = DEFAULT_COSMOLOGY,
) -> NDArray[np.float64]:
    """Compute the Einstein radius of a mass.

    Parameters
    ----------
    mass : array_like of float, broadcast, solar masses
        Mass inside the Einstein radius; all of it for a point mass.
    z_lens, z_source : array_like of float, broadcast
        Redshifts of lens and source.
    cosmology : FlatLambdaCDM, default H0 = 70, Om0 = 0.3
        A flat universe.

    Returns
    -------
    ndarray of float64, broadcast shape, arcsec
        The Einstein radius.

    Raises
    ------
    ConfigurationError
        If a source does not lie behind its lens.

    Examples
    --------
    >>> print(f"{einstein_radius(1e12, 0.5, 1.0):.2f}")  # with luminosity distances 1.28
    1.66
    """
    to_lens, to_source, between = _lens_distances(z_lens, z_source, cosmology)
    squared = 4 * _mass_length() * np.asarray(mass) * between / (to_lens * to_source)
    return np.asarray(np.sqrt(squared) / _ARCSEC)


def critical_density(
    redshift: ArrayLike, *, cosmology: FlatLambdaCDM = DEFAULT_COSMOLOGY
) -> NDArray[np.float64]:
    """Compute the critical density of the universe, in physical volume.

    Parameters
    ----------
    redshift : array_like of float
        Redshifts, 0 or above.
    cosmology : FlatLambdaCDM, default H0 = 70, Om0 = 0.3
        A flat universe.

    Returns
    -------
    ndarray of float64, same shape, solar masses per Mpc^3
        The density 3 H^2 / (8 pi G).

    Examples
    --------
    >>> print(f"{critical_density(0.0):.4g}")
    1.36e+11
    """
    density = cosmology.critical_density(redshift).to_value(units.M_sun / units.Mpc**3)
    return np.asarray(density)


def plane_distances(
    z_planes: ArrayLike, z_source: float, *, cosmology: FlatLambdaCDM = DEFAULT_COSMOLOGY
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the distances that ray shooting through several planes needs.

    Parameters
    ----------
    z_planes : array_like of float, shape (P,)
        Redshifts of the lens planes, from near to far.
    z_source : float
        Redshift of the source.
    cosmology : FlatLambdaCDM, default H0 = 70, Om0 = 0.3
        A flat universe.

    Returns
    -------
    to_planes : ndarray of float64, shape (P + 1,), Mpc
        Angular-diameter distances from us, the source last.
    between : ndarray of float64, shape (P + 1, P + 1), Mpc
        Angular-diameter distance of plane j from plane i; zero for j <= i.

    Raises
    ------
    ConfigurationError
        If the redshifts are not in order, or the source is not behind all planes.

    Examples
    --------
    >>> to_planes, between = plane_distances([0.3, 0.5], 1.0)
    >>> to_planes.shape, between.shape, bool(between[1, 2] == distance_between(0.5, 1.0))
    ((3,), (3, 3), True)
    """
    redshifts = np.append(np.asarray(z_planes, dtype=np.float64), z_source)
    if (np.diff(redshifts) < 0).any() or (len(redshifts) > 1 and redshifts[-2] >= z_source):
        raise ConfigurationError(
            f"lens planes at {redshifts[:-1].tolist()} and a source at {z_source}: give planes "
            "from near to far and a source behind them"
        )
    between = np.zeros((len(redshifts), len(redshifts)))
    near, far = np.triu_indices(len(redshifts), k=1)
    between[near, far] = distance_between(redshifts[near], redshifts[far], cosmology=cosmology)
    return angular_diameter_distance(redshifts, cosmology=cosmology), between


def _lens_distances(
    z_lens: ArrayLike, z_source: ArrayLike, cosmology: FlatLambdaCDM
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    between = distance_between(z_lens, z_source, cosmology=cosmology)
    if (between == 0).any():
        raise ConfigurationError("a source lies in its lens's plane: give z_source above z_lens")
    to_lens = angular_diameter_distance(z_lens, cosmology=cosmology)
    return to_lens, angular_diameter_distance(z_source, cosmology=cosmology), between
