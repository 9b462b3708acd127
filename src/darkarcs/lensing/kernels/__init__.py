"""Deflections compiled for the CPU, forward only: of many small masses, and of an ellipsoid.

`darkarcs.lensing.point_mass.total_deflection`, `darkarcs.lensing.tnfw.total_deflection` and
`darkarcs.lensing.sie.deflection` are the way in, and the references in plain torch; how loops are
chosen, compiled and shared out: `darkarcs.kernels`.
"""
