r"""Where a transformer looks: one number a patch, as pure functions of captured attention.

A head reads the class token or the mean of the patch tokens. In both cases the map is the
attention that goes out from what the head reads, the mean over those tokens ("readers"): the
class token's attention of a model whose head never reads it is not trained at all.

References
----------
.. [1] Caron et al. 2021, ICCV, arXiv:2104.14294: the class token's attention in the last layer.
.. [2] Abnar & Zuidema 2020, ACL, arXiv:2005.00928: attention rollout.
.. [3] Chefer et al. 2021, ICCV, arXiv:2103.15679: attention times its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from darkarcs.errors import ModelError
from darkarcs.objectives.contract import UNLABELLED

#: What to capture of the forward pass for each map.
CAPTURES: dict[str, tuple[str, ...]] = {
    "class_attention": ("attention.-1",),
    "rollout": ("attention",),
    "gradient_weighted": ("attention.-1",),
}


def outgoing_attention(attention: Tensor, num_prefix_tokens: int, readers: slice) -> Tensor:
    """Attention that each patch gets from what the head reads, in one layer [1]_.

    Parameters
    ----------
    attention : Tensor, shape (B, heads, N, N)
        Probabilities after softmax; row `i` says where token `i` looks.
    num_prefix_tokens : int
        How many tokens precede the patches.
    readers : slice
        The tokens that the head reads.

    Returns
    -------
    Tensor, shape (B, N - num_prefix_tokens), float32
        Mean over heads and readers; not normalised.

    References
    ----------
    .. [1] Caron et al. 2021, ICCV, arXiv:2104.14294.

    Examples
    --------
    >>> uniform = torch.full((1, 3, 5, 5), 0.2)
    >>> outgoing_attention(uniform, 1, slice(0, 1))
    tensor([[0.2000, 0.2000, 0.2000, 0.2000]])
    """
    rows = attention[:, :, readers].float().mean(dim=(1, 2))  # (B, N)
    return rows[:, num_prefix_tokens:]


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
    Tensor, shape (B, N - num_prefix_tokens), float32
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
    batch, _, tokens, _ = attentions[0].shape
    row = torch.zeros(batch, 1, tokens, device=attentions[0].device)
    row[:, :, readers] = 1.0
    row = row / row.sum(dim=-1, keepdim=True)  # (B, 1, N)
    # products of many small numbers: kept in float32 under autocast too
    with torch.autocast(row.device.type, enabled=False):
        for attention in reversed(attentions):
            mean = attention.float().mean(dim=1)  # (B, N, N)
            row = (1 - residual) * (row @ mean) + residual * row
    return row[:, 0, num_prefix_tokens:]


def gradient_weighted_attention(
    attention: Tensor, score: Tensor, num_prefix_tokens: int, readers: slice
) -> Tensor:
    r"""Attention times the gradient of a class's logit, where positive [1]_.

    .. math:: g = \mathrm{mean}_h \, \max\Bigl(0, A \odot \frac{\partial s}{\partial A}\Bigr)

    Parameters
    ----------
    attention : Tensor, shape (B, heads, N, N)
        Of the last layer, part of the graph of ``score``.
    score : Tensor, shape ()
        Sum over the images of the logit of each one's class.
    num_prefix_tokens : int
        How many tokens precede the patches.
    readers : slice
        The tokens that the head reads.

    Returns
    -------
    Tensor, shape (B, N - num_prefix_tokens), float32
        Not normalised; the graph is kept.

    References
    ----------
    .. [1] Chefer et al. 2021, ICCV, arXiv:2103.15679, equation 5.

    Examples
    --------
    >>> attention = torch.full((1, 1, 3, 3), 1 / 3, requires_grad=True)
    >>> score = 2 * attention[0, 0, 0, 1] - attention[0, 0, 0, 2]
    >>> gradient_weighted_attention(attention, score, 1, slice(0, 1))
    tensor([[0.6667, 0.0000]])
    """
    (gradient,) = torch.autograd.grad(score, attention, retain_graph=True)
    weighted = (attention.detach().float() * gradient.float()).clamp(min=0)
    return outgoing_attention(weighted, num_prefix_tokens, readers)


def class_score(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum the logits of the true classes, or of the predicted ones where there is no label.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of a model.
    labels : Tensor, shape (B,), int64
        `UNLABELLED` where the class is unknown.

    Returns
    -------
    Tensor, shape ()
        Part of the graph.

    Examples
    --------
    >>> class_score(torch.tensor([[1.0, 2.0], [5.0, 3.0]]), torch.tensor([0, -1]))
    tensor(6.)
    """
    classes = torch.where(labels == UNLABELLED, logits.argmax(dim=1), labels)
    return logits.gather(1, classes[:, None]).sum()


def attention_map(
    kind: Literal["class_attention", "rollout", "gradient_weighted"],
    output: Any,
    labels: Tensor,
    num_prefix_tokens: int,
    readers: slice,
) -> Tensor:
    """Make the chosen map of a model's output.

    Parameters
    ----------
    kind : {"class_attention", "rollout", "gradient_weighted"}
        The map. In inference mode, where no gradient exists, ``gradient_weighted`` gives the
        plain attention of the last layer.
    output : ModelOutput
        With what `CAPTURES` names captured.
    labels : Tensor, shape (B,), int64
        For the gradient; `UNLABELLED` takes the predicted class.
    num_prefix_tokens : int
        How many tokens precede the patches.
    readers : slice
        The tokens that the head reads.

    Returns
    -------
    Tensor, shape (B, patches), float32
        Detached, each row with sum one.

    Raises
    ------
    ModelError
        If the attention was not captured.
    """
    captured = output.captured
    names = sorted((n for n in captured if n.startswith("attention")), key=_layer)
    if not names:
        raise ModelError("the model gave no attention: choose strategy random")
    if kind == "rollout":
        found = rolled_out_attention([captured[n] for n in names], num_prefix_tokens, readers)
    elif kind == "gradient_weighted" and not torch.is_inference_mode_enabled():
        score = class_score(output.logits, labels)
        found = gradient_weighted_attention(captured[names[-1]], score, num_prefix_tokens, readers)
    else:
        found = outgoing_attention(captured[names[-1]], num_prefix_tokens, readers)
    found = found.detach()
    return found / found.sum(dim=1, keepdim=True).clamp(min=1e-12)


def _layer(name: str) -> int:
    return int(name.partition(".")[2])
