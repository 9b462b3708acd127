"""Substructure room: what makes a lens lumpy.

Subhalos of cold and warm dark matter, the populations of the published data sets with their
faults as switches, and granules of fuzzy dark matter. Everything is drawn from a NumPy generator
that is given; angles are in arcsec, masses in solar masses, and distances and critical densities
are arguments. The arrays are what `darkarcs.lensing` takes.
"""

from darkarcs.substructure import granules
from darkarcs.substructure.halo_structure import (
    DuffyConcentration,
    scale_radius,
    truncated_mass,
    truncation_radius,
)
from darkarcs.substructure.mass_conservation import (
    compensating_sheet,
    einstein_radius_of_mass,
    enclosed,
    smooth_einstein_radius,
)
from darkarcs.substructure.mass_function import SubhaloMassFunction
from darkarcs.substructure.population import SubhaloPopulation, Subhalos, stack
from darkarcs.substructure.positions import CoredNFW, UniformDisk
from darkarcs.substructure.published import (
    CondensateString,
    PointMasses,
    PublishedPointMasses,
    published_mass_factor,
)
from darkarcs.substructure.warm_dark_matter import WarmDarkMatter, half_mode_mass

__all__ = [
    "CondensateString",
    "CoredNFW",
    "DuffyConcentration",
    "PointMasses",
    "PublishedPointMasses",
    "SubhaloMassFunction",
    "SubhaloPopulation",
    "Subhalos",
    "UniformDisk",
    "WarmDarkMatter",
    "compensating_sheet",
    "einstein_radius_of_mass",
    "enclosed",
    "granules",
    "half_mode_mass",
    "published_mass_factor",
    "scale_radius",
    "smooth_einstein_radius",
    "stack",
    "truncated_mass",
    "truncation_radius",
]
