r"""How many subhalos of which mass: a power law, with exact integrals and draws.

With A the normalization, beta the slope and m_p the pivot mass,

.. math::
    \frac{dN}{dm} = \frac{A}{m_p} \left(\frac{m}{m_p}\right)^\beta, \qquad
    m_{min} \le m \le m_{max},

so A is the number of subhalos per unit of ln m at the pivot, in the area one asks about.

References
----------
.. [1] Springel et al. 2008, 0809.0898, section 4: slope -1.9.
.. [2] Gilman et al. 2020, 1908.06983, equation 4: the same form, per area.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from darkarcs.configuration import Configuration

#: Below this the power law's integral is a logarithm to the last bit.
_FLAT = 1e-12


class SubhaloMassFunction(Configuration):
    """A power law between two masses.

    Attributes
    ----------
    normalization : float
        Expected number of subhalos per unit of ln m at the pivot mass.
    slope : float
        Of dN/dm; nature's is about -1.9.
    pivot_mass : float, solar masses
        Where the normalization holds; it may lie outside the range.
    min_mass, max_mass : float, solar masses
        Range of the masses.

    Examples
    --------
    >>> nature = SubhaloMassFunction(normalization=2.0)
    >>> round(nature.expected_number())
    140
    >>> f"{nature.expected_mass():.1e}"
    '1.9e+09'
    """

    normalization: float = Field(gt=0)
    slope: float = -1.9
    pivot_mass: float = Field(1e8, gt=0)
    min_mass: float = Field(1e6, gt=0)
    max_mass: float = Field(1e10, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_mass >= self.max_mass:
            raise ValueError(f"min_mass {self.min_mass:g} must lie below max_mass")
        return self

    def number_density(self, mass: ArrayLike) -> NDArray[np.float64]:
        """Evaluate dN/dm.

        Parameters
        ----------
        mass : array_like, solar masses
            Where.

        Returns
        -------
        ndarray, 1 / solar mass
            Zero outside the range.
        """
        mass = np.asarray(mass, dtype=np.float64)
        inside = (mass >= self.min_mass) & (mass <= self.max_mass)
        safe = np.where(inside, mass, self.pivot_mass)
        density = self.normalization / self.pivot_mass * (safe / self.pivot_mass) ** self.slope
        return np.where(inside, density, 0.0)

    def expected_number(self, low: float | None = None, high: float | None = None) -> float:
        """Integrate dN/dm.

        Parameters
        ----------
        low, high : float, optional, solar masses
            A part of the range; the whole one by default.

        Returns
        -------
        float
            Mean number of subhalos.
        """
        return self._moment(0, low, high)

    def expected_mass(self, low: float | None = None, high: float | None = None) -> float:
        """Integrate m dN/dm.

        Parameters
        ----------
        low, high : float, optional, solar masses
            A part of the range; the whole one by default.

        Returns
        -------
        float, solar masses
            Mean mass in subhalos.
        """
        return self._moment(1, low, high)

    def with_expected_mass(self, mass: float) -> SubhaloMassFunction:
        """Rescale to a given mean mass in subhalos.

        Parameters
        ----------
        mass : float, solar masses
            For example a fraction of the lens's mass inside the area that is populated.

        Returns
        -------
        SubhaloMassFunction
            The same but for the normalization.

        Examples
        --------
        >>> light = SubhaloMassFunction(normalization=1.0).with_expected_mass(1e9)
        >>> f"{light.expected_mass():.6e}"
        '1.000000e+09'
        """
        values = self.model_dump()
        values["normalization"] *= mass / self.expected_mass()
        return SubhaloMassFunction.parse(values, "with_expected_mass")

    def cumulative(self, mass: ArrayLike) -> NDArray[np.float64]:
        """Compute the share of the subhalos that are lighter.

        Parameters
        ----------
        mass : array_like, solar masses
            Where.

        Returns
        -------
        ndarray
            From 0 at ``min_mass`` to 1 at ``max_mass``.
        """
        clipped = np.clip(np.asarray(mass, dtype=np.float64), self.min_mass, self.max_mass)
        exponent = self.slope + 1
        logs, whole = np.log(clipped / self.min_mass), math.log(self.max_mass / self.min_mass)
        if abs(exponent) < _FLAT:
            return np.asarray(logs / whole)
        return np.asarray(np.expm1(exponent * logs) / math.expm1(exponent * whole))

    def quantile(self, share: ArrayLike) -> NDArray[np.float64]:
        """Invert `cumulative`.

        Parameters
        ----------
        share : array_like
            Between 0 and 1.

        Returns
        -------
        ndarray, solar masses
            The mass below which that share of the subhalos lies.

        Examples
        --------
        >>> flat = SubhaloMassFunction(normalization=1.0, slope=-1.0)
        >>> f"{flat.quantile(0.5):.1e}"
        '1.0e+08'
        """
        share = np.asarray(share, dtype=np.float64)
        exponent = self.slope + 1
        whole = math.log(self.max_mass / self.min_mass)
        if abs(exponent) < _FLAT:
            logs = share * whole
        else:
            logs = np.log1p(share * math.expm1(exponent * whole)) / exponent
        return np.asarray(np.clip(self.min_mass * np.exp(logs), self.min_mass, self.max_mass))

    def draw_number(self, random: np.random.Generator) -> int:
        """Draw a Poisson number of subhalos.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.

        Returns
        -------
        int
            Its mean is `expected_number`.
        """
        return int(random.poisson(self.expected_number()))

    def draw_masses(self, num: int, random: np.random.Generator) -> NDArray[np.float64]:
        """Draw masses by the inverse of their distribution.

        Parameters
        ----------
        num : int
            How many.
        random : numpy.random.Generator
            Source of chance.

        Returns
        -------
        ndarray, shape (num,), solar masses
            Independent masses.
        """
        return self.quantile(random.random(num))

    def _moment(self, power: int, low: float | None, high: float | None) -> float:
        low = self.min_mass if low is None else max(low, self.min_mass)
        high = self.max_mass if high is None else min(high, self.max_mass)
        if low >= high:
            return 0.0
        exponent = self.slope + power + 1
        logs = math.log(high / low)
        width = logs if abs(exponent) < _FLAT else math.expm1(exponent * logs) / exponent
        start = (low / self.pivot_mass) ** exponent
        return float(self.normalization * self.pivot_mass**power * start * width)
