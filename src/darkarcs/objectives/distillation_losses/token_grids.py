"""Bringing a teacher's tokens to the places of a student's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from darkarcs.objectives.model_shape import grid_of


def aligned_patches(
    hidden: Tensor,
    num_prefix_tokens: int,
    grid: tuple[int, int],
    erased: Tensor | None = None,
) -> Tensor:
    """Take the patches of a hidden state as they lie on another grid.

    Parameters
    ----------
    hidden : torch.Tensor, shape (B, N, D) or (B, D, H, W)
        Tokens, or a convolutional network's feature map.
    num_prefix_tokens : int
        Tokens before the patches, which are left out.
    grid : tuple of (int, int)
        Rows and columns that are wanted; resampled by antialiased bilinear interpolation
        where they differ.
    erased : torch.Tensor, shape (B, rows * columns), bool, optional
        Patches that are to be left out, as many in every image.

    Returns
    -------
    torch.Tensor, shape (B, n, D), float32
        Patches row by row.

    Examples
    --------
    >>> import torch
    >>> tokens = torch.arange(5.0)[None, :, None]  # one class token, four patches
    >>> aligned_patches(tokens, 1, (2, 2)).flatten().tolist()
    [1.0, 2.0, 3.0, 4.0]
    >>> aligned_patches(tokens, 1, (1, 1)).flatten().tolist()
    [2.5]
    """
    own = grid_of(hidden, num_prefix_tokens)
    if hidden.ndim == 3:
        patches = hidden[:, num_prefix_tokens:].transpose(1, 2)  # (B, D, H * W)
        hidden = patches.reshape(*patches.shape[:2], *own)
    patches = resample_grid(hidden.float(), grid).flatten(2).transpose(1, 2)  # (B, n, D)
    return patches if erased is None else visible_patches(patches, erased)


def visible_patches(patches: Tensor, erased: Tensor) -> Tensor:
    """Leave erased patches out, as a sequence that skips them does.

    Parameters
    ----------
    patches : torch.Tensor, shape (B, P, D)
        Row by row.
    erased : torch.Tensor, shape (B, P), bool
        As many in every image.

    Returns
    -------
    torch.Tensor, shape (B, n, D)
        The others, in their order.

    Examples
    --------
    >>> import torch
    >>> erased = torch.tensor([[False, True, False]])
    >>> visible_patches(torch.arange(3.0)[None, :, None], erased).flatten().tolist()
    [0.0, 2.0]
    """
    kept = int((~erased[0]).sum())
    # stable: the kept patches come first and stay in their order
    indices = erased.int().argsort(dim=1, stable=True)[:, :kept]
    return patches.gather(1, indices[..., None].expand(-1, -1, patches.shape[-1]))


def resample_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resample maps to another number of rows and columns over the same area.

    Parameters
    ----------
    maps : torch.Tensor, shape (B, D, H, W)
        Float32.
    grid : tuple of (int, int)
        Rows and columns.

    Returns
    -------
    torch.Tensor, shape (B, D, rows, columns)
        The very same tensor if the grid is the same.
    """
    if tuple(maps.shape[-2:]) == tuple(grid):
        return maps
    return functional.interpolate(
        maps, size=list(grid), mode="bilinear", antialias=True, align_corners=False
    )


def join_heads(vectors: Tensor) -> Tensor:
    """Join the heads of queries, keys or values.

    Parameters
    ----------
    vectors : torch.Tensor, shape (B, heads, N, d)
        As captured.

    Returns
    -------
    torch.Tensor, shape (B, N, heads * d)
        One vector a token.
    """
    return vectors.transpose(1, 2).flatten(2)
