"""Lensing room: mass profiles, one a file, and ray shooting.

A profile is a module of pure functions of torch tensors: `convergence`, `deflection` and
`potential` where they have a closed form. Angles are in arcsec, position angles in radians from
the x axis towards the y axis, deflections reduced: beta = theta - alpha(theta). Every argument
broadcasts against the coordinates: for a batch of B lenses on an image give the coordinates the
shape (H, W) and the parameters (B, 1, 1).

`darkarcs.lensing.cosmology` (distances, critical densities) loads astropy, so it is imported by
its own name only.
"""

from darkarcs.lensing import (
    elliptical_power_law,
    halo_masses,
    mass_sheet,
    multipole,
    point_mass,
    pseudo_jaffe,
    shear,
    sie,
    tnfw,
)
from darkarcs.lensing.multi_plane import multi_plane_ray_shooting, plane_scalings
from darkarcs.lensing.ray_shooting import image_grid, ray_shooting

__all__ = [
    "elliptical_power_law",
    "halo_masses",
    "image_grid",
    "mass_sheet",
    "multi_plane_ray_shooting",
    "multipole",
    "plane_scalings",
    "point_mass",
    "pseudo_jaffe",
    "ray_shooting",
    "shear",
    "sie",
    "tnfw",
]
