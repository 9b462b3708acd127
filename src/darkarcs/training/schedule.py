"""Learning rates: layer-wise decay over depth, warm-up and cosine over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn


def warmup_cosine(step: int, num_steps: int, warmup: float, final: float) -> float:
    """Give the factor on the peak learning rate at a step.

    Parameters
    ----------
    step : int
        Zero-based optimizer step.
    num_steps : int
        Steps in the run.
    warmup : float
        Share of the steps that rise linearly.
    final : float
        Factor at the last step.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> [round(warmup_cosine(s, 10, 0.2, 0.0), 3) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    num_warmup = warmup * num_steps
    if step < num_warmup:
        return min(1.0, (step + 1) / num_warmup)
    progress = min(1.0, (step - num_warmup) / max(1.0, num_steps - num_warmup))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(
    layer_groups: Sequence[Sequence[nn.Parameter]],
    extra: Sequence[nn.Parameter],
    *,
    learning_rate: float,
    weight_decay: float,
    layer_decay: float,
    no_decay: set[int],
) -> list[dict[str, Any]]:
    """Group trainable parameters for AdamW.

    Parameters
    ----------
    layer_groups : sequence of sequences of torch.nn.Parameter
        From the input to the head.
    extra : sequence of torch.nn.Parameter
        Parameters of the objective; they train at the full rate.
    learning_rate, weight_decay : float
        Of the last group.
    layer_decay : float
        Factor from each group to the one before it (BEiT, arXiv:2106.08254).
    no_decay : set of int
        ``id`` of further parameters without weight decay; those of one dimension or none never
        have it.

    Returns
    -------
    list of dict
        Groups with ``params``, ``lr`` and ``weight_decay``; frozen parameters are left out.
    """
    groups: list[dict[str, Any]] = []
    depth = len(layer_groups)
    numbered = [(layer_decay ** (depth - 1 - i), group) for i, group in enumerate(layer_groups)]
    for factor, parameters in [*numbered, (1.0, extra)]:
        trainable = [p for p in parameters if p.requires_grad]
        plain = [p for p in trainable if p.ndim <= 1 or id(p) in no_decay]
        decayed = [p for p in trainable if not (p.ndim <= 1 or id(p) in no_decay)]
        for members, decay in ((decayed, weight_decay), (plain, 0.0)):
            if members:
                groups.append(
                    {"params": members, "lr": learning_rate * factor, "weight_decay": decay}
                )
    return groups
