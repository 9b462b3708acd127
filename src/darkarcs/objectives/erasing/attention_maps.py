"""Where a transformer looks: one number a patch, as pure functions of captured attention.

What the head reads, and what goes out from there, is in `darkarcs.objectives.readers`.

References
----------
.. [1] Chefer et al. 2021, ICCV, arXiv:2103.15679: attention times its gradient.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from darkarcs.errors import ModelError
from darkarcs.objectives.contract import UNLABELLED
from darkarcs.objectives.readers import outgoing_attention, rolled_out_attention

#: What to capture of the forward pass for each map.
CAPTURES: dict[str, tuple[str, ...]] = {
    "class_attention": ("attention.-1",),
    "rollout": ("attention",),
    "gradient_weighted": ("attention.-1",),
}


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
    return outgoing_attention(weighted, num_prefix_tokens, readers).mean(dim=1)


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
    # other losses may have captured attention too: ours goes by the names that we asked for
    names = [n for n in captured if n.startswith("attention.") and _layer(n) >= 0]
    last = captured.get("attention.-1")
    if not names if kind == "rollout" else last is None:
        raise ModelError("the model gave no attention: choose strategy random")
    if kind == "rollout":
        layers = [captured[n] for n in sorted(names, key=_layer)]
        found = rolled_out_attention(layers, num_prefix_tokens, readers)
    elif kind == "gradient_weighted" and not torch.is_inference_mode_enabled():
        score = class_score(output.logits, labels)
        found = gradient_weighted_attention(last, score, num_prefix_tokens, readers)
    else:
        found = outgoing_attention(last, num_prefix_tokens, readers).mean(dim=1)
    found = found.detach()
    return found / found.sum(dim=1, keepdim=True).clamp(min=1e-12)


def _layer(name: str) -> int:
    return int(name.partition(".")[2])
