"""The substructure of the published data sets, each of its faults a named switch.

Read from DeepLenseSim (mwt5345/DeepLenseSim, ``deeplense/lens.py``). Every switch is off by
default: then the population is the published one. A switch that is on corrects one fault.
The axion class of these sets is a toy: a rod of point masses, where free vortices of fuzzy dark
matter are lines of zero density (2004.01188); see `darkarcs.substructure.granules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from darkarcs.configuration import Configuration
from darkarcs.substructure.mass_function import SubhaloMassFunction


@dataclass(frozen=True)
class PointMasses:
    """Point masses of one lens.

    Attributes
    ----------
    mass : ndarray, shape (S,), solar masses
        What the published code calls mass; see `published_mass_factor`.
    x, y : ndarray, shape (S,), arcsec
        Relative to the lens.
    parameters : dict of str to float
        What else was drawn.
    """

    mass: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    parameters: dict[str, float]


class PublishedPointMasses(Configuration):
    """Substructure of the published class ``cdm``.

    Attributes
    ----------
    num_masses : int
        How many.
    slope : float
        Of the published mass function dN/dm.
    min_mass, max_mass : float, solar masses
        Range of the masses.
    min_radius, max_radius : float, arcsec
        The published distance from the centre is uniform in this range.
    poisson_number : bool
        Draw a Poisson number about ``num_masses``; the published code draws it and uses the mean.
    natural_slope : bool
        Use the slope -1.9 that the papers name instead of the code's -0.9.
    uniform_area : bool
        Uniform per area instead of uniform in the distance from the centre.

    Examples
    --------
    >>> masses = PublishedPointMasses().draw(np.random.default_rng(0))
    >>> len(masses.mass)
    25
    """

    num_masses: int = Field(25, ge=0)
    slope: float = -0.9
    min_mass: float = Field(1e6, gt=0)
    max_mass: float = Field(1e10, gt=0)
    min_radius: float = Field(0.25, ge=0)
    max_radius: float = Field(2.0, gt=0)
    poisson_number: bool = False
    natural_slope: bool = False
    uniform_area: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_mass >= self.max_mass or self.min_radius >= self.max_radius:
            raise ValueError("a minimum must lie below its maximum")
        return self

    @property
    def mass_function(self) -> SubhaloMassFunction:
        """The distribution of the masses, normalized to their number.

        Returns
        -------
        SubhaloMassFunction
            With ``num_masses`` (at least one) expected.
        """
        slope = -1.9 if self.natural_slope else self.slope
        shape = SubhaloMassFunction(
            normalization=1.0, slope=slope, min_mass=self.min_mass, max_mass=self.max_mass
        )
        scale = max(self.num_masses, 1) / shape.expected_number()
        return shape.with_expected_mass(shape.expected_mass() * scale)

    def draw(self, random: np.random.Generator) -> PointMasses:
        """Draw the point masses of one lens.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.

        Returns
        -------
        PointMasses
            Without further parameters.
        """
        num = int(random.poisson(self.num_masses)) if self.poisson_number else self.num_masses
        mass = self.mass_function.draw_masses(num, random)
        share, angle = random.random(num), 2 * np.pi * random.random(num)
        low, high = self.min_radius, self.max_radius
        if self.uniform_area:
            radius = np.sqrt(low**2 + (high**2 - low**2) * share)
        else:
            radius = low + (high - low) * share
        # the published code takes the sine for x
        return PointMasses(mass, radius * np.sin(angle), radius * np.cos(angle), {})


class CondensateString(Configuration):
    """Substructure of the published class ``axion``: a straight rod of equal point masses.

    Attributes
    ----------
    total_mass : float, solar masses
        Of the whole rod.
    num_masses : int
        How many equal masses it is made of, ends included.
    reference_half_length : float, arcsec
        Half of its length for an axion of 1e-22 eV; the length goes as 1 / mass.
    min_log10_axion_mass, max_log10_axion_mass : float, log10 eV
        The axion's mass is log-uniform in this range.
    random_mass : bool
        Draw the total mass log-uniformly up to ``total_mass``; the published code fixes it.
    min_total_mass : float, solar masses
        Least mass then.
    random_position : bool
        Put the rod's middle anywhere in a disk; the published code puts it on the lens's centre.
    max_offset : float, arcsec
        Radius of that disk.

    Examples
    --------
    >>> rod = CondensateString().draw(np.random.default_rng(0))
    >>> len(rod.mass), f"{rod.mass.sum():.0e}"
    (100, '3e+10')
    """

    total_mass: float = Field(3e10, gt=0)
    num_masses: int = Field(100, ge=2)
    reference_half_length: float = Field(0.03, gt=0)
    min_log10_axion_mass: float = -24.0
    max_log10_axion_mass: float = -22.0
    random_mass: bool = False
    min_total_mass: float = Field(1e9, gt=0)
    random_position: bool = False
    max_offset: float = Field(1.5, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_log10_axion_mass > self.max_log10_axion_mass:
            raise ValueError("min_log10_axion_mass must not exceed max_log10_axion_mass")
        if self.random_mass and self.min_total_mass >= self.total_mass:
            raise ValueError("min_total_mass must lie below total_mass")
        return self

    def half_length(self, log10_axion_mass: float) -> float:
        """Compute half of the rod's length.

        Parameters
        ----------
        log10_axion_mass : float, log10 eV
            Of the axion.

        Returns
        -------
        float, arcsec
            0.03" / (m / 1e-22 eV) by default.
        """
        return self.reference_half_length * float(10 ** (-22.0 - log10_axion_mass))

    def draw(self, random: np.random.Generator) -> PointMasses:
        """Draw the rod of one lens; switches do not change the other draws.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.

        Returns
        -------
        PointMasses
            Parameters: log10_axion_mass, half_length (arcsec), angle (radians), total_mass.
        """
        units = random.random(5)
        low, high = self.min_log10_axion_mass, self.max_log10_axion_mass
        log10_axion_mass = float(low + (high - low) * units[0])
        angle = float(2 * np.pi * units[1])
        total = self.total_mass
        if self.random_mass:
            total = float(total * (self.min_total_mass / total) ** units[2])
        offset = self.max_offset * np.sqrt(units[3]) if self.random_position else 0.0
        towards = 2 * np.pi * units[4]
        half_length = self.half_length(log10_axion_mass)
        along = np.linspace(-half_length, half_length, self.num_masses)
        return PointMasses(
            mass=np.full(self.num_masses, total / self.num_masses),
            x=along * np.cos(angle) + offset * np.cos(towards),
            y=along * np.sin(angle) + offset * np.sin(towards),
            parameters={
                "log10_axion_mass": log10_axion_mass,
                "half_length": half_length,
                "angle": angle,
                "total_mass": total,
            },
        )


def published_mass_factor(
    *,
    z_lens: float,
    z_source: float,
    distance_lens: float,
    distance_source: float,
    distance_lens_source: float,
) -> float:
    """Compute how much weaker a mass acts in the published code than it should.

    The code converts masses into Einstein radii with luminosity distances, and takes their
    difference for the distance between lens and source. Multiply masses by this factor to
    reproduce it; leave them to correct it.

    Parameters
    ----------
    z_lens, z_source : float
        Redshifts.
    distance_lens, distance_source, distance_lens_source : float
        Angular-diameter distances, in one unit.

    Returns
    -------
    float
        The published square of an Einstein radius over the right one; 0.593 for redshifts 0.5
        and 1.0 in the published cosmology.
    """
    lens = (1 + z_lens) ** 2 * distance_lens
    source = (1 + z_source) ** 2 * distance_source
    right = distance_lens_source / (distance_lens * distance_source)
    return (source - lens) / (lens * source) / right
