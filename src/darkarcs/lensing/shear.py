"""External shear: the tide of matter outside the field.

With components gamma_1 and gamma_2 the potential is
gamma_1 (x^2 - y^2) / 2 + gamma_2 x y; there is no convergence.

References
----------
.. [1] Keeton 2001, astro-ph/0102341, the external shear.
"""

from __future__ import annotations

import torch
from torch import Tensor


def convergence(theta_x: Tensor, theta_y: Tensor) -> Tensor:
    """Return the convergence of a pure shear, which is zero.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.

    Returns
    -------
    Tensor, shape (..., H, W)
        Zeros.

    Examples
    --------
    >>> convergence(torch.ones(2), torch.zeros(2)).tolist()
    [0.0, 0.0]
    """
    return torch.zeros_like(theta_x + theta_y)


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    shear_1: Tensor | float,
    shear_2: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    shear_1, shear_2 : Tensor or float, broadcast
        Components along the axes and along the diagonals.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Where the deflection vanishes; moving it shifts the source plane as a whole.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection.

    Examples
    --------
    >>> alpha_x, alpha_y = deflection(
    ...     torch.tensor(2.0), torch.tensor(1.0), shear_1=0.5, shear_2=0.0
    ... )
    >>> alpha_x.item(), alpha_y.item()
    (1.0, -0.5)
    """
    x, y = theta_x - centre_x, theta_y - centre_y
    return shear_1 * x + shear_2 * y, shear_2 * x - shear_1 * y


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    shear_1: Tensor | float,
    shear_2: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the lensing potential.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    shear_1, shear_2, centre_x, centre_y : Tensor or float
        As for `deflection`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, zero at the centre.

    Examples
    --------
    >>> potential(torch.tensor(2.0), torch.tensor(1.0), shear_1=0.5, shear_2=0.25).item()
    1.25
    """
    x, y = theta_x - centre_x, theta_y - centre_y
    return shear_1 * (x**2 - y**2) / 2 + shear_2 * x * y
