"""Deflections compiled for the CPU, forward only: of many small masses, and of a smooth lens.

`darkarcs.lensing.point_mass.total_deflection`, `darkarcs.lensing.tnfw.total_deflection`,
`darkarcs.lensing.sie.deflection` and `darkarcs.lensing.multipole.deflection` are the way in, and
the references in plain torch; how loops are chosen, compiled and shared out: `darkarcs.kernels`.
"""
