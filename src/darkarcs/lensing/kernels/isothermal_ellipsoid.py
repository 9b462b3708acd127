r"""The deflection of singular isothermal ellipsoids, compiled; see `darkarcs.lensing.sie`.

With psi^2 - f^2 y^2 = q^2 r^2 the second component is

.. math::
    \operatorname{artanh}\frac{f y}{\psi} = \operatorname{sgn}(y) \ln\frac{\psi + f |y|}{q r},

from which nothing is subtracted. The error stays below 2e-6 of the Einstein radius for axis ratios
from 0.1. The loop is bound by its arithmetic, about eighty operations a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.kernels import compiled, inlined, run_profile
from darkarcs.kernels.elementary import arctan_of_ratio, log

#: Below this f^2 five terms of a power series in f^2 are exact in float32; the closed form
#: divides the error of its logarithm by f.
_SERIES_BELOW = 0.02

#: Added to squared radii, so that the deflection at the centre is zero, not undefined.
_TINY = np.float32(1e-36)

_ZERO, _ONE = np.float32(0), np.float32(1)
_S3, _S5, _S7, _S9 = (np.float32(1 / n) for n in (3, 5, 7, 9))

_SIGNATURE = f"void({', '.join(['float32[:, ::1]'] * 5 + ['int64'] * 4)})"


def deflect(
    theta_x: Tensor,
    theta_y: Tensor,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
    position_angle: Tensor | float,
    centre_x: Tensor | float,
    centre_y: Tensor | float,
) -> tuple[Tensor, Tensor]:
    """Compute the deflections of isothermal ellipsoids, one a lens.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (H, W), (1, H, W) or (B, H, W), float32, arcsec
        Positions in the image plane.
    einstein_radius, axis_ratio, position_angle, centre_x, centre_y : Tensor or float
        Numbers or of shape (B, 1, 1), float32, as for `darkarcs.lensing.sie.deflection`.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (H, W) or (B, H, W), float32, arcsec
        The deflections.
    """
    lens = (einstein_radius, axis_ratio, position_angle, centre_x, centre_y)
    alpha_x, alpha_y = run_profile(compiled(_deflect, _SIGNATURE), theta_x, theta_y, *lens)
    return alpha_x, alpha_y


def _deflect(
    theta_x: NDArray[np.float32],  # (1 or B, P)
    theta_y: NDArray[np.float32],
    lenses: NDArray[np.float32],  # (B, 5)
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
        q = np.float64(lenses[image, 1])
        squared_f, squared_q = 1.0 - q * q, np.float32(q * q)
        angle = np.float64(lenses[image, 2])
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        x0, y0 = lenses[image, 3], lenses[image, 4]
        strength = np.float64(lenses[image, 0]) * np.sqrt(q)
        if squared_f < _SERIES_BELOW:
            _bend_round(x, y, np.float32(strength), squared_q, cos, sin, x0, y0, bend_x, bend_y)
        else:
            strength /= np.sqrt(squared_f)
            _bend_elliptical(
                x, y, np.float32(strength), squared_q, cos, sin, x0, y0, bend_x, bend_y
            )


@inlined
def _bend_elliptical(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    strength: np.float32,
    squared_q: np.float32,
    cos: np.float32,
    sin: np.float32,
    x0: np.float32,
    y0: np.float32,
    bend_x: NDArray[np.float32],
    bend_y: NDArray[np.float32],
) -> None:
    f = np.sqrt(_ONE - squared_q)
    for p in range(len(x)):
        dx, dy = x[p] - x0, y[p] - y0
        u, v = cos * dx + sin * dy, cos * dy - sin * dx
        uu, vv = u * u, v * v
        psi = np.sqrt(squared_q * uu + vv + _TINY)
        fu, fv = f * abs(u), f * abs(v)
        along = strength * arctan_of_ratio(fu, psi)
        across = strength * log((psi + fv) / np.sqrt(squared_q * (uu + vv) + _TINY))
        along = -along if u < _ZERO else along
        across = -across if v < _ZERO else across
        bend_x[p] = cos * along - sin * across
        bend_y[p] = sin * along + cos * across


@inlined
def _bend_round(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    strength: np.float32,
    squared_q: np.float32,
    cos: np.float32,
    sin: np.float32,
    x0: np.float32,
    y0: np.float32,
    bend_x: NDArray[np.float32],
    bend_y: NDArray[np.float32],
) -> None:
    squared_f = _ONE - squared_q
    for p in range(len(x)):
        dx, dy = x[p] - x0, y[p] - y0
        u, v = cos * dx + sin * dy, cos * dy - sin * dx
        psi = np.sqrt(squared_q * (u * u) + v * v + _TINY)
        u, v = u / psi, v / psi
        s, t = -squared_f * (u * u), squared_f * (v * v)
        along = strength * u * ((((_S9 * s + _S7) * s + _S5) * s + _S3) * s + _ONE)
        across = strength * v * ((((_S9 * t + _S7) * t + _S5) * t + _S3) * t + _ONE)
        bend_x[p] = cos * along - sin * across
        bend_y[p] = sin * along + cos * across
