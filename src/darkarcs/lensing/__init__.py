"""Lensing room: mass profiles, one a file, and ray shooting.

A profile is a module of pure functions of torch tensors: `convergence`, `deflection` and
`potential` where they have a closed form. Angles are in arcsec, position angles in radians from
the x axis towards the y axis, deflections reduced: beta = theta - alpha(theta). Every argument
broadcasts against the coordinates: for a batch of B lenses on an image give the coordinates the
shape (H, W) and the parameters (B, 1, 1).
"""

from darkarcs.lensing import point_mass, shear, sie
from darkarcs.lensing.ray_shooting import image_grid, ray_shooting

__all__ = ["image_grid", "point_mass", "ray_shooting", "shear", "sie"]
