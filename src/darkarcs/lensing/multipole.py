r"""Multipole: the shape of a lens beyond an ellipse, isothermal in radius.

Around the centre, with phi the azimuth from x towards y, m the order, a the amplitude and
phi_m the orientation,

.. math::
    \kappa = \frac{a}{2 r} \cos m (\phi - \phi_m), \qquad
    \psi = \frac{a r}{1 - m^2} \cos m (\phi - \phi_m).

This is lenstronomy's ``MULTIPOLE``: defined on circles, so on a flattened lens it is no pure
deformation of the ellipse. On an isothermal lens of Einstein radius theta_E an amplitude of
0.01 theta_E moves the contours of equal convergence by one per cent of their radius; m = 4 with
the orientation along the major axis makes them disky, the opposite amplitude boxy.

References
----------
.. [1] Xu et al. 2015, MNRAS 447, 3189 (arXiv 1307.4220), appendix B3.
.. [2] Paugnat & Gilman 2025, arXiv 2502.03530 (circular against elliptical multipoles).
"""

from __future__ import annotations

import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.kernels import Method, misfit_of_profile, use_kernel
from darkarcs.lensing.kernels import multipole_lobes


def convergence(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    order: int,
    amplitude: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the convergence.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    order : int
        Number of lobes m, at least 2.
    amplitude : Tensor or float, broadcast, arcsec
        Strength a; for a lens of Einstein radius theta_E, theta_E times the share by which the
        contours move.
    position_angle : Tensor or float, broadcast, radians
        Direction phi_m of a maximum, from x towards y.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Position of the lens.

    Returns
    -------
    Tensor, shape (..., H, W)
        Surface mass density in units of the critical one; zero at the centre itself.

    Raises
    ------
    ConfigurationError
        If the order is below 2.

    Examples
    --------
    >>> two = torch.tensor([2.0])
    >>> convergence(two, 0 * two, order=4, amplitude=0.5).item()
    0.125
    """
    radius, _, _, cos, _ = _lobes(theta_x - centre_x, theta_y - centre_y, order, position_angle)
    return amplitude * cos / (2 * radius)


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    order: int,
    amplitude: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
    method: Method = "auto",
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    order : int
        As for `convergence`.
    amplitude, position_angle, centre_x, centre_y : Tensor or float
        As for `convergence`.
    method : "auto", "torch" or "kernel", default "auto"
        As for `darkarcs.lensing.sie.deflection`; the kernel knows the orders 3 and 4.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection; zero at the centre itself.

    Raises
    ------
    ConfigurationError
        If the order is below 2, or the kernel is demanded and cannot do it.

    Examples
    --------
    >>> two = torch.tensor([2.0])
    >>> alpha_x, alpha_y = deflection(two, 0 * two, order=3, amplitude=0.5)
    >>> alpha_x.item(), abs(alpha_y.item())
    (-0.0625, 0.0)
    """
    lens = (amplitude, position_angle, centre_x, centre_y)
    misfit = misfit_of_profile(theta_x, theta_y, *lens)
    if order not in multipole_lobes.ORDERS:
        misfit = f"knows the orders 3 and 4, not {order}"
    if use_kernel(method, (theta_x, theta_y, *lens), misfit):
        return multipole_lobes.deflect(theta_x, theta_y, order, *lens)
    _, x, y, cos, sin = _lobes(theta_x - centre_x, theta_y - centre_y, order, position_angle)
    strength = amplitude / (1 - order**2)
    return strength * (x * cos + order * y * sin), strength * (y * cos - order * x * sin)


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    order: int,
    amplitude: Tensor | float,
    position_angle: Tensor | float = 0.0,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the lensing potential.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    order : int
        As for `convergence`.
    amplitude, position_angle, centre_x, centre_y : Tensor or float
        As for `convergence`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, zero at the centre.

    Raises
    ------
    ConfigurationError
        If the order is below 2.

    Examples
    --------
    >>> two = torch.tensor([2.0])
    >>> potential(two, 0 * two, order=3, amplitude=0.5).item()
    -0.125
    """
    radius, _, _, cos, _ = _lobes(theta_x - centre_x, theta_y - centre_y, order, position_angle)
    return amplitude / (1 - order**2) * radius * cos


def _lobes(
    x: Tensor, y: Tensor, order: int, position_angle: Tensor | float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """r (kept off zero), the unit vector, and cosine and sine of m (phi - phi_m).

    The cosine is a polynomial of the unit vector, since an arctangent has no gradient at the
    centre.
    """
    if order < 2:
        raise ConfigurationError(
            f"a multipole of order {order} is asked for; orders start at 2 (use mass_sheet for 0)"
        )
    radius = (x**2 + y**2).clamp(min=torch.finfo(x.dtype).tiny).sqrt()
    x, y = x / radius, y / radius
    cos, sin = x, y
    for _ in range(order - 1):
        cos, sin = cos * x - sin * y, cos * y + sin * x
    turn = order * torch.as_tensor(position_angle, dtype=x.dtype, device=x.device)
    turn_cos, turn_sin = torch.cos(turn), torch.sin(turn)
    return radius, x, y, cos * turn_cos + sin * turn_sin, sin * turn_cos - cos * turn_sin
