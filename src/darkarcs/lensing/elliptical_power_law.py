r"""Elliptical power law: the mass of an ellipse whose density falls as a power of the radius.

In the frame of the major axis, with q the axis ratio, theta_E the Einstein radius, b = sqrt(q)
theta_E, R^2 = q^2 x^2 + y^2, z = q x + i y, f = (1 - q) / (1 + q) and t = slope - 1, where slope
is that of the density in space (2 is isothermal),

.. math::
    \kappa = \frac{2 - t}{2} \left(\frac{b}{R}\right)^t, \qquad
    \alpha = \frac{2}{1 + q} \left(\frac{b}{R}\right)^t z
    \sum_{n=0}^{N-1} \left(-f \frac{z}{z^*}\right)^n
    \prod_{k=1}^{n} \frac{2 k - (2 - t)}{2 k + (2 - t)}, \qquad
    \psi = \frac{x \alpha_x + y \alpha_y}{2 - t}.

The series is Gauss's hypergeometric function. For 0 < t < 2 every factor of the product lies
between -1 and 1, so what is left out after N terms is at most f^N / (1 - f) of the first term:
`num_terms` turns this bound into a number of terms that is the same for a whole batch.
``einstein_radius`` is the circularised one of lenstronomy's ``EPL``; a slope of 2 is the SIE.

References
----------
.. [1] Tessore & Metcalf 2015, A&A 580, A79 (arXiv 1507.01819): convergence eq. 2, elliptical
   radius eq. 5, potential eq. 15, deflection eqs. 22 and 23, its series eq. 29.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.lensing.coordinates import rotate


def num_terms(smallest_axis_ratio: float, dtype: torch.dtype) -> int:
    """Count the terms of the series that reach a dtype's precision.

    Parameters
    ----------
    smallest_axis_ratio : float
        Of the lenses, above 0 and at most 1.
    dtype : torch.dtype
        Of the coordinates; its rounding error is the bound on what is left out.

    Returns
    -------
    int
        The smallest N with f^N / (1 - f) below the rounding error.

    Raises
    ------
    ConfigurationError
        If the axis ratio is not above 0 and at most 1.

    Examples
    --------
    >>> num_terms(0.5, torch.float32), num_terms(0.2, torch.float64), num_terms(1.0, torch.float64)
    (15, 92, 1)
    """
    if not 0 < smallest_axis_ratio <= 1:
        raise ConfigurationError(
            f"smallest_axis_ratio is {smallest_axis_ratio}; give one above 0 and at most 1"
        )
    f = (1 - smallest_axis_ratio) / (1 + smallest_axis_ratio)
    if f == 0:
        return 1
    return math.ceil(math.log(torch.finfo(dtype).eps * (1 - f)) / math.log(f))


def convergence(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
    slope: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the convergence.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius : Tensor or float, broadcast, arcsec
        Circularised Einstein radius.
    axis_ratio : Tensor or float, broadcast
        Minor over major axis, above 0 and at most 1.
    slope : Tensor or float, broadcast
        Negative slope of the density in space, above 1 and below 3; 2 is isothermal.
    position_angle : Tensor or float, broadcast, radians
        Of the major axis, from x towards y.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Position of the lens.

    Returns
    -------
    Tensor, shape (..., H, W)
        Surface mass density in units of the critical one.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> convergence(one, 0 * one, einstein_radius=1.0, axis_ratio=1.0, slope=2.5).item()
    0.25
    """
    x, y = rotate(theta_x - centre_x, theta_y - centre_y, -position_angle)
    radius, _, _, scale, tilt = _frame(x, y, einstein_radius, axis_ratio, slope)
    return (2 - tilt) / 2 * (scale / radius) ** tilt


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
    slope: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    smallest_axis_ratio: float = 0.2,
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Differentiable in everything, the limit of a circular lens included; zero at the centre.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius, axis_ratio, slope, position_angle, centre_x, centre_y : Tensor or float
        As for `convergence`.
    smallest_axis_ratio : float, default 0.2
        Of the batch: sets the number of terms of the series, so a larger one costs less. A lens
        flatter than this one is computed with the error that the bound above gives.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection.

    Examples
    --------
    >>> three, four = torch.tensor([3.0]), torch.tensor([4.0])
    >>> lens = {"einstein_radius": 1.0, "axis_ratio": 1.0, "slope": 2.5}
    >>> alpha_x, alpha_y = deflection(three, four, **lens)
    >>> round(torch.hypot(alpha_x, alpha_y).item(), 5)  # theta_E (theta_E / r)^(slope - 2)
    0.44721
    """
    x, y = rotate(theta_x - centre_x, theta_y - centre_y, -position_angle)
    radius, q, z, scale, tilt = _frame(x, y, einstein_radius, axis_ratio, slope)
    real, imaginary = z[0] / radius, z[1] / radius
    # z / z* = (z / R)^2, without its singular phase at the centre
    f = (1 - q) / (1 + q)
    step_real, step_imaginary = f * (imaginary**2 - real**2), -2 * f * real * imaginary
    sum_real, sum_imaginary = torch.ones_like(real), torch.zeros_like(real)
    for n in range(num_terms(smallest_axis_ratio, x.dtype) - 1, 0, -1):  # Horner's rule
        factor = (2 * n - (2 - tilt)) / (2 * n + (2 - tilt))
        sum_real, sum_imaginary = (
            1 + factor * (step_real * sum_real - step_imaginary * sum_imaginary),
            factor * (step_real * sum_imaginary + step_imaginary * sum_real),
        )
    # (b / R)^t z as b (b / R)^(t - 1) (z / R): no infinity times zero at the centre
    base = scale.clamp(min=torch.finfo(x.dtype).tiny) / radius
    strength = 2 / (1 + q) * scale * base ** (tilt - 1)
    return rotate(
        strength * (real * sum_real - imaginary * sum_imaginary),
        strength * (real * sum_imaginary + imaginary * sum_real),
        position_angle,
    )


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
    slope: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    smallest_axis_ratio: float = 0.2,
) -> Tensor:
    """Compute the lensing potential, of which the deflection is the gradient.

    It is homogeneous of degree 3 - slope about the centre, so it is theta . alpha over that.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius, axis_ratio, slope, position_angle, centre_x, centre_y : Tensor or float
        As for `convergence`.
    smallest_axis_ratio : float, default 0.2
        As for `deflection`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, zero at the centre.

    Examples
    --------
    >>> three, four = torch.tensor([3.0]), torch.tensor([4.0])
    >>> lens = {"einstein_radius": 1.0, "axis_ratio": 1.0, "slope": 2.0}
    >>> round(potential(three, four, **lens).item(), 5)
    5.0
    """
    alpha_x, alpha_y = deflection(
        theta_x,
        theta_y,
        einstein_radius=einstein_radius,
        axis_ratio=axis_ratio,
        slope=slope,
        position_angle=position_angle,
        centre_x=centre_x,
        centre_y=centre_y,
        smallest_axis_ratio=smallest_axis_ratio,
    )
    return ((theta_x - centre_x) * alpha_x + (theta_y - centre_y) * alpha_y) / (3 - slope)


def _frame(
    x: Tensor,
    y: Tensor,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
    slope: Tensor | float,
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], Tensor, Tensor]:
    """R (kept off zero), q, z, b and t."""
    q = torch.as_tensor(axis_ratio, dtype=x.dtype, device=x.device)
    z = q * x, y
    radius = (z[0] ** 2 + y**2).clamp(min=torch.finfo(x.dtype).tiny).sqrt()
    tilt = torch.as_tensor(slope, dtype=x.dtype, device=x.device) - 1
    return radius, q, z, einstein_radius * q.sqrt(), tilt
