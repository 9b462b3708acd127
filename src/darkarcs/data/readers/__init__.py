"""Readers of every layout that lens images come in: one file a format, found by looking."""

# Importing a format's file registers it.
from darkarcs.data.readers import fits, hdf5, numpy_archive, numpy_array, raster
from darkarcs.data.readers.decoding import FORMATS, BadFileError, Decoded, Format
from darkarcs.data.readers.opening import open

__all__ = [
    "FORMATS",
    "BadFileError",
    "Decoded",
    "Format",
    "fits",
    "hdf5",
    "numpy_archive",
    "numpy_array",
    "open",
    "raster",
]
