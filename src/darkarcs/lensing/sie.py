r"""Singular isothermal ellipsoid.

In the frame of the major axis, with q the axis ratio and theta_E the Einstein radius,

.. math::
    \kappa = \frac{\theta_E}{2 \sqrt{q x^2 + y^2 / q}}, \qquad
    \alpha_x = \frac{\theta_E \sqrt{q}}{f} \arctan\frac{f x}{\psi}, \qquad
    \alpha_y = \frac{\theta_E \sqrt{q}}{f} \operatorname{artanh}\frac{f y}{\psi},

where f^2 = 1 - q^2 and psi^2 = q^2 x^2 + y^2. ``einstein_radius`` is the circularised one of
lenstronomy's ``SIE``: the critical curve, on which kappa = 1/2, is an ellipse of area
pi theta_E^2, and the mean convergence inside it is one. Keeton's b equals theta_E / sqrt(q).

References
----------
.. [1] Kormann, Schneider & Bartelmann 1994, A&A 284, 285 (their Einstein radius is this one).
.. [2] Keeton 2001, astro-ph/0102341, the isothermal ellipsoid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from darkarcs.kernels import Method, misfit_of_profile, use_kernel
from darkarcs.lensing.coordinates import rotate
from darkarcs.lensing.kernels import isothermal_ellipsoid

#: Below this f^2 a lens counts as nearly circular, and five terms of a power series in f^2 are
#: exact in float64.
_SERIES_BELOW = 1e-3


def convergence(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
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
    >>> convergence(one, 0 * one, einstein_radius=1.0, axis_ratio=1.0).item()
    0.5
    """
    x, y = rotate(theta_x - centre_x, theta_y - centre_y, -position_angle)
    return einstein_radius * _root(axis_ratio, x) / (2 * _elliptical_radius(x, y, axis_ratio))


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    method: Method = "auto",
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Differentiable in everything, the limit of a circular lens included; zero at the centre.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius, axis_ratio, position_angle, centre_x, centre_y : Tensor or float
        As for `convergence`.
    method : "auto", "torch" or "kernel", default "auto"
        Plain torch, differentiable; a compiled kernel, forward only; or the kernel wherever it
        does the same: on the CPU, in float32, parameters of shape (B, 1, 1) or numbers, without
        derivatives.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection.

    Raises
    ------
    ConfigurationError
        If the kernel is demanded and cannot do it.

    Examples
    --------
    >>> three, four = torch.tensor([3.0]), torch.tensor([4.0])
    >>> alpha_x, alpha_y = deflection(three, four, einstein_radius=1.0, axis_ratio=1.0)
    >>> round(alpha_x.item(), 6), round(alpha_y.item(), 6)
    (0.6, 0.8)
    """
    lens = (einstein_radius, axis_ratio, position_angle, centre_x, centre_y)
    misfit = misfit_of_profile(theta_x, theta_y, *lens)
    if use_kernel(method, (theta_x, theta_y, *lens), misfit):
        return isothermal_ellipsoid.deflect(theta_x, theta_y, *lens)
    x, y = rotate(theta_x - centre_x, theta_y - centre_y, -position_angle)
    psi = _elliptical_radius(x, y, axis_ratio)
    cos, sin = x / psi, y / psi
    squared_f = 1.0 - torch.as_tensor(axis_ratio, dtype=x.dtype, device=x.device) ** 2
    f = squared_f.clamp(min=_SERIES_BELOW).sqrt()
    # a weight of 0 or 1 for each lens: torch.where is 40 times slower than a product
    circular = (squared_f < _SERIES_BELOW).to(x.dtype)
    strength = einstein_radius * _root(axis_ratio, x)
    circular, elliptical = strength * circular, strength * (1.0 - circular) / f
    bend_x = elliptical * torch.arctan(f * cos) + circular * _series(cos, -squared_f)
    bend_y = elliptical * torch.arctanh(f * sin) + circular * _series(sin, squared_f)
    return rotate(bend_x, bend_y, position_angle)


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    einstein_radius: Tensor | float,
    axis_ratio: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the lensing potential, of which the deflection is the gradient.

    It is homogeneous of degree one about the centre, so it equals theta . alpha.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    einstein_radius, axis_ratio, position_angle, centre_x, centre_y : Tensor or float
        As for `convergence`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, zero at the centre.

    Examples
    --------
    >>> three, four = torch.tensor([3.0]), torch.tensor([4.0])
    >>> round(potential(three, four, einstein_radius=1.0, axis_ratio=1.0).item(), 5)
    5.0
    """
    alpha_x, alpha_y = deflection(
        theta_x,
        theta_y,
        einstein_radius=einstein_radius,
        axis_ratio=axis_ratio,
        position_angle=position_angle,
        centre_x=centre_x,
        centre_y=centre_y,
    )
    return (theta_x - centre_x) * alpha_x + (theta_y - centre_y) * alpha_y


def _elliptical_radius(x: Tensor, y: Tensor, axis_ratio: Tensor | float) -> Tensor:
    """psi, kept off zero so that the centre has a finite value and gradient."""
    return (axis_ratio**2 * x**2 + y**2).clamp(min=torch.finfo(x.dtype).tiny).sqrt()


def _root(value: Tensor | float, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).sqrt()


def _series(value: Tensor, squared_f: Tensor) -> Tensor:
    """artanh(f t) / f for small f; with -f^2 for f^2 it is arctan(f t) / f."""
    square = squared_f * value**2
    total = square / 9 + 1 / 7
    for n in (5, 3, 1):
        total = total * square + 1 / n
    return value * total
