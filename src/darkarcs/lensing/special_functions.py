"""Elementary functions written so that they, and their derivatives, keep their digits."""

from __future__ import annotations

import torch
from torch import Tensor


def log1p_ratio(value: Tensor) -> Tensor:
    """Compute ln(1 + v) / v, which is one at zero.

    Parameters
    ----------
    value : Tensor, any shape
        The argument v, above -1.

    Returns
    -------
    Tensor, same shape
        The ratio.

    Examples
    --------
    >>> log1p_ratio(torch.tensor([0.0, 1.0])).tolist()
    [1.0, 0.693...]
    """
    small = value.abs() < 1e-2
    near = torch.where(small, value, torch.zeros_like(value))
    apart = torch.where(small, torch.ones_like(value), value)
    series = torch.zeros_like(value)
    for n in range(9, 0, -1):
        series = 1 / n - near * series
    return torch.where(small, series, torch.log1p(apart) / apart)
