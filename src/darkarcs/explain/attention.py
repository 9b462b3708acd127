"""Attention maps over the patches of an image, as pure functions of captured attention.

What a head reads, and what goes out from there, is in `darkarcs.objectives.readers`, which the
training with erasing shares.

References
----------
.. [1] Abnar & Zuidema 2020, ACL, arXiv:2005.00928: attention rollout.
.. [2] Caron et al. 2021, ICCV, arXiv:2104.14294: the class token's attention in the last layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.errors import ModelError
from darkarcs.objectives.readers import outgoing_attention, rolled_out_attention

Floats = NDArray[np.floating[Any]]


def class_attention(
    attention: Floats,
    num_prefix_tokens: int,
    heads: Literal["mean", "max", "each"] = "mean",
    readers: slice | None = None,
) -> NDArray[np.float64]:
    """Attention of what the head reads, the class token or all patches, in one layer [2]_.

    Parameters
    ----------
    attention : NDArray, shape (B, heads, N, N)
        Probabilities after softmax; row `i` says where token `i` looks.
    num_prefix_tokens : int
        How many tokens precede the patches.
    heads : {"mean", "max", "each"}
        How heads are brought together, or that they are not.
    readers : slice, optional
        The tokens that the head reads, from `darkarcs.explain.reading_tokens`; their mean is
        taken. By default the first, a class token, or all where no token precedes the patches.

    Returns
    -------
    NDArray of float64, shape (B, g, g), or (B, heads, g, g) for ``"each"``
        Not normalised: the rest of each sum of one goes to the prefix tokens.

    Raises
    ------
    ModelError
        If the shape is not that of attention, or the patches form no square.

    References
    ----------
    .. [2] Caron et al. 2021, ICCV, arXiv:2104.14294.

    Examples
    --------
    >>> class_attention(np.full((2, 3, 5, 5), 0.2), num_prefix_tokens=1).shape
    (2, 2, 2)
    """
    grid = _grid_size(attention, num_prefix_tokens)
    looking = _readers(readers, num_prefix_tokens)
    received = outgoing_attention(_tensor(attention), num_prefix_tokens, looking).numpy()
    # (B, heads, patches)
    if heads == "mean":
        received = received.mean(axis=1)
    elif heads == "max":
        received = received.max(axis=1)
    elif heads != "each":
        raise ModelError(f"heads = '{heads}': must be mean, max or each")
    return received.reshape(*received.shape[:-1], grid, grid)


def attention_rollout(
    attentions: Sequence[Floats],
    num_prefix_tokens: int,
    residual: float = 0.5,
    readers: slice | None = None,
) -> NDArray[np.float64]:
    r"""Attention of what the head reads to each patch, followed through all layers [1]_.

    .. math:: R = \tilde A_L \cdots \tilde A_1, \qquad
              \tilde A_l = (1 - r) \bar A_l + r I

    with :math:`\bar A_l` the mean over heads and `r` the share of the residual connection; the
    map is the mean over the rows of `R` that belong to the tokens that the head reads.

    Parameters
    ----------
    attentions : sequence of NDArray, shape (B, heads, N, N)
        Probabilities after softmax of each layer, from the input on.
    num_prefix_tokens : int
        How many tokens precede the patches.
    residual : float, default 0.5
        Share of the residual connection, in [0, 1); the paper's value.
    readers : slice, optional
        As in `class_attention`.

    Returns
    -------
    NDArray of float64, shape (B, g, g)
        Not normalised, as in `class_attention`.

    Raises
    ------
    ModelError
        If there is no layer, layers differ in shape, or the patches form no square.

    References
    ----------
    .. [1] Abnar & Zuidema 2020, ACL, arXiv:2005.00928, section 3.

    Examples
    --------
    >>> layers = [np.full((1, 2, 5, 5), 0.2)] * 3
    >>> attention_rollout(layers, num_prefix_tokens=1).round(3).tolist()
    [[[0.175, 0.175], [0.175, 0.175]]]
    """
    if not attentions:
        raise ModelError("attention rollout needs the attention of at least one layer")
    if not 0 <= residual < 1:
        raise ModelError(f"residual = {residual}: must be at least 0 and below 1")
    grid = _grid_size(attentions[0], num_prefix_tokens)
    batch, _, tokens, _ = attentions[0].shape
    for layer in attentions:
        if layer.shape[0] != batch or layer.shape[-2:] != (tokens, tokens):
            raise ModelError("attention rollout needs layers of the same number of tokens")
    looking = _readers(readers, num_prefix_tokens)
    layers = [_tensor(layer) for layer in attentions]
    rolled = rolled_out_attention(layers, num_prefix_tokens, looking, residual)
    return rolled.numpy().reshape(batch, grid, grid)


def _tensor(attention: Floats) -> Tensor:
    # a copy: arrays may be read-only, and float64 keeps products of many layers exact
    return torch.from_numpy(np.asarray(attention).astype(np.float64))


def _readers(readers: slice | None, num_prefix_tokens: int) -> slice:
    if readers is not None:
        return readers
    return slice(0, 1) if num_prefix_tokens else slice(0, None)


def _grid_size(attention: Floats, num_prefix_tokens: int) -> int:
    if attention.ndim != 4 or attention.shape[-1] != attention.shape[-2]:
        raise ModelError(f"attention has shape {tuple(attention.shape)}, not (B, heads, N, N)")
    patches = attention.shape[-1] - num_prefix_tokens
    grid = math.isqrt(max(patches, 0))
    if num_prefix_tokens < 0 or patches < 1 or grid * grid != patches:
        raise ModelError(
            f"{attention.shape[-1]} tokens with {num_prefix_tokens} before the patches"
            " leave no square of patches"
        )
    return grid
