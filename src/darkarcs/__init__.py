"""Reads the nature of dark matter from images of strong gravitational lenses.

The rooms of the package are imported one by one (``from darkarcs import data, models``); the
root itself imports nothing, so that the command line answers at once.
"""

__version__ = "0.1.0"
