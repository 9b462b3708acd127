"""What redshifts mean for each lens of a batch: distances, densities, and the published faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.cosmology import FlatLambdaCDM
from numpy.typing import NDArray
from pydantic import Field

from darkarcs.configuration import Configuration
from darkarcs.lensing import cosmology
from darkarcs.substructure import published_mass_factor

_ARCSEC = np.pi / 180 / 3600
_KPC_PER_MPC = 1000.0


class CosmologySettings(Configuration):
    """A flat universe; the defaults are those of the published simulator.

    Attributes
    ----------
    hubble : float, km / s / Mpc
        Hubble constant.
    matter, baryons : float
        Densities today in units of the critical one.
    """

    hubble: float = Field(70.0, gt=0)
    matter: float = Field(0.3, gt=0, lt=1)
    baryons: float = Field(0.05, ge=0, lt=1)


class Faults(Configuration):
    """Faults of the published simulator that act on every deflection; all off by default.

    Attributes
    ----------
    luminosity_distances : bool
        Masses become Einstein radii by luminosity distances and their difference, which makes
        every mass act 0.593 times what it says (for redshifts 0.5 and 1).
    source_redshift_convention : float, optional
        Deflections are defined for a source of this redshift and scaled down to the one at hand;
        the published code defines them for 2.5 and means the source itself.
    """

    luminosity_distances: bool = False
    source_redshift_convention: float | None = Field(None, gt=0)


@dataclass(frozen=True)
class Geometry:
    """Numbers of B lenses that follow from their redshifts, each of shape (B,).

    Attributes
    ----------
    z_lens : ndarray
        Redshift of the lens.
    distance : ndarray, Mpc
        Angular-diameter distance to the lens.
    critical_surface_density : ndarray, solar masses / arcsec^2
        Of lens and source.
    critical_density : ndarray, solar masses / kpc^3
        Of the universe at the lens.
    distance_ratio : ndarray
        D_ls / D_s.
    mass_factor : ndarray
        What masses are multiplied by: 1, or the published fault.
    deflection_factor : ndarray
        What deflections are multiplied by: 1, or the published fault.
    """

    z_lens: NDArray[np.float64]
    distance: NDArray[np.float64]
    critical_surface_density: NDArray[np.float64]
    critical_density: NDArray[np.float64]
    distance_ratio: NDArray[np.float64]
    mass_factor: NDArray[np.float64]
    deflection_factor: NDArray[np.float64]

    @property
    def kpc_per_arcsec(self) -> NDArray[np.float64]:
        """The scale of the lens plane.

        Returns
        -------
        ndarray, shape (B,), kpc / arcsec
            Distance times angle.
        """
        return self.distance * _KPC_PER_MPC * _ARCSEC


def make_geometry(
    z_lens: NDArray[np.float64],
    z_source: NDArray[np.float64],
    settings: CosmologySettings,
    faults: Faults,
) -> Geometry:
    """Compute the geometry of a batch of lenses.

    Parameters
    ----------
    z_lens, z_source : ndarray, shape (B,)
        Redshifts.
    settings : CosmologySettings
        The universe.
    faults : Faults
        Which published faults to reproduce.

    Returns
    -------
    Geometry
        Of each lens.

    Raises
    ------
    ConfigurationError
        If a source does not lie behind its lens.

    Examples
    --------
    >>> one = np.ones(1)
    >>> lens = make_geometry(one / 2, one, CosmologySettings(), Faults(luminosity_distances=True))
    >>> lens.mass_factor.round(3).item()
    0.593
    """
    pairs, inverse = np.unique(np.stack([z_lens, z_source]), axis=1, return_inverse=True)
    near, far = pairs
    universe = FlatLambdaCDM(H0=settings.hubble, Om0=settings.matter, Ob0=settings.baryons)
    to_lens = cosmology.angular_diameter_distance(near, cosmology=universe)
    to_source = cosmology.angular_diameter_distance(far, cosmology=universe)
    between = cosmology.distance_between(near, far, cosmology=universe)
    density = cosmology.critical_surface_density(near, far, cosmology=universe)
    factor = np.ones_like(near)
    if faults.luminosity_distances:
        factor = np.array(
            [
                published_mass_factor(
                    z_lens=z[0],
                    z_source=z[1],
                    distance_lens=z[2],
                    distance_source=z[3],
                    distance_lens_source=z[4],
                )
                for z in zip(near, far, to_lens, to_source, between, strict=True)
            ]
        )
    reduction = np.ones_like(near)
    if faults.source_redshift_convention is not None:
        convention = np.full_like(near, faults.source_redshift_convention)
        beyond = cosmology.distance_between(near, convention, cosmology=universe)
        to_convention = cosmology.angular_diameter_distance(convention, cosmology=universe)
        reduction = (between / to_source) / (beyond / to_convention)
    columns = {
        "z_lens": near,
        "distance": to_lens,
        "critical_surface_density": density,
        "critical_density": cosmology.critical_density(near, cosmology=universe) / _KPC_PER_MPC**3,
        "distance_ratio": between / to_source,
        "mass_factor": factor,
        "deflection_factor": reduction,
    }
    inverse = inverse.reshape(-1)
    return Geometry(**{name: np.asarray(values)[inverse] for name, values in columns.items()})
