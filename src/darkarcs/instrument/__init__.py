"""Instrument room: from surface brightness to what a detector reads.

Pixel grids with supersampling, point-spread functions and their convolution, instruments as data
files, and noise. An image is made so: evaluate the surface brightness on
``grid.coordinates()``, `convolve` with ``point_spread.kernel(grid.sample_scale)``, average with
``grid.average``, scale to electrons per pixel, then ``instrument.observe``.
"""

from darkarcs.instrument.convolution import convolve
from darkarcs.instrument.measured_kernel import read_kernel, resample_kernel
from darkarcs.instrument.noise import (
    NORMAL_ABOVE,
    draw_counts,
    draw_read_noise,
    normal_error_bound,
)
from darkarcs.instrument.pixel_grid import PixelGrid
from darkarcs.instrument.point_spread import (
    EmpiricalPointSpread,
    GaussianPointSpread,
    MoffatPointSpread,
    PointSpread,
    gaussian_kernel,
    moffat_kernel,
)
from darkarcs.instrument.telescope import (
    Instrument,
    counts_to_magnitude,
    list_instruments,
    load_instrument,
    magnitude_to_counts,
)

__all__ = [
    "NORMAL_ABOVE",
    "EmpiricalPointSpread",
    "GaussianPointSpread",
    "Instrument",
    "MoffatPointSpread",
    "PixelGrid",
    "PointSpread",
    "convolve",
    "counts_to_magnitude",
    "draw_counts",
    "draw_read_noise",
    "gaussian_kernel",
    "list_instruments",
    "load_instrument",
    "magnitude_to_counts",
    "moffat_kernel",
    "normal_error_bound",
    "read_kernel",
    "resample_kernel",
]
