r"""From the image plane to the source plane through several lens planes.

With theta_j the position of a ray on plane j, alpha_i the reduced deflection of plane i (that for
the source, so alpha_i = D_is / D_s times the deflection in space) and D the angular-diameter
distances,

.. math::
    \theta_j = \theta - \sum_{i < j} \beta_{ij} \alpha_i(\theta_i), \qquad
    \beta_{ij} = \frac{D_{ij} D_s}{D_j D_{is}}.

For the source all beta_is are one, so planes that coincide (D_ij = 0) are a single lens plane.

References
----------
.. [1] Blandford & Narayan 1986, ApJ 310, 568.
.. [2] Schneider, Ehlers & Falco 1992, Gravitational Lenses, chapter 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from darkarcs.errors import ConfigurationError

Deflection = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def plane_scalings(to_planes: ArrayLike | Tensor, between: ArrayLike | Tensor) -> Tensor:
    """Compute the factors beta_ij from distances.

    Parameters
    ----------
    to_planes : array_like or Tensor, shape (P + 1,), Mpc
        Angular-diameter distances from us to the lens planes, in the order in which light from
        us meets them, and to the source.
    between : array_like or Tensor, shape (P + 1, P + 1), Mpc
        Angular-diameter distance of plane j from plane i at [i, j]; only j > i is read.

    Returns
    -------
    Tensor of float64, shape (P, P + 1)
        beta_ij; the last column, that of the source, is one, and it is zero for j <= i.

    Raises
    ------
    ConfigurationError
        If the shapes do not fit, a distance is not above 0, or the source is in a lens plane.

    Examples
    --------
    >>> plane_scalings([1.0, 2.0], [[0.0, 1.0], [0.0, 0.0]]).tolist()
    [[0.0, 1.0]]
    """
    distances = torch.as_tensor(to_planes, dtype=torch.float64)
    matrix = torch.as_tensor(between, dtype=torch.float64).triu(diagonal=1)
    count = len(distances)
    if matrix.shape != (count, count):
        raise ConfigurationError(
            f"{count} distances need {count} x {count} between them, not {tuple(matrix.shape)}"
        )
    to_source = matrix[:-1, -1]
    if (distances <= 0).any() or (to_source <= 0).any() or (matrix < 0).any():
        raise ConfigurationError(
            "distances must be positive, and the source behind every lens plane"
        )
    return matrix[:-1] * distances[-1] / (distances * to_source[:, None])


def multi_plane_ray_shooting(
    theta_x: Tensor, theta_y: Tensor, planes: Sequence[Deflection], scalings: Tensor
) -> tuple[Tensor, Tensor]:
    """Trace rays back through several lens planes.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    planes : sequence of callable, length P
        From near to far: each takes the positions of the rays on its plane and returns the
        reduced deflection there, arcsec (a profile with its parameters bound, or a sum of such).
    scalings : Tensor, shape (P, P + 1) or (P, P + 1, B, 1, 1)
        beta_ij as of `plane_scalings`, the same for all lenses or one for each.

    Returns
    -------
    beta_x, beta_y : Tensor, shape (..., H, W), arcsec
        Positions in the source plane.

    Raises
    ------
    ConfigurationError
        If the number of planes is not that of the scalings.

    Examples
    --------
    >>> from functools import partial
    >>> from darkarcs.lensing import mass_sheet
    >>> sheet = partial(mass_sheet.deflection, external_convergence=0.5)
    >>> scalings = plane_scalings([1.0, 1.0, 2.0], [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0] * 3])
    >>> one = torch.ones(1)
    >>> beta_x, _ = multi_plane_ray_shooting(one, one, [sheet, sheet], scalings)
    >>> beta_x.item()  # the two planes coincide: 1 - 0.5 - 0.5
    0.0
    """
    count = len(planes)
    if scalings.shape[:2] != (count, count + 1):
        raise ConfigurationError(
            f"{count} planes need scalings of shape ({count}, {count + 1}), "
            f"not {tuple(scalings.shape[:2])}"
        )
    scalings = scalings.to(dtype=theta_x.dtype, device=theta_x.device)
    bends: list[tuple[Tensor, Tensor]] = []
    x, y = theta_x, theta_y
    for target in range(count + 1):
        x, y = theta_x, theta_y
        for i, (alpha_x, alpha_y) in enumerate(bends):
            x, y = x - scalings[i, target] * alpha_x, y - scalings[i, target] * alpha_y
        if target < count:
            bends.append(planes[target](x, y))
    return x, y
