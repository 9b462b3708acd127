"""A population of subhalos: how many, how heavy, where, how concentrated, how truncated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from darkarcs.configuration import Configuration
from darkarcs.substructure.halo_structure import (
    DuffyConcentration,
    scale_radius,
    truncated_mass,
    truncation_radius,
)
from darkarcs.substructure.mass_function import SubhaloMassFunction
from darkarcs.substructure.positions import PositionDistribution, UniformDisk
from darkarcs.substructure.warm_dark_matter import WarmDarkMatter


@dataclass(frozen=True)
class Subhalos:
    """Subhalos of one lens, or of a batch of lenses padded to one number.

    Attributes
    ----------
    mass : ndarray, shape (..., S), solar masses
        m_200 at infall; zero is padding.
    x, y, z : ndarray, shape (..., S), arcsec
        Relative to the lens, z along the line of sight.
    concentration : ndarray, shape (..., S)
        r_200 over the scale radius.
    scale_radius, truncation_radius : ndarray, shape (..., S), arcsec
        Of the truncated NFW profile.
    bound_mass : ndarray, shape (..., S), solar masses
        Total mass of the truncated profile.
    """

    mass: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    concentration: NDArray[np.float64]
    scale_radius: NDArray[np.float64]
    truncation_radius: NDArray[np.float64]
    bound_mass: NDArray[np.float64]


class SubhaloPopulation(Configuration):
    """What to draw the subhalos of a lens from.

    Attributes
    ----------
    mass_function : SubhaloMassFunction
        That of cold dark matter.
    positions : UniformDisk or CoredNFW
        Spatial distribution.
    concentration : DuffyConcentration
        Mass-concentration relation.
    warm : WarmDarkMatter, optional
        Cut-off and lower concentrations.

    Examples
    --------
    >>> population = SubhaloPopulation.parse(
    ...     {"mass_function": {"normalization": 0.5, "min_mass": 1e7}}, "example"
    ... )
    >>> lens = {"einstein_radius": 1.2, "kpc_per_arcsec": 6.1, "redshift": 0.5}
    >>> halos = population.draw(
    ...     np.random.default_rng(1), **lens, hubble=0.7, critical_density=230.0
    ... )
    >>> halos.mass.shape == halos.x.shape
    True
    """

    mass_function: SubhaloMassFunction
    positions: PositionDistribution = UniformDisk()
    concentration: DuffyConcentration = DuffyConcentration()
    warm: WarmDarkMatter | None = None

    def draw(
        self,
        random: np.random.Generator,
        *,
        einstein_radius: float,
        kpc_per_arcsec: float,
        redshift: float,
        hubble: float,
        critical_density: float,
        num: int | None = None,
    ) -> Subhalos:
        """Draw the subhalos of one lens.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.
        einstein_radius : float, arcsec
            Of the lens.
        kpc_per_arcsec : float
            The scale of the lens plane.
        redshift : float
            Of the lens.
        hubble : float
            Hubble constant in units of 100 km/s/Mpc.
        critical_density : float, solar masses / kpc^3
            Of the universe at the lens.
        num : int, optional
            How many; Poisson about the mass function's integral by default.

        Returns
        -------
        Subhalos
            Arrays of one dimension.
        """
        mass = self._draw_masses(random, num)
        x, y, z = self.positions.draw(
            len(mass), random, einstein_radius=einstein_radius, kpc_per_arcsec=kpc_per_arcsec
        )
        return with_structure(
            mass,
            x,
            y,
            z,
            random,
            concentration=self.concentration,
            warm=self.warm,
            kpc_per_arcsec=kpc_per_arcsec,
            redshift=redshift,
            hubble=hubble,
            critical_density=critical_density,
        )

    def _draw_masses(self, random: np.random.Generator, num: int | None) -> NDArray[np.float64]:
        if num is not None and self.warm is not None:
            return self.warm.draw_masses(self.mass_function, num, random)
        number = self.mass_function.draw_number(random) if num is None else num
        mass = self.mass_function.draw_masses(number, random)
        return mass if self.warm is None else mass[self.warm.survives(mass, random)]


def with_structure(
    mass: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    random: np.random.Generator,
    *,
    concentration: DuffyConcentration,
    warm: WarmDarkMatter | None = None,
    kpc_per_arcsec: float,
    redshift: float,
    hubble: float,
    critical_density: float,
) -> Subhalos:
    """Give subhalos of known masses and places their concentrations, radii and bound masses.

    Parameters
    ----------
    mass : ndarray, shape (S,), solar masses
        m_200 at infall.
    x, y, z : ndarray, shape (S,), arcsec
        Relative to the lens, z along the line of sight.
    random : numpy.random.Generator
        Source of the concentrations' scatter.
    concentration : DuffyConcentration
        Mass-concentration relation.
    warm : WarmDarkMatter, optional
        Lowers the concentrations.
    kpc_per_arcsec, redshift, hubble, critical_density : float
        As for `SubhaloPopulation.draw`.

    Returns
    -------
    Subhalos
        Arrays of shape (S,).

    Examples
    --------
    >>> place = (np.array([1.0]), np.zeros(1), np.array([5.0]))
    >>> lens = {"kpc_per_arcsec": 6.1, "redshift": 0.5, "hubble": 0.7, "critical_density": 230.0}
    >>> halos = with_structure(
    ...     np.array([1e9]),
    ...     *place,
    ...     np.random.default_rng(1),
    ...     concentration=DuffyConcentration(scatter=0.0),
    ...     **lens,
    ... )
    >>> halos.concentration.round(2).tolist(), (halos.bound_mass / halos.mass).round(2).tolist()
    ([9.21], [0.46])
    """
    ratio = concentration.draw(mass, random, redshift=redshift, hubble=hubble)
    if warm is not None:
        ratio = ratio * warm.concentration_ratio(mass, redshift)
    scale = scale_radius(mass, ratio, critical_density=critical_density)
    distance = np.sqrt(x**2 + y**2 + z**2) * kpc_per_arcsec
    truncation = truncation_radius(mass, distance)
    return Subhalos(
        mass=mass,
        x=x,
        y=y,
        z=z,
        concentration=ratio,
        scale_radius=scale / kpc_per_arcsec,
        truncation_radius=truncation / kpc_per_arcsec,
        bound_mass=truncated_mass(mass, ratio, truncation / scale),
    )


def stack(populations: Sequence[Subhalos]) -> Subhalos:
    """Put the subhalos of several lenses into one batch.

    Parameters
    ----------
    populations : sequence of Subhalos
        Of one lens each.

    Returns
    -------
    Subhalos
        Arrays of shape (lenses, largest number); the padding has no mass and radii of one,
        so that every profile stays finite there.
    """
    width = max((len(halos.mass) for halos in populations), default=0)
    columns = {}
    for field in fields(Subhalos):
        is_radius = field.name in ("concentration", "scale_radius", "truncation_radius")
        column = np.full((len(populations), width), 1.0 if is_radius else 0.0)
        for row, halos in enumerate(populations):
            values = getattr(halos, field.name)
            column[row, : len(values)] = values
        columns[field.name] = column
    return Subhalos(**columns)
