r"""Warm dark matter: fewer light subhalos, and less concentrated ones.

The abundance relative to cold dark matter, with m_hm the half-mode mass, is

.. math::
    \frac{n_{WDM}}{n_{CDM}} = \left[1 + \left(b \frac{m_{hm}}{m}\right)^c\right]^{-d}.

It is at most one, so thinning a cold population (keep each subhalo with this probability) draws
from the warm one exactly, Poisson numbers included.

References
----------
.. [1] Lovell 2020, 2003.01125, abstract: for subhalos b = 4.2, c = 2.5, d = 0.2; for central
   halos b = 2.3, c = 0.8, d = 1.0; a scatter of 20 per cent either way.
.. [2] Bose et al. 2016, 1507.01998, equation 17: concentration.
.. [3] Gilman et al. 2020, 1908.06983: half-mode mass of a thermal relic, after Schneider et al.
   2012, 1112.0330.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.substructure.mass_function import SubhaloMassFunction

#: Rejection gives up after this many draws if fewer than one in a hundred thousand survived.
_MAX_DRAWS = 1_000_000


class WarmDarkMatter(Configuration):
    """Suppression of the mass function below the half-mode mass.

    Attributes
    ----------
    half_mode_mass : float, solar masses
        Where the transfer function of the density has fallen to one half.
    factor, exponent, power : float
        b, c and d of the formula; the default is Lovell's fit to subhalos.

    Examples
    --------
    >>> warm = WarmDarkMatter(half_mode_mass=1e8)
    >>> warm.suppression([1e7, 1e8, 1e10]).round(2).tolist()
    [0.15, 0.49, 1.0]
    """

    half_mode_mass: float = Field(gt=0)
    factor: float = Field(4.2, gt=0)
    exponent: float = Field(2.5, gt=0)
    power: float = Field(0.2, gt=0)

    def suppression(self, mass: ArrayLike) -> NDArray[np.float64]:
        """Compute the abundance relative to cold dark matter.

        Parameters
        ----------
        mass : array_like, solar masses
            Of the subhalos.

        Returns
        -------
        ndarray
            Between 0 and 1.
        """
        ratio = self.factor * self.half_mode_mass / np.asarray(mass, dtype=np.float64)
        return np.asarray((1 + ratio**self.exponent) ** -self.power)

    def survives(self, mass: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.bool_]:
        """Decide which subhalos of a cold population exist.

        Parameters
        ----------
        mass : ndarray, shape (num,), solar masses
            Drawn from the mass function of cold dark matter.
        random : numpy.random.Generator
            Source of chance; always ``num`` numbers are drawn.

        Returns
        -------
        ndarray of bool, shape (num,)
            True with the probability `suppression`.
        """
        survives: NDArray[np.bool_] = random.random(len(mass)) < self.suppression(mass)
        return survives

    def draw_masses(
        self, mass_function: SubhaloMassFunction, num: int, random: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw a given number of masses from the suppressed mass function, by rejection.

        Parameters
        ----------
        mass_function : SubhaloMassFunction
            That of cold dark matter.
        num : int
            How many.
        random : numpy.random.Generator
            Source of chance.

        Returns
        -------
        ndarray, shape (num,), solar masses
            Independent masses.

        Raises
        ------
        ConfigurationError
            If the suppression leaves practically nothing in the range.
        """
        kept: list[NDArray[np.float64]] = []
        found, tried = 0, 0
        while found < num:
            mass = mass_function.draw_masses(max(2 * (num - found), tried, 64), random)
            tried += len(mass)
            mass = mass[self.survives(mass, random)][: num - found]
            kept.append(mass)
            found += len(mass)
            if tried > _MAX_DRAWS and found < 1e-5 * tried:
                raise ConfigurationError(
                    f"half_mode_mass {self.half_mode_mass:g}: nearly no subhalo below "
                    f"{mass_function.max_mass:g} survives: raise max_mass or lower it"
                )
        return np.concatenate(kept) if kept else np.zeros(0)

    def concentration_ratio(self, mass: ArrayLike, redshift: float) -> NDArray[np.float64]:
        """Compute the concentration relative to cold dark matter, equation 17 of Bose et al.

        Parameters
        ----------
        mass : array_like, solar masses
            Of the subhalos.
        redshift : float
            Of the lens.

        Returns
        -------
        ndarray
            (1 + 60 m_hm / m)^-0.17 (1 + z)^(0.026 z - 0.04).
        """
        ratio = self.half_mode_mass / np.asarray(mass, dtype=np.float64)
        growth = (1 + redshift) ** (0.026 * redshift - 0.04)
        return np.asarray((1 + 60 * ratio) ** -0.17 * growth)


def half_mode_mass(particle_mass: float) -> float:
    """Convert the mass of a thermal relic into the half-mode mass.

    Parameters
    ----------
    particle_mass : float, keV
        Of the warm particle.

    Returns
    -------
    float, solar masses
        5e8 (m / 3 keV)^(-10/3).

    Examples
    --------
    >>> f"{half_mode_mass(3.0):.0e}"
    '5e+08'
    """
    return float(5e8 * (particle_mass / 3.0) ** (-10 / 3))
