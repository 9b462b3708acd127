"""Mass sheet: a constant convergence.

With kappa the convergence and d the distance from the centre, the deflection is kappa d and the
potential kappa d^2 / 2. Adding a sheet kappa and multiplying all other mass by 1 - kappa changes
an image only by the scale of its source: the mass-sheet degeneracy.

References
----------
.. [1] Falco, Gorenstein & Shapiro 1985, ApJ 289, L1 (the degeneracy).
.. [2] Schneider, Ehlers & Falco 1992, Gravitational Lenses.
"""

from __future__ import annotations

import torch
from torch import Tensor


def convergence(
    theta_x: Tensor, theta_y: Tensor, *, external_convergence: Tensor | float
) -> Tensor:
    """Return the convergence, the same everywhere.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    external_convergence : Tensor or float, broadcast
        Surface mass density in units of the critical one; negative in an underdense field.

    Returns
    -------
    Tensor, shape (..., H, W)
        The convergence.

    Examples
    --------
    >>> convergence(torch.ones(2), torch.zeros(2), external_convergence=0.25).tolist()
    [0.25, 0.25]
    """
    return torch.ones_like(theta_x + theta_y) * external_convergence


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    external_convergence: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    external_convergence : Tensor or float
        As for `convergence`.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Where the deflection vanishes; moving it shifts the source plane as a whole.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection.

    Examples
    --------
    >>> alpha_x, alpha_y = deflection(
    ...     torch.tensor(2.0), torch.tensor(1.0), external_convergence=0.5
    ... )
    >>> alpha_x.item(), alpha_y.item()
    (1.0, 0.5)
    """
    return (
        external_convergence * (theta_x - centre_x),
        external_convergence * (theta_y - centre_y),
    )


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    external_convergence: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the lensing potential.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    external_convergence, centre_x, centre_y : Tensor or float
        As for `deflection`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, zero at the centre.

    Examples
    --------
    >>> potential(torch.tensor(2.0), torch.tensor(0.0), external_convergence=0.5).item()
    1.0
    """
    x, y = theta_x - centre_x, theta_y - centre_y
    return external_convergence * (x**2 + y**2) / 2
