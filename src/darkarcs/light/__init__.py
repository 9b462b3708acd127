"""Light room: surface brightness of sources and lenses, one profile a file."""

from darkarcs.light import sersic

__all__ = ["sersic"]
