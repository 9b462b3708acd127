"""From the image plane to the source plane."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from darkarcs.kernels import use_kernel


def image_grid(
    size: int,
    pixel_scale: float,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Make the positions of the centres of an image's pixels.

    Parameters
    ----------
    size : int, pixels
        Side of the image.
    pixel_scale : float, arcsec per pixel
        Side of a pixel.
    dtype : torch.dtype, default float32
        Of the coordinates.
    device : torch.device or str, default "cpu"
        Where they are.

    Returns
    -------
    theta_x, theta_y : Tensor, shape (size, size), arcsec
        x grows with the column, y with the row: draw images with the first row at the bottom.
        The origin is the centre of the image.

    Examples
    --------
    >>> theta_x, theta_y = image_grid(2, 0.5)
    >>> theta_x.tolist()
    [[-0.25, 0.25], [-0.25, 0.25]]
    >>> theta_y[:, 0].tolist()
    [-0.25, 0.25]
    """
    axis = (torch.arange(size, dtype=dtype, device=device) - (size - 1) / 2) * pixel_scale
    theta_y, theta_x = torch.meshgrid(axis, axis, indexing="ij")
    return theta_x, theta_y


def ray_shooting(
    theta_x: Tensor, theta_y: Tensor, deflections: Iterable[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Trace rays back through one lens plane: beta = theta - sum of alpha(theta).

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (..., H, W), arcsec
        Positions in the image plane.
    deflections : iterable of (alpha_x, alpha_y)
        Reduced deflections of the lens's parts there, arcsec.

    Returns
    -------
    beta_x, beta_y : Tensor, shape (..., H, W), arcsec
        Positions in the source plane.

    Examples
    --------
    >>> theta = torch.tensor(1.5)
    >>> beta_x, beta_y = ray_shooting(theta, 0 * theta, [(theta / 3, 0 * theta)])
    >>> beta_x.item(), beta_y.item()
    (1.0, 0.0)
    """
    beta_x, beta_y = theta_x, theta_y
    for number, (alpha_x, alpha_y) in enumerate(deflections):
        ours = number > 0 and beta_x.shape == alpha_x.shape == beta_y.shape == alpha_y.shape
        if ours and use_kernel("auto", (beta_x, beta_y, alpha_x, alpha_y)):
            # no derivative needs what was there, and a further array costs time
            beta_x -= alpha_x
            beta_y -= alpha_y
        else:
            beta_x, beta_y = beta_x - alpha_x, beta_y - alpha_y
    return beta_x, beta_y
