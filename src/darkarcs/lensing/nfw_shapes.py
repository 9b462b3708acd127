r"""The functions of x = r / r_s that the projected Navarro-Frenk-White profile is made of.

With u^2 = x^2 - 1 and

.. math::
    F(x) = \frac{\arctan u}{u} = \frac{\operatorname{arccosh} (1 / x)}{\sqrt{1 - x^2}},

the convergence, mean convergence and potential of the profile are proportional to
(1 - F) / u^2, (F + ln(x / 2)) / x^2 and ln^2(x / 2) + u^2 F^2. Written so they lose all their
digits near x = 1 or at small x; here each is rewritten or summed as a series there, so that
float32, and derivatives, can be trusted. All x must be above 0.

References
----------
.. [1] Bartelmann 1996, A&A 313, 697 (the projected profile).
.. [2] Baltz, Marshall & Oguri 2009, JCAP 01, 015 (arXiv 0705.0682), appendix A (F).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from darkarcs.lensing.special_functions import log1p_ratio

#: Below this |u^2| thirteen terms of a power series are exact in float64.
_SERIES_BELOW = 0.05
_SERIES_TERMS = 13

#: Below this x the logarithms are combined before they cancel.
_SMALL = 0.5


def arc_ratio(x: Tensor) -> Tensor:
    """Compute F(x).

    Parameters
    ----------
    x : Tensor, any shape
        Radius in units of the scale radius, above 0.

    Returns
    -------
    Tensor, same shape
        F, one at x = 1.

    Examples
    --------
    >>> arc_ratio(torch.tensor([1.0, 2.0], dtype=torch.float64)).tolist()
    [1.0, 0.604...]
    """
    squared = (x - 1) * (x + 1)
    w = torch.where(squared < -_SERIES_BELOW, -squared, torch.ones_like(x) / 2).sqrt()
    u = torch.where(squared > _SERIES_BELOW, squared, torch.ones_like(x)).sqrt()
    inside = (torch.log1p(w) - torch.log(x)) / w
    apart = torch.where(squared < 0, inside, torch.arctan(u) / u)
    return torch.where(squared.abs() < _SERIES_BELOW, _series(squared, 1), apart)


def convergence_shape(x: Tensor) -> Tensor:
    """Compute (1 - F) / (x^2 - 1), half the convergence in units of kappa_s.

    Parameters
    ----------
    x : Tensor, any shape
        Radius in units of the scale radius, above 0.

    Returns
    -------
    Tensor, same shape
        The shape, 1/3 at x = 1.

    Examples
    --------
    >>> round(convergence_shape(torch.ones(1, dtype=torch.float64)).item(), 6)
    0.333333
    """
    squared = (x - 1) * (x + 1)
    near = squared.abs() < _SERIES_BELOW
    apart = (1 - arc_ratio(x)) / torch.where(near, torch.ones_like(x), squared)
    return torch.where(near, _series(squared, 3), apart)


def mass_shape(x: Tensor) -> Tensor:
    """Compute (F + ln(x / 2)) / x^2, a quarter of the mean convergence inside x.

    Parameters
    ----------
    x : Tensor, any shape
        Radius in units of the scale radius, above 0.

    Returns
    -------
    Tensor, same shape
        The shape, 1 - ln 2 at x = 1; it grows as -ln(x) / 2 towards the centre.

    Examples
    --------
    >>> round(mass_shape(torch.ones(1, dtype=torch.float64)).item(), 6)
    0.306853
    """
    small, w, half = _inside(x)
    inside = (math.log(2) - torch.log(x) - log1p_ratio(-half) / 2) / (w * (1 + w))
    safe = torch.where(small, torch.ones_like(x), x)
    return torch.where(small, inside, (arc_ratio(safe) + torch.log(safe / 2)) / safe**2)


def potential_shape(x: Tensor) -> Tensor:
    """Compute ln^2(x / 2) + (x^2 - 1) F^2.

    Parameters
    ----------
    x : Tensor, any shape
        Radius in units of the scale radius, above 0.

    Returns
    -------
    Tensor, same shape
        The shape, zero at the centre.

    Examples
    --------
    >>> round(potential_shape(torch.ones(1, dtype=torch.float64)).item(), 6)  # ln^2 2
    0.480453
    """
    small, w, half = _inside(x)
    inside = torch.log1p(-half) * (2 * torch.log(x) - torch.log(2 * (1 + w)))
    safe = torch.where(small, torch.ones_like(x), x)
    squared = (safe - 1) * (safe + 1)
    outside = torch.log(safe / 2) ** 2 + squared * arc_ratio(safe) ** 2
    return torch.where(small, inside, outside)


def _inside(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where x is small; there w = sqrt(1 - x^2) and x^2 / (2 (1 + w)) = (1 - w) / 2."""
    small = x < _SMALL
    safe = torch.where(small, x, torch.full_like(x, _SMALL / 2))
    w = ((1 - safe) * (1 + safe)).sqrt()
    return small, w, safe**2 / (2 * (1 + w))


def _series(squared: Tensor, first: int) -> Tensor:
    """Sum (-u^2)^n / (2 n + first) where u^2 is small."""
    near = torch.where(squared.abs() < _SERIES_BELOW, squared, torch.zeros_like(squared))
    total = torch.zeros_like(squared)
    for n in range(_SERIES_TERMS - 1, -1, -1):
        total = 1 / (2 * n + first) - near * total
    return total
