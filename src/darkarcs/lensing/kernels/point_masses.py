"""The summed deflection of many point masses, compiled; see `darkarcs.lensing.point_mass`.

The array of all masses times all pixels is never made: four masses at a time pass over a tile
of pixels that stays in the innermost cache, so the loop is bound by its one division for each
pair of mass and pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.kernels import compiled, inlined, run_over_images

#: Pixels that stay in the innermost cache with what is summed there.
_TILE = 1024

#: Added to the squared softening, so that the deflection at a mass is zero, not undefined.
_TINY = np.float32(1e-36)

_ZERO = np.float32(0)

_SIGNATURE = (
    "void("
    + ", ".join(
        ["float32[:, ::1]"] * 8 + ["int64"] * 4  # positions, masses, sums; images and pixels
    )
    + ")"
)


def sum_point_masses(
    theta_x: Tensor,
    theta_y: Tensor,
    einstein_radius: Tensor,
    centre_x: Tensor,
    centre_y: Tensor,
    softening: Tensor,
) -> tuple[Tensor, Tensor]:
    """Sum the deflections of many point masses, lens by lens.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (H, W), (1, H, W) or (B, H, W), float32, arcsec
        Positions in the image plane.
    einstein_radius, centre_x, centre_y, softening : Tensor, shape (B, S), float32, arcsec
        Of the masses; those without an Einstein radius cost nothing.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (B, H, W), float32, arcsec
        The deflection of all masses.
    """
    loop = compiled(_accumulate, _SIGNATURE)
    masses = [einstein_radius, centre_x, centre_y, softening]
    alpha_x, alpha_y = run_over_images(loop, theta_x, theta_y, masses)
    return alpha_x, alpha_y


def _accumulate(
    theta_x: NDArray[np.float32],  # (1 or B, P)
    theta_y: NDArray[np.float32],
    radius: NDArray[np.float32],  # (B, S)
    centre_x: NDArray[np.float32],
    centre_y: NDArray[np.float32],
    softening: NDArray[np.float32],
    alpha_x: NDArray[np.float32],  # (B, P)
    alpha_y: NDArray[np.float32],
    first_image: int,
    last_image: int,
    first_pixel: int,
    last_pixel: int,
) -> None:
    masses = np.zeros((radius.shape[1] + 3, 4), dtype=np.float32)
    for image in range(first_image, last_image):
        row = image if len(theta_x) > 1 else 0
        count = _pack(radius[image], centre_x[image], centre_y[image], softening[image], masses)
        for start in range(first_pixel, last_pixel, _TILE):
            stop = min(start + _TILE, last_pixel)
            # slices of their own: their indices are seen to start at zero, so LLVM vectorises
            x, y = theta_x[row, start:stop], theta_y[row, start:stop]
            sum_x, sum_y = alpha_x[image, start:stop], alpha_y[image, start:stop]
            for p in range(len(x)):
                sum_x[p] = sum_y[p] = _ZERO
            for group in range(0, count, 4):
                x0, y0, m0, s0 = masses[group]
                x1, y1, m1, s1 = masses[group + 1]
                x2, y2, m2, s2 = masses[group + 2]
                x3, y3, m3, s3 = masses[group + 3]
                for p in range(len(x)):
                    dx, dy = x[p] - x0, y[p] - y0
                    ratio = m0 / (dx * dx + dy * dy + s0)
                    bend_x, bend_y = ratio * dx, ratio * dy
                    dx, dy = x[p] - x1, y[p] - y1
                    ratio = m1 / (dx * dx + dy * dy + s1)
                    bend_x, bend_y = bend_x + ratio * dx, bend_y + ratio * dy
                    dx, dy = x[p] - x2, y[p] - y2
                    ratio = m2 / (dx * dx + dy * dy + s2)
                    bend_x, bend_y = bend_x + ratio * dx, bend_y + ratio * dy
                    dx, dy = x[p] - x3, y[p] - y3
                    ratio = m3 / (dx * dx + dy * dy + s3)
                    sum_x[p] += bend_x + ratio * dx
                    sum_y[p] += bend_y + ratio * dy


@inlined
def _pack(
    radius: NDArray[np.float32],
    centre_x: NDArray[np.float32],
    centre_y: NDArray[np.float32],
    softening: NDArray[np.float32],
    masses: NDArray[np.float32],
) -> int:
    """Gather the masses that are not zero; their number, filled up to a multiple of four."""
    count = 0
    for mass in range(len(radius)):
        if radius[mass] != _ZERO:
            masses[count, 0] = centre_x[mass]
            masses[count, 1] = centre_y[mass]
            masses[count, 2] = radius[mass] * radius[mass]
            masses[count, 3] = softening[mass] * softening[mass] + _TINY
            count += 1
    while count % 4 != 0:
        masses[count, 2] = 0
        masses[count, 3] = 1
        count += 1
    return count
