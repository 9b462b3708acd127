r"""The deflection of multipoles of order 3 and 4, compiled; see `darkarcs.lensing.multipole`.

With the unit vector (c, s) of a pixel, cosine and sine of m phi are the parts of
:math:`(c + i s)^m`, so that nothing but one square root is not elementary arithmetic.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.kernels import compiled, inlined, run_profile

#: Orders that there are loops for: those that scenes draw.
ORDERS = (3, 4)

#: Added to squared radii, so that the deflection at the centre is zero, not undefined.
_TINY = np.float32(1e-36)

_TWO, _THREE, _FOUR = np.float32(2), np.float32(3), np.float32(4)

_SIGNATURE = f"void({', '.join(['float32[:, ::1]'] * 5 + ['int64'] * 4)})"


def deflect(
    theta_x: Tensor,
    theta_y: Tensor,
    order: int,
    amplitude: Tensor | float,
    position_angle: Tensor | float,
    centre_x: Tensor | float,
    centre_y: Tensor | float,
) -> tuple[Tensor, Tensor]:
    """Compute the deflections of multipoles, one a lens.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (H, W), (1, H, W) or (B, H, W), float32, arcsec
        Positions in the image plane.
    order : int
        Among `ORDERS`.
    amplitude, position_angle, centre_x, centre_y : Tensor or float
        Numbers or of shape (B, 1, 1), float32, as for `darkarcs.lensing.multipole.deflection`.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (H, W) or (B, H, W), float32, arcsec
        The deflections.
    """
    loop = compiled(_deflect_third if order == 3 else _deflect_fourth, _SIGNATURE)
    lens = (amplitude, position_angle, centre_x, centre_y)
    alpha_x, alpha_y = run_profile(loop, theta_x, theta_y, *lens)
    return alpha_x, alpha_y


def _deflect_third(
    theta_x: NDArray[np.float32],  # (1 or B, P)
    theta_y: NDArray[np.float32],
    lenses: NDArray[np.float32],  # (B, 4)
    alpha_x: NDArray[np.float32],  # (B, P)
    alpha_y: NDArray[np.float32],
    first_image: int,
    last_image: int,
    first_pixel: int,
    last_pixel: int,
) -> None:
    for image in range(first_image, last_image):
        row = image if len(theta_x) > 1 else 0
        # slices of their own: their indices are seen to start at zero, so LLVM vectorises
        x, y = theta_x[row, first_pixel:last_pixel], theta_y[row, first_pixel:last_pixel]
        bend_x = alpha_x[image, first_pixel:last_pixel]
        bend_y = alpha_y[image, first_pixel:last_pixel]
        turn = 3.0 * np.float64(lenses[image, 1])
        turn_cos, turn_sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        strength = lenses[image, 0] / np.float32(-8)
        x0, y0 = lenses[image, 2], lenses[image, 3]
        for p in range(len(x)):
            c, s, double_c, double_s = _unit(x[p] - x0, y[p] - y0)
            raw_cos, raw_sin = double_c * c - double_s * s, double_c * s + double_s * c
            cos = strength * (raw_cos * turn_cos + raw_sin * turn_sin)
            sin = _THREE * strength * (raw_sin * turn_cos - raw_cos * turn_sin)
            bend_x[p] = c * cos + s * sin
            bend_y[p] = s * cos - c * sin


def _deflect_fourth(
    theta_x: NDArray[np.float32],  # (1 or B, P)
    theta_y: NDArray[np.float32],
    lenses: NDArray[np.float32],  # (B, 4)
    alpha_x: NDArray[np.float32],  # (B, P)
    alpha_y: NDArray[np.float32],
    first_image: int,
    last_image: int,
    first_pixel: int,
    last_pixel: int,
) -> None:
    for image in range(first_image, last_image):
        row = image if len(theta_x) > 1 else 0
        x, y = theta_x[row, first_pixel:last_pixel], theta_y[row, first_pixel:last_pixel]
        bend_x = alpha_x[image, first_pixel:last_pixel]
        bend_y = alpha_y[image, first_pixel:last_pixel]
        turn = 4.0 * np.float64(lenses[image, 1])
        turn_cos, turn_sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        strength = lenses[image, 0] / np.float32(-15)
        x0, y0 = lenses[image, 2], lenses[image, 3]
        for p in range(len(x)):
            c, s, double_c, double_s = _unit(x[p] - x0, y[p] - y0)
            raw_cos = double_c * double_c - double_s * double_s
            raw_sin = _TWO * double_c * double_s
            cos = strength * (raw_cos * turn_cos + raw_sin * turn_sin)
            sin = _FOUR * strength * (raw_sin * turn_cos - raw_cos * turn_sin)
            bend_x[p] = c * cos + s * sin
            bend_y[p] = s * cos - c * sin


@inlined
def _unit(dx: np.float32, dy: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """The unit vector, and cosine and sine of twice its angle."""
    radius = np.sqrt(dx * dx + dy * dy + _TINY)
    c, s = dx / radius, dy / radius
    return c, s, c * c - s * s, _TWO * c * s
