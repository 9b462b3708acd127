r"""Pseudo-Jaffe lens: isothermal between a core and a truncation, of finite mass.

The density in space is proportional to 1 / ((r^2 + r_a^2)(r^2 + r_s^2)), with r_a the core and
r_s the truncation radius. With a^2 = r_a^2 + r^2 and s^2 = r_s^2 + r^2, kappa_0 the convergence
at the centre and r now the projected radius,

.. math::
    \kappa = \kappa_0 \frac{r_a r_s}{r_s - r_a} \left(\frac{1}{a} - \frac{1}{s}\right), \qquad
    \alpha = 2 \kappa_0 \frac{r_a r_s}{r_s - r_a} \frac{a - r_a - s + r_s}{r}, \\
    \psi = \frac{2 \kappa_0 r_a r_s}{r_s - r_a}
    \left(a - s + r_s \ln (r_s + s) - r_a \ln (r_a + a)\right).

Here these are written without the differences, so that r_a = r_s is no special case. This is
lenstronomy's ``PJAFFE`` (its sigma0 is kappa_0); the lens is spherical. The total mass is
2 pi kappa_0 r_a r_s times the critical density. Where r_a << r << r_s it is an isothermal sphere
of Einstein radius 2 kappa_0 r_a r_s / (r_s - r_a).

References
----------
.. [1] Eliasdottir et al. 2007, arXiv 0710.5636, appendix A.
.. [2] Keeton 2001, astro-ph/0102341, the pseudo-Jaffe lens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from darkarcs.lensing.special_functions import log1p_ratio


def convergence(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    central_convergence: Tensor | float,
    core_radius: Tensor | float,
    truncation_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the convergence.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    central_convergence : Tensor or float, broadcast
        Convergence at the centre, kappa_0.
    core_radius : Tensor or float, broadcast, arcsec
        Inside it the density is constant; above 0.
    truncation_radius : Tensor or float, broadcast, arcsec
        Beyond it the density falls as the fourth power of the radius; above 0.
    centre_x, centre_y : Tensor or float, broadcast, arcsec
        Position of the lens.

    Returns
    -------
    Tensor, shape (..., H, W)
        Surface mass density in units of the critical one.

    Examples
    --------
    >>> zero = torch.zeros(1)
    >>> lens = {"central_convergence": 0.5, "core_radius": 1.0, "truncation_radius": 3.0}
    >>> convergence(zero, zero, **lens).item()
    0.5
    """
    squared = (theta_x - centre_x) ** 2 + (theta_y - centre_y) ** 2
    core, outer = _radii(core_radius, truncation_radius, squared)
    a, s = (core**2 + squared).sqrt(), (outer**2 + squared).sqrt()
    return central_convergence * core * outer * (core + outer) / (a * s * (a + s))


def deflection(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    central_convergence: Tensor | float,
    core_radius: Tensor | float,
    truncation_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Compute the reduced deflection.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    central_convergence, core_radius, truncation_radius, centre_x, centre_y : Tensor or float
        As for `convergence`.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (..., H, W), arcsec
        The deflection, smooth at the centre.

    Examples
    --------
    >>> far = torch.tensor([1e4])
    >>> lens = {"central_convergence": 0.5, "core_radius": 1.0, "truncation_radius": 3.0}
    >>> mass = deflection(far, 0 * far, **lens)[0] * far  # 2 kappa_0 r_a r_s
    >>> round(mass.item(), 2)
    3.0
    """
    x, y = theta_x - centre_x, theta_y - centre_y
    squared = x**2 + y**2
    core, outer = _radii(core_radius, truncation_radius, squared)
    a, s = (core**2 + squared).sqrt(), (outer**2 + squared).sqrt()
    shape = (1 + (core + outer) / (a + s)) / ((a + core) * (s + outer))
    mean_convergence = 2 * central_convergence * core * outer * shape
    return mean_convergence * x, mean_convergence * y


def potential(
    theta_x: Tensor,
    theta_y: Tensor,
    *,
    central_convergence: Tensor | float,
    core_radius: Tensor | float,
    truncation_radius: Tensor | float,
    centre_x: Tensor | float = 0.0,
    centre_y: Tensor | float = 0.0,
) -> Tensor:
    """Compute the lensing potential.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    central_convergence, core_radius, truncation_radius, centre_x, centre_y : Tensor or float
        As for `convergence`.

    Returns
    -------
    Tensor, shape (..., H, W), arcsec^2
        The potential, as the formula above gives it (not zero at the centre).

    Examples
    --------
    >>> point = torch.tensor([0.6]), torch.tensor([0.8])
    >>> lens = {"central_convergence": 0.5, "core_radius": 1.0}
    >>> close = potential(*point, truncation_radius=1.001, **lens)
    >>> equal = potential(*point, truncation_radius=1.0, **lens)
    >>> round(equal.item(), 2), abs(close - equal).item() < 2e-3
    (0.88, True)
    """
    squared = (theta_x - centre_x) ** 2 + (theta_y - centre_y) ** 2
    core, outer = _radii(core_radius, truncation_radius, squared)
    a, s = (core**2 + squared).sqrt(), (outer**2 + squared).sqrt()
    share = (core + outer) / (a + s)
    # ln(r_s + s) - ln(r_a + a), over r_s - r_a
    growth = (1 + share) / (core + a)
    quotient = growth * log1p_ratio((outer - core) * growth)
    shape = torch.log(outer + s) - share + core * quotient
    return 2 * central_convergence * core * outer * shape


def _radii(
    core_radius: Tensor | float, truncation_radius: Tensor | float, like: Tensor
) -> tuple[Tensor, Tensor]:
    core = torch.as_tensor(core_radius, dtype=like.dtype, device=like.device)
    outer = torch.as_tensor(truncation_radius, dtype=like.dtype, device=like.device)
    return core, outer
