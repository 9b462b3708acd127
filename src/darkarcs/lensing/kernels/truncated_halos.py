r"""The summed deflection of many truncated NFW halos, compiled; see `darkarcs.lensing.tnfw`.

In units of the scale radius r_s and of the scale deflection, the deflection over the radius is a
function of x = r / r_s and tau = r_t / r_s alone. What is tabulated is

.. math::
    R(v, \tau) = \frac{\alpha(x)}{x} (1 + v), \qquad v = r^2 (r_s^{-2} + r_t^{-2}),

which changes with the logarithms of both only slowly: in v by a parabola in each of the
intervals into which exponent and four leading bits of its float32 divide the axis (so that no
logarithm is needed to find the interval), in tau at four nodes an octave, between which six
neighbours are interpolated (Lagrange). The table for one halo is made from six rows.

The deflection's error stays below 2e-6 of the halo's peak, float32 rounding included, and where
v is above 1e-8 below 6e-6 of itself, for every tau of the table.

The loop is bound by the three look-ups and the division of each pair of halo and pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.kernels import compiled, inlined, run_over_images

#: Bits of a float32 right of those that number an interval: 16 intervals an octave of v.
SHIFT = 19

#: Intervals that a float32 above zero can fall into, infinity and NaN included.
NUM_INTERVALS = 2**12

#: First interval of the table, at v = 2^-40, and how many there are, up to v = 2^40.
FIRST_INTERVAL = (127 - 40) * 16
NUM_TABULATED = 80 * 16
#: Radius over scale and truncation radius up to which v is within the table.
MAX_RADIUS = 2.0**19

#: Truncation over scale radius that the table reaches, and its nodes an octave.
MIN_TAU, MAX_TAU = 2.0**-7, 2.0**20
NODES_PER_OCTAVE = 4
#: Octaves of tau below and above these that are tabulated for the neighbours.
_MARGIN = 1

#: `darkarcs.lensing.tnfw.deflection`, which imports this module.
Deflection = Callable[..., tuple[Tensor, Tensor]]

_SIGNATURE = (
    "void("
    + ", ".join(
        ["float32[:, ::1]"] * 7  # positions, halos
        + ["float32[:, :, ::1]"]  # table
        + ["float32[:, ::1]"] * 2  # sums
        + ["int64"] * 4  # images and pixels
    )
    + ")"
)

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_SHIFT, _INTERVALS = np.uint32(SHIFT), np.uint32(NUM_INTERVALS - 1)
_WITHIN = np.uint32(2**SHIFT - 1)
#: Smallest squared radius that is told apart from zero, the first of the table.
_FLOOR = np.float32(2.0**-40)
#: Nodes of tau that are interpolated between, and the row of the table at tau = 1.
_NEIGHBOURS = 6
_ROW_OF_ONE = float(-np.log2(MIN_TAU) + 1) * NODES_PER_OCTAVE


@cache
def halo_table(deflection: Deflection) -> Tensor:
    """Tabulate the parabolas.

    Parameters
    ----------
    deflection : callable
        `darkarcs.lensing.tnfw.deflection`.

    Returns
    -------
    Tensor, shape (T, 3, NUM_TABULATED), float32
        Coefficients of the powers of the bits right of the interval's, as a number from 0 to
        2^19, for each tau; row 0 is ``MIN_TAU`` less one octave.
    """
    octave = torch.arange(NUM_TABULATED, dtype=torch.float64) // 16
    sixteenth = torch.arange(NUM_TABULATED, dtype=torch.float64) % 16
    # Chebyshev nodes: the parabola through them is near the best one
    nodes = (1 - torch.cos((torch.arange(3, dtype=torch.float64) + 0.5) * torch.pi / 3)) / 2
    v = 2.0 ** (octave - 40) * (1 + (sixteenth + nodes[:, None]) / 16)  # (3, intervals)
    low, high = (torch.tensor(tau, dtype=torch.float64).log2() for tau in (MIN_TAU, MAX_TAU))
    count = int((high - low + 2 * _MARGIN) * NODES_PER_OCTAVE) + 1
    log_tau = low - _MARGIN + torch.arange(count, dtype=torch.float64) / NODES_PER_OCTAVE
    tau = 2.0 ** log_tau[:, None, None]
    radius = (v / (1 + tau**-2)).sqrt()
    alpha, _ = deflection(
        radius,
        torch.zeros_like(radius),
        scale_radius=1.0,
        scale_deflection=1.0,
        truncation_radius=tau,
    )
    ratio = alpha / radius * (1 + v)  # (T, 3, intervals)
    powers = torch.stack([(nodes * 2.0**SHIFT) ** n for n in range(3)], dim=1)
    coefficients: Tensor = torch.linalg.inv(powers) @ ratio
    return coefficients.float()


def is_tabulated(
    theta_x: Tensor,
    theta_y: Tensor,
    scale_radius: Tensor,
    scale_deflection: Tensor,
    truncation_radius: Tensor,
    centre_x: Tensor,
    centre_y: Tensor,
) -> bool:
    """Tell whether the table reaches every halo and pixel.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    scale_radius, scale_deflection, truncation_radius, centre_x, centre_y : Tensor, shape (B, S)
        Of the halos, arcsec.

    Returns
    -------
    bool
        Whether all halos with a deflection have truncations of 2^-7 to 2^20 scale radii, and
        all pixels are within 2^19 scale radii and truncation radii of them.

    Examples
    --------
    >>> zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    >>> is_tabulated(zero, zero, one, one, 5 * one, zero, zero)
    True
    >>> is_tabulated(zero, zero, one, one, 1e-3 * one, zero, zero)
    False
    """
    if theta_x.numel() == 0 or scale_radius.numel() == 0:
        return True
    tau = truncation_radius / scale_radius
    reach_x, reach_y = theta_x.abs().max() + centre_x.abs(), theta_y.abs().max() + centre_y.abs()
    near = torch.hypot(reach_x, reach_y) <= MAX_RADIUS * torch.minimum(
        scale_radius, truncation_radius
    )
    reached = near & (tau >= MIN_TAU) & (tau <= MAX_TAU) & (scale_radius > 0)
    return bool((reached | (scale_deflection == 0)).all())


def sum_truncated_halos(
    theta_x: Tensor,
    theta_y: Tensor,
    scale_radius: Tensor,
    scale_deflection: Tensor,
    truncation_radius: Tensor,
    centre_x: Tensor,
    centre_y: Tensor,
    *,
    deflection: Deflection,
) -> tuple[Tensor, Tensor]:
    """Sum the deflections of many truncated NFW halos, lens by lens.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (H, W), (1, H, W) or (B, H, W), float32, arcsec
        Positions in the image plane.
    scale_radius, scale_deflection, truncation_radius : Tensor, shape (B, S), float32, arcsec
        Of the halos, with truncations for which `is_tabulated`; halos without a deflection cost
        nothing.
    centre_x, centre_y : Tensor, shape (B, S), float32, arcsec
        Their positions.
    deflection : callable
        Of one halo, in plain torch: what is tabulated.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (B, H, W), float32, arcsec
        The deflection of all halos.
    """
    loop = compiled(_accumulate, _SIGNATURE)
    halos = [scale_radius, scale_deflection, truncation_radius, centre_x, centre_y]
    alpha_x, alpha_y = run_over_images(loop, theta_x, theta_y, halos, halo_table(deflection))
    return alpha_x, alpha_y


def _accumulate(
    theta_x: NDArray[np.float32],  # (1 or B, P)
    theta_y: NDArray[np.float32],
    scale_radius: NDArray[np.float32],  # (B, S)
    scale_deflection: NDArray[np.float32],
    truncation_radius: NDArray[np.float32],
    centre_x: NDArray[np.float32],
    centre_y: NDArray[np.float32],
    table: NDArray[np.float32],  # (T, 3, NUM_TABULATED)
    alpha_x: NDArray[np.float32],  # (B, P)
    alpha_y: NDArray[np.float32],
    first_image: int,
    last_image: int,
    first_pixel: int,
    last_pixel: int,
) -> None:
    # the parabolas of one halo, by the number of the interval: no look-up can leave them
    parabolas = np.zeros((3, NUM_INTERVALS), dtype=np.float32)
    level, slope, bend = parabolas[0], parabolas[1], parabolas[2]
    weights = np.empty(_NEIGHBOURS, dtype=np.float32)
    for image in range(first_image, last_image):
        row = image if len(theta_x) > 1 else 0
        # slices of their own: their indices are seen to start at zero, so LLVM vectorises
        x, y = theta_x[row, first_pixel:last_pixel], theta_y[row, first_pixel:last_pixel]
        sum_x = alpha_x[image, first_pixel:last_pixel]
        sum_y = alpha_y[image, first_pixel:last_pixel]
        farthest = _ZERO
        for p in range(len(x)):
            farthest = max(farthest, x[p] * x[p] + y[p] * y[p])
            sum_x[p] = sum_y[p] = _ZERO
        for halo in range(scale_radius.shape[1]):
            if scale_deflection[image, halo] == _ZERO:
                continue
            radius = scale_radius[image, halo]
            x0, y0 = centre_x[image, halo], centre_y[image, halo]
            truncation = truncation_radius[image, halo]
            scale = _ONE / (radius * radius) + _ONE / (truncation * truncation)
            # |a - b|^2 is at most 2 a^2 + 2 b^2
            reach = np.float32(_TWO * scale * (farthest + x0 * x0 + y0 * y0) + _FLOOR)
            count = int(reach.view(np.uint32) >> _SHIFT) + 1 - FIRST_INTERVAL
            count = min(count, NUM_TABULATED)
            _tabulate(table, truncation / radius, count, weights, parabolas)
            factor = scale_deflection[image, halo] / radius
            for p in range(len(x)):
                dx, dy = x[p] - x0, y[p] - y0
                squared = np.float32((dx * dx + dy * dy) * scale + _FLOOR)
                bits = squared.view(np.uint32)
                interval = np.uint32(np.uint32(bits >> _SHIFT) & _INTERVALS)
                t = np.float32(np.int32(np.uint32(bits & _WITHIN)))
                shape = level[interval] + t * (slope[interval] + t * bend[interval])
                ratio = factor * shape / (_ONE + squared)
                sum_x[p] += ratio * dx
                sum_y[p] += ratio * dy


@inlined
def _tabulate(
    table: NDArray[np.float32],
    tau: np.float32,
    count: int,
    weights: NDArray[np.float32],
    parabolas: NDArray[np.float32],
) -> None:
    """Interpolate between the rows of six tau, in the first ``count`` intervals."""
    place = np.log2(np.float64(tau)) * NODES_PER_OCTAVE + _ROW_OF_ONE
    first = int(place) - 2
    for i in range(_NEIGHBOURS):  # Lagrange's weights
        weight = 1.0
        for j in range(_NEIGHBOURS):
            if i != j:
                weight *= (place - first - j) / (i - j)
        weights[i] = weight
    w0, w1, w2, w3, w4, w5 = weights
    for power in range(3):
        made = parabolas[power, FIRST_INTERVAL : FIRST_INTERVAL + count]
        r0, r1, r2 = table[first, power], table[first + 1, power], table[first + 2, power]
        r3, r4, r5 = table[first + 3, power], table[first + 4, power], table[first + 5, power]
        for i in range(count):
            near = w2 * r2[i] + w3 * r3[i]
            made[i] = near + (w1 * r1[i] + w4 * r4[i]) + (w0 * r0[i] + w5 * r5[i])
