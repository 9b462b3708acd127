"""A slow copy of the model, whose attention may choose what is erased.

References
----------
.. [1] Tarvainen & Valpola 2017, NeurIPS, arXiv:1703.01780: mean teachers.
.. [2] Kakogeorgiou et al. 2022, ECCV, arXiv:2203.12719: the teacher's attention masks the student.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """An exponential moving average of a model, always in evaluation mode, never trained.

    It is copied when it is made, and not at its first use: so it is in the state dict from the
    first checkpoint on, and a resumed run reads it back.

    Parameters
    ----------
    model : nn.Module
        Copied, not kept.
    decay : float
        Decay a step once warm; at step ``n`` it is ``min(decay, (1 + n) / (10 + n))``.

    References
    ----------
    Tarvainen & Valpola 2017, NeurIPS, arXiv:1703.01780.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = MovingAverage(model, decay=0.5)
    >>> before = float(average.network.weight)
    >>> _ = model.weight.data.add_(1.0)
    >>> average.update(model, step=100)
    >>> round(float(average.network.weight) - before, 4)
    0.5
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.network = copy.deepcopy(model).requires_grad_(False)
        self.network.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: an average has no dropout and no statistics of its own."""
        return super().train(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards a model.

        Parameters
        ----------
        model : nn.Module
            Of the same architecture.
        step : int
            Index of the optimizer step, for the warm-up.
        """
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        pairs = [
            *zip(self.network.parameters(), model.parameters(), strict=True),
            *zip(self.network.buffers(), model.buffers(), strict=True),
        ]
        for mean, value in pairs:
            if mean.is_floating_point():
                mean.lerp_(value.detach(), weight)
            else:  # counters such as BatchNorm's
                mean.copy_(value)

    def forward(self, images: Tensor, capture: Sequence[str] = (), **options: Any) -> Any:
        """Call the averaged model.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            What the model takes.
        capture : sequence of str
            What to return beside the logits.
        **options : Any
            ``patch_mask`` and ``erased``.

        Returns
        -------
        ModelOutput
            As the model's own.
        """
        return self.network(images, capture=capture, **options)
