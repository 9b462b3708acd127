"""Loops compiled for the CPU: when to take them, compiling them, sharing them out over threads.

What a loop computes stands beside its reference in plain torch: `darkarcs.lensing.kernels`,
`darkarcs.light.sersic_kernel`, `darkarcs.instrument.separable_convolution`. They are forward only;
numba is imported when one of them is first called.
"""

from darkarcs.kernels.choice import Method, use_kernel
from darkarcs.kernels.compilation import compiled, inlined
from darkarcs.kernels.layout import (
    misfit_of_masses,
    misfit_of_profile,
    run_over_images,
    run_profile,
)
from darkarcs.kernels.threads import run_in_parts

__all__ = [
    "Method",
    "compiled",
    "inlined",
    "misfit_of_masses",
    "misfit_of_profile",
    "run_in_parts",
    "run_over_images",
    "run_profile",
    "use_kernel",
]
