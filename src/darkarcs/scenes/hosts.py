"""What substructure is drawn for, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Host:
    """The lens that substructure is drawn for.

    Attributes
    ----------
    einstein_radius : float, arcsec
        Of the lens.
    redshift, hubble : float
        Of the lens; Hubble constant in units of 100 km/s/Mpc.
    critical_surface_density : float, solar masses / arcsec^2
        Of lens and source.
    critical_density : float, solar masses / kpc^3
        Of the universe at the lens.
    kpc_per_arcsec : float
        Scale of the lens plane.
    distance_ratio : float
        D_ls / D_s.
    mass_factor : float
        What masses are multiplied by before they deflect.
    num_samples : int
        Side of the grid on which fields are drawn.
    sample_scale : float, arcsec
        Its step.
    """

    einstein_radius: float
    redshift: float
    hubble: float
    critical_surface_density: float
    critical_density: float
    kpc_per_arcsec: float
    distance_ratio: float
    mass_factor: float
    num_samples: int
    sample_scale: float


@dataclass(frozen=True)
class Drawn:
    """The substructure of one lens.

    Attributes
    ----------
    masses : dict of str to dict of str to ndarray of shape (S,)
        As in `LensParameters.masses`.
    fields : dict of str to ndarray of shape (N, N)
        As in `LensParameters.fields`.
    columns : dict of str to float
        What else was drawn.
    """

    masses: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    fields: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    columns: dict[str, float] = field(default_factory=dict)
