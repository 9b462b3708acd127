"""Light room: surface brightness of sources and lenses, one profile a file.

`darkarcs.light.galaxy_library` (reading and preparing images of real galaxies) loads astropy and
scipy, so it is imported by its own name only.
"""

from darkarcs.light import galaxy_images, sersic

__all__ = ["galaxy_images", "sersic"]
