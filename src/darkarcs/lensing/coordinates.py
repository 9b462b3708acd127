"""Turning the coordinates of a plane into the frame of an ellipse, and back."""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(x: Tensor, y: Tensor, angle: Tensor | float) -> tuple[Tensor, Tensor]:
    """Turn vectors by an angle from the x axis towards the y axis.

    Parameters
    ----------
    x, y : Tensor, any shape
        Components.
    angle : Tensor or float, broadcast, radians
        The angle; its negative gives the components in axes turned by it.

    Returns
    -------
    tuple of Tensor
        The components of the turned vectors.

    Examples
    --------
    >>> x, y = rotate(torch.tensor(1.0), torch.tensor(0.0), torch.pi / 2)
    >>> round(abs(x.item()), 6), round(y.item(), 6)
    (0.0, 1.0)
    """
    angle = torch.as_tensor(angle, dtype=x.dtype, device=x.device)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return cos * x - sin * y, sin * x + cos * y
