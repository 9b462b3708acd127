"""Sums of many small deflections, compiled for the CPU; forward only.

`darkarcs.lensing.point_mass.total_deflection` and `darkarcs.lensing.tnfw.total_deflection` are
the way in. Only `choice` is imported with the package: the others need numba, and are imported
when a kernel is first called.
"""

from darkarcs.lensing.kernels.choice import Method, use_kernel

__all__ = ["Method", "use_kernel"]
