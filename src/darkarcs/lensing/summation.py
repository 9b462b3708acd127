"""Summing the deflections of many masses in plain torch, within a bound on memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

#: Elements (masses times pixels of all lenses) that a GPU treats at once: enough to fill it.
_ELEMENTS_ON_GPU = 2**24


def sum_in_chunks(
    deflection: Callable[..., tuple[Tensor, Tensor]],
    theta_x: Tensor,
    theta_y: Tensor,
    masses: Mapping[str, Tensor],
) -> tuple[Tensor, Tensor]:
    """Sum deflections over masses, lens by lens; differentiable.

    On the CPU one mass of every lens at a time, which memory and caches like best; on a GPU as
    many as fill it, in chunks of up to 2^24 pairs of mass and pixel.

    Parameters
    ----------
    deflection : callable
        Of one mass: gets positions and, by name, parameters, all broadcast.
    theta_x, theta_y : Tensor, shape (H, W) or (B, H, W), arcsec
        Positions in the image plane.
    masses : mapping of str to Tensor, shape (B, S)
        Parameters of S masses in each of B lenses.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (B, H, W), arcsec
        The sums.
    """
    batch, count = next(iter(masses.values())).shape
    pixels = theta_x.shape[-2:]
    together = 1
    if theta_x.device.type != "cpu":
        together = max(1, _ELEMENTS_ON_GPU // max(1, batch * pixels.numel()))
    alpha_x = torch.zeros((batch, *pixels), dtype=theta_x.dtype, device=theta_x.device)
    alpha_y = torch.zeros_like(alpha_x)
    # (H, W) or (B, 1, H, W) beside parameters of shape (B, chunk, 1, 1)
    x, y = (theta if theta.ndim == 2 else theta[:, None] for theta in (theta_x, theta_y))
    for first in range(0, count, together):
        chunk = slice(first, first + together)
        one = {name: value[:, chunk, None, None] for name, value in masses.items()}
        bend_x, bend_y = deflection(x, y, **one)
        if together == 1:
            bend_x, bend_y = bend_x[:, 0], bend_y[:, 0]
        else:
            bend_x, bend_y = bend_x.sum(dim=1), bend_y.sum(dim=1)
        alpha_x, alpha_y = alpha_x + bend_x, alpha_y + bend_y
    return alpha_x, alpha_y
