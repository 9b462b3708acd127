r"""Concentration, scale radius, truncation radius and total mass of subhalos.

Masses are m_200 of the halo as it fell in: the mass inside the radius r_200 within which the mean
density is 200 times the critical one, before tides truncate it.

References
----------
.. [1] Duffy et al. 2008, 0804.2486, table 1: c = A (m / 2e12 h^-1)^B (1 + z)^C, all halos,
   200 times critical; fitted for 1e11-1e15 h^-1 solar masses and z < 2. Subhalos are lighter, so
   this is an extrapolation: simulations of small halos give flatter and somewhat larger values.
.. [2] Gilman et al. 2020, 1908.06983: truncation radius, a Roche limit in an isothermal host.
.. [3] Baltz, Marshall & Oguri 2009, 0705.0682, appendix: total mass of the truncated profile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from darkarcs.configuration import Configuration


class DuffyConcentration(Configuration):
    """Concentration as a power law of mass and redshift, with log-normal scatter.

    Attributes
    ----------
    amplitude, mass_slope, redshift_slope : float
        A, B and C.
    pivot_mass : float, solar masses / h
        Where the amplitude holds.
    scatter : float, dex
        Standard deviation of log10 c; Duffy et al. find 0.15 for all halos, 0.11 for relaxed.

    Examples
    --------
    >>> DuffyConcentration().mean(1e8, redshift=0.5, hubble=0.7).round(2).item()
    11.17
    """

    amplitude: float = Field(5.71, gt=0)
    mass_slope: float = -0.084
    redshift_slope: float = -0.47
    pivot_mass: float = Field(2e12, gt=0)
    scatter: float = Field(0.15, ge=0)

    def mean(self, mass: ArrayLike, *, redshift: float, hubble: float) -> NDArray[np.float64]:
        """Compute the median concentration.

        Parameters
        ----------
        mass : array_like, solar masses
            m_200.
        redshift : float
            Of the halo.
        hubble : float
            Hubble constant in units of 100 km/s/Mpc.

        Returns
        -------
        ndarray
            r_200 over the scale radius.
        """
        ratio = np.asarray(mass, dtype=np.float64) * hubble / self.pivot_mass
        growth = (1 + redshift) ** self.redshift_slope
        return np.asarray(self.amplitude * ratio**self.mass_slope * growth)

    def draw(
        self, mass: ArrayLike, random: np.random.Generator, *, redshift: float, hubble: float
    ) -> NDArray[np.float64]:
        """Draw concentrations.

        Parameters
        ----------
        mass : array_like, shape (num,), solar masses
            m_200.
        random : numpy.random.Generator
            Source of chance.
        redshift, hubble : float
            As for `mean`.

        Returns
        -------
        ndarray, shape (num,)
            Log-normal about `mean`.
        """
        mean = self.mean(mass, redshift=redshift, hubble=hubble)
        return np.asarray(mean * 10 ** (self.scatter * random.standard_normal(mean.shape)))


def scale_radius(
    mass: ArrayLike, concentration: ArrayLike, *, critical_density: float
) -> NDArray[np.float64]:
    """Compute the scale radius of an NFW halo.

    Parameters
    ----------
    mass : array_like, solar masses
        m_200.
    concentration : array_like
        r_200 over the scale radius.
    critical_density : float, solar masses / kpc^3
        Of the universe at the halo's redshift.

    Returns
    -------
    ndarray, kpc
        r_200 / c.

    Examples
    --------
    >>> scale_radius(1e8, 10.0, critical_density=230.0).round(2).item()
    0.8
    """
    mass = np.asarray(mass, dtype=np.float64)
    radius = np.cbrt(3 * mass / (4 * np.pi * 200 * critical_density))
    return np.asarray(radius / np.asarray(concentration))


def truncation_radius(mass: ArrayLike, distance: ArrayLike) -> NDArray[np.float64]:
    """Compute where the tides of the host cut a subhalo off.

    Parameters
    ----------
    mass : array_like, solar masses
        m_200.
    distance : array_like, kpc
        From the centre of the host, in three dimensions.

    Returns
    -------
    ndarray, kpc
        1.4 (m / 1e7)^(1/3) (r / 50)^(2/3).

    Examples
    --------
    >>> truncation_radius(1e7, 50.0).item()
    1.4
    """
    mass, distance = np.asarray(mass, dtype=np.float64), np.asarray(distance, dtype=np.float64)
    return np.asarray(1.4 * np.cbrt(mass / 1e7) * np.cbrt(distance / 50.0) ** 2)


def truncated_mass(
    mass: ArrayLike, concentration: ArrayLike, truncation: ArrayLike
) -> NDArray[np.float64]:
    r"""Compute the total mass of a truncated NFW halo.

    The density is that of an NFW halo times t^2 / (t^2 + x^2), x and t in scale radii:

    .. math::
        m = \frac{m_{200}}{\ln(1 + c) - c / (1 + c)}
            \frac{t^2}{(t^2 + 1)^2} \left[(t^2 - 1) \ln t + \pi t - (t^2 + 1)\right].

    Parameters
    ----------
    mass : array_like, solar masses
        m_200 before truncation.
    concentration : array_like
        r_200 over the scale radius.
    truncation : array_like
        Truncation radius over the scale radius.

    Returns
    -------
    ndarray, solar masses
        What a mass-conserving lens has to give up; less than ``mass`` for strong truncation.

    Examples
    --------
    >>> f"{truncated_mass(1e8, 10.0, 2.0).item():.2e}"
    '3.61e+07'
    """
    mass, c = np.asarray(mass, dtype=np.float64), np.asarray(concentration, dtype=np.float64)
    t = np.asarray(truncation, dtype=np.float64)
    shape = t**2 / (t**2 + 1) ** 2 * ((t**2 - 1) * np.log(t) + np.pi * t - (t**2 + 1))
    return np.asarray(mass / (np.log1p(c) - c / (1 + c)) * shape)
