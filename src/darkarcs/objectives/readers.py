r"""What a head reads, and the attention that goes out from there.

A head reads the class token, two tokens, or the mean of the patches. The map of attention is
that which goes out from the tokens that are read ("readers"), and their mean: the class token of
a model whose head never reads it is in its last layer not trained at all.

References
----------
.. [1] Caron et al. 2021, ICCV, arXiv:2104.14294: the class token's attention in the last layer.
.. [2] Abnar & Zuidema 2020, ACL, arXiv:2005.00928: attention rollout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from darkarcs.errors import ModelError


def find_readers(model: nn.Module, image: Tensor) -> slice:
    """Find the tokens of the last layer that a model's head reads: where logits have a gradient.

    Parameters
    ----------
    model : nn.Module
        With tokens, in evaluation mode; left as it is.
    image : Tensor, shape (1, C, H, W)
        Any that is not constant.

    Returns
    -------
    slice
        The first tokens (the class token, and the distillation token where both are read), or
        all patches.

    Raises
    ------
    ModelError
        If the model has no hidden states to capture.
    """
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    with torch.inference_mode(mode=False), torch.enable_grad():
        # asked of the image: weights may be frozen
        shown = image.detach().clone().requires_grad_()
        output = model(shown, capture=("hidden.-1",))
        hidden = output.captured["hidden.-1"]
        if hidden.ndim != 3:
            raise ModelError(f"{type(model).__name__} has no tokens that a head could read")
        (gradient,) = torch.autograd.grad(output.logits[:, 0].sum(), hidden, allow_unused=True)
    if prefix == 0 or (gradient is not None and bool(gradient[:, prefix:].any())):
        return slice(prefix, None)
    read = [] if gradient is None else gradient[0].any(dim=-1).nonzero().flatten().tolist()
    return slice(0, max(read, default=0) + 1)


def outgoing_attention(attention: Tensor, num_prefix_tokens: int, readers: slice) -> Tensor:
    """Attention that each patch gets from what the head reads, in one layer [1]_.

    Parameters
    ----------
    attention : Tensor, shape (..., N, N)
        Probabilities after softmax; row `i` says where token `i` looks.
    num_prefix_tokens : int
        How many tokens precede the patches.
    readers : slice
        The tokens that the head reads.

    Returns
    -------
    Tensor, shape (..., N - num_prefix_tokens), float32 or float64
        Mean over the readers; not normalised: the rest of each sum of one goes to the prefix.

    References
    ----------
    .. [1] Caron et al. 2021, ICCV, arXiv:2104.14294.

    Examples
    --------
    >>> attention = torch.tensor([[0.2, 0.8, 0.0], [0.0, 0.5, 0.5], [0.0, 0.1, 0.9]])
    >>> outgoing_attention(attention, 1, slice(0, 1))
    tensor([0.8000, 0.0000])
    >>> outgoing_attention(attention, 1, slice(1, None))
    tensor([0.3000, 0.7000])
    """
    return _precise(attention[..., readers, num_prefix_tokens:]).mean(dim=-2)


def rolled_out_attention(
    attentions: Sequence[Tensor], num_prefix_tokens: int, readers: slice, residual: float = 0.5
) -> Tensor:
    r"""Attention from what the head reads to each patch, followed through all layers [1]_.

    .. math:: \rho = u \tilde A_L \cdots \tilde A_1, \qquad
              \tilde A_l = (1 - r) \bar A_l + r I

    with `u` uniform over the readers and :math:`\bar A_l` the mean over heads. Multiplying the
    row vector from the left costs :math:`O(L N^2)` rather than :math:`O(L N^3)`.

    Parameters
    ----------
    attentions : sequence of Tensor, shape (B, heads, N, N)
        Probabilities after softmax of each layer, from the input on.
    num_prefix_tokens : int
        How many tokens precede the patches.
    readers : slice
        The tokens that the head reads.
    residual : float, default 0.5
        Share `r` of the residual connection.

    Returns
    -------
    Tensor, shape (B, N - num_prefix_tokens), float32 or float64
        Not normalised.

    References
    ----------
    .. [1] Abnar & Zuidema 2020, ACL, arXiv:2005.00928, equation 1.

    Examples
    --------
    >>> layers = [torch.full((1, 2, 5, 5), 0.2)] * 3
    >>> rolled_out_attention(layers, 1, slice(0, 1)).round(decimals=3)
    tensor([[0.1750, 0.1750, 0.1750, 0.1750]])
    """
    first = _precise(attentions[0][:, 0])  # (B, N, N)
    row = torch.zeros_like(first[:, :1])
    row[:, :, readers] = 1.0
    row = row / row.sum(dim=-1, keepdim=True)  # (B, 1, N)
    # products of many small numbers: kept in float32 under autocast too
    with torch.autocast(row.device.type, enabled=False):
        for attention in reversed(attentions):
            mean = _precise(attention).mean(dim=1)  # (B, N, N)
            row = (1 - residual) * (row @ mean) + residual * row
    return row[:, 0, num_prefix_tokens:]


def _precise(attention: Tensor) -> Tensor:
    return attention if attention.dtype == torch.float64 else attention.float()
