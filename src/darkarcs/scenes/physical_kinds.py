"""Substructure after nature, as a scene's ``classes`` may say it: subhalos and granules."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from darkarcs.configuration import Configuration
from darkarcs.scenes.distributions import Distribution, NotNegative, quantile
from darkarcs.scenes.hosts import Drawn, Host
from darkarcs.substructure import (
    DuffyConcentration,
    SubhaloMassFunction,
    SubhaloPopulation,
    UniformDisk,
    WarmDarkMatter,
    granules,
)
from darkarcs.substructure import Subhalos as DrawnSubhalos

#: One number a subhalo, by column.
Table = dict[str, NDArray[np.float64]]
#: Speed of light, km/s.
_LIGHT = 299792.458
_RADIANS_TO_ARCSEC = 180 * 3600 / np.pi
#: Subhalos drawn for each lens to learn which share of their mass its tides leave them, to 0.6 %.
_CALIBRATION_HALOS = 8192


class Subhalos(Configuration):
    """Truncated NFW subhalos of cold or warm dark matter.

    Attributes
    ----------
    kind : "subhalos"
        Which substructure this is.
    mass_fraction : Distribution
        Mean share of the lens's projected mass within ``max_radius`` that is bound in subhalos.
    min_mass, max_mass : float, solar masses
        Range of m_200 at infall. Lighter subhalos are left out: they hold 17 % of the mass per
        decade below the range's end and deflect too little to be seen.
    slope : float
        Of the mass function dN/dm.
    max_radius : float, Einstein radii
        Subhalos lie uniformly in a disk of this radius.
    half_depth : float, Einstein radii
        Half of the depth over which they are spread: it sets how far tides cut them.
    concentration : DuffyConcentration
        Mass-concentration relation.
    warm : WarmDarkMatter, optional
        Cut-off of warm dark matter.
    """

    kind: Literal["subhalos"] = "subhalos"
    mass_fraction: NotNegative
    min_mass: float = Field(1e7, gt=0)
    max_mass: float = Field(1e10, gt=0)
    slope: float = -1.9
    max_radius: float = Field(2.0, gt=0)
    half_depth: float = Field(10.0, ge=0)
    concentration: DuffyConcentration = DuffyConcentration()
    warm: WarmDarkMatter | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_mass >= self.max_mass:
            raise ValueError("min_mass must lie below max_mass")
        return self

    def draw_for(self, random: np.random.Generator, host: Host) -> Drawn:
        """Draw the subhalos of one lens.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.
        host : Host
            The lens.

        Returns
        -------
        Drawn
            ``subhalos``, and the mean fraction asked for.
        """
        fraction = quantile(self.mass_fraction, random.random(1)).item()
        # an isothermal lens holds pi Sigma_crit theta_E R inside the radius R
        disk = np.pi * host.critical_surface_density * host.einstein_radius**2 * self.max_radius
        columns = {"substructure.mean_fraction": fraction}
        if fraction <= 0:
            return Drawn(columns=columns)
        shape = SubhaloMassFunction(
            normalization=1.0, slope=self.slope, min_mass=self.min_mass, max_mass=self.max_mass
        )
        expected = shape.with_expected_mass(fraction * disk / _bound_share(self, host))
        halos = _draw(_population(self, expected), random, host)
        return Drawn(masses={"subhalos": table_of(halos, host)}, columns=columns)


class Granules(Configuration):
    """Granules of fuzzy dark matter, a Gaussian random field; see `darkarcs.substructure.granules`.

    Masses below 4.4e-21 eV are excluded (2302.10941), so a class whose granules show is a toy.

    Attributes
    ----------
    kind : "granules"
        Which substructure this is.
    log10_axion_mass : Distribution, log10 eV
        Of the particle.
    dark_fraction : Distribution
        Share of the lens's convergence that is dark matter.
    min_radius : float, Einstein radii
        The lens's density is taken no further in than this.
    """

    kind: Literal["granules"] = "granules"
    log10_axion_mass: Distribution
    dark_fraction: NotNegative = 0.5
    min_radius: float = Field(0.3, gt=0)

    def draw_for(self, random: np.random.Generator, host: Host) -> Drawn:
        """Draw the granules of one lens.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.
        host : Host
            The lens.

        Returns
        -------
        Drawn
            The field ``granules``, the axion's mass and the scale of the granules (arcsec).
        """
        shares = random.random(2)
        log10_mass = quantile(self.log10_axion_mass, shares[:1]).item()
        dark = quantile(self.dark_fraction, shares[1:]).item()
        # theta_E = 4 pi (sigma / c)^2 D_ls / D_s
        bend = host.einstein_radius / _RADIANS_TO_ARCSEC / host.distance_ratio
        dispersion = _LIGHT * np.sqrt(bend / (4 * np.pi))
        scale = granules.de_broglie_scale(10**log10_mass, dispersion) / host.kpc_per_arcsec
        axis = (np.arange(host.num_samples) - (host.num_samples - 1) / 2) * host.sample_scale
        radius = np.hypot(axis[:, None], axis[None, :])
        radius = np.maximum(radius, self.min_radius * host.einstein_radius)
        convergence = granules.draw_convergence(
            random,
            num=1,
            size=host.num_samples,
            pixel_scale=host.sample_scale,
            scale=scale,
            rms=granules.isothermal_rms(scale, radius, host.einstein_radius / 2 / radius, dark),
        )[0]
        columns = {"substructure.log10_axion_mass": log10_mass, "substructure.granule_scale": scale}
        return Drawn(fields={"granules": convergence}, columns=columns)


def table_of(halos: DrawnSubhalos, host: Host) -> Table:
    """Give subhalos the columns of `LensParameters.masses`, how strongly they deflect included.

    Parameters
    ----------
    halos : darkarcs.substructure.Subhalos, arrays of shape (S,)
        Of one lens.
    host : Host
        The lens.

    Returns
    -------
    dict of str to ndarray of shape (S,)
        The table ``subhalos``.
    """
    table = {
        name: getattr(halos, name)
        for name in (
            *("mass", "bound_mass", "x", "y"),
            *("concentration", "scale_radius", "truncation_radius"),
        )
    }
    inner = np.log1p(halos.concentration) - halos.concentration / (1 + halos.concentration)
    strength = (1 - np.log(2)) / (np.pi * host.critical_surface_density)
    table["scale_deflection"] = (
        host.mass_factor * strength * halos.mass / inner / halos.scale_radius
    )
    return table


def _population(settings: Subhalos, mass_function: SubhaloMassFunction) -> SubhaloPopulation:
    return SubhaloPopulation(
        mass_function=mass_function,
        positions=UniformDisk(max_radius=settings.max_radius, half_depth=settings.half_depth),
        concentration=settings.concentration,
        warm=settings.warm,
    )


def _draw(
    population: SubhaloPopulation,
    random: np.random.Generator,
    host: Host,
    num: int | None = None,
) -> DrawnSubhalos:
    return population.draw(
        random,
        einstein_radius=host.einstein_radius,
        kpc_per_arcsec=host.kpc_per_arcsec,
        redshift=host.redshift,
        hubble=host.hubble,
        critical_density=host.critical_density,
        num=num,
    )


def _bound_share(settings: Subhalos, host: Host) -> float:
    """Mean bound mass over mean mass at infall in this lens, losses to warmth included.

    Tides leave a third of its mass to a subhalo of a small, near lens and two thirds to that of
    a large, far one. Masses are drawn in proportion to themselves, so that their plain mean is
    the mean by mass; all lenses use the same draws, so that they differ by their tides only.
    """
    random = np.random.Generator(np.random.Philox(0))
    by_mass = SubhaloMassFunction(
        normalization=1.0,
        slope=settings.slope + 1,
        min_mass=settings.min_mass,
        max_mass=settings.max_mass,
    )
    warm = settings.warm
    survivors = 1.0
    if warm is not None:
        masses = by_mass.draw_masses(_CALIBRATION_HALOS, random)
        survivors = float(warm.suppression(masses).mean())
    halos = _draw(_population(settings, by_mass), random, host, num=_CALIBRATION_HALOS)
    return survivors * float((halos.bound_mass / halos.mass).mean())
