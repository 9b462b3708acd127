"""Position embeddings for another grid of patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_position_embedding(
    positions: Tensor, grid: tuple[int, int], new_grid: tuple[int, int], *, num_prefix: int
) -> Tensor:
    """Interpolate learned position embeddings to another grid (bicubic, antialiased).

    Parameters
    ----------
    positions : Tensor, shape (1, num_prefix + rows * columns, D)
        Prefix tokens first, then the patches row by row.
    grid, new_grid : tuple of int
        Rows and columns, before and after.
    num_prefix : int
        Positions of prefix tokens, which are kept.

    Returns
    -------
    Tensor, shape (1, num_prefix + new rows * new columns, D)
        The input itself if the grid is the same.

    Examples
    --------
    >>> positions = torch.ones(1, 1 + 16, 8)
    >>> resize_position_embedding(positions, (4, 4), (6, 8), num_prefix=1).shape
    torch.Size([1, 49, 8])
    """
    if grid == new_grid:
        return positions
    prefix, patches = positions[:, :num_prefix], positions[:, num_prefix:]
    patches = patches.reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, D, rows, columns)
    if patches.dtype != torch.float64:  # half precision has no bicubic kernel
        patches = patches.float()
    resized = F.interpolate(
        patches, size=new_grid, mode="bicubic", antialias=True, align_corners=False
    )
    resized = resized.to(positions.dtype).permute(0, 2, 3, 1).flatten(1, 2)  # (1, patches, D)
    return torch.cat([prefix, resized], dim=1)
