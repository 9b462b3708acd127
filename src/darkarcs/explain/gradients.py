"""Maps from gradients: the baseline of every explanation, and attention weighted by them.

References
----------
.. [1] Simonyan, Vedaldi & Zisserman 2014, ICLR workshop, arXiv:1312.6034, section 3.
.. [2] Chefer, Gur & Wolf 2021, ICCV, arXiv:2103.15679, equations 5 and 6.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from darkarcs.explain.attention import class_attention
from darkarcs.explain.capturing import reading_tokens, require_attention
from darkarcs.explain.scores import class_score, resolve_class


def input_gradient(
    model: nn.Module, images: Tensor, class_index: int | Tensor | None = None
) -> Tensor:
    """Size of the gradient of a class's log-odds with respect to each pixel [1]_.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    images : Tensor, shape (B, C, H, W)
        Preprocessed, on the model's device.
    class_index : int, or Tensor of shape (B,), optional
        Of which class; by default the one that each image is called.

    Returns
    -------
    Tensor, shape (B, H, W)
        Largest absolute value over the channels; nowhere negative.

    References
    ----------
    .. [1] Simonyan, Vedaldi & Zisserman 2014, arXiv:1312.6034, section 3.1.
    """
    with torch.enable_grad():
        pixels = images.detach().clone().requires_grad_(True)
        logits = model(pixels).logits
        # images do not mix in evaluation mode, so one sum gives each image its own gradient
        total = class_score(logits, resolve_class(logits, class_index)).sum()
        (gradient,) = torch.autograd.grad(total, pixels)
    return gradient.abs().amax(dim=1)


def gradient_weighted_attention(
    model: nn.Module, images: Tensor, class_index: int | Tensor | None = None
) -> NDArray[np.float64]:
    r"""Attention that speaks for a class, followed through all layers [2]_.

    .. math:: \bar A_l = \langle (\nabla A_l \odot A_l)^+ \rangle_{heads}, \qquad
              R \leftarrow R + \bar A_l R, \quad R_0 = I

    The map is the mean over the rows of :math:`R - I` that belong to what the head reads.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode, with attention.
    images : Tensor, shape (B, C, H, W)
        Preprocessed, on the model's device.
    class_index : int, or Tensor of shape (B,), optional
        Of which class; by default the one that each image is called.

    Returns
    -------
    NDArray of float64, shape (B, g, g)
        Relevance of each patch to what the head reads; nowhere negative.

    Raises
    ------
    ModelError
        If the model has no attention.

    References
    ----------
    .. [2] Chefer, Gur & Wolf 2021, arXiv:2103.15679, equations 5 and 6.
    """
    prefix = require_attention(model)
    with torch.enable_grad():
        # nothing but the images need ask for gradients: attention depends on them
        output = model(images.detach().clone().requires_grad_(True), capture=("attention",))
        layers = [output.captured[f"attention.{k}"] for k in range(len(output.captured))]
        total = class_score(output.logits, resolve_class(output.logits, class_index)).sum()
        gradients = torch.autograd.grad(total, layers)
    tokens = layers[0].shape[-1]
    relevance = torch.eye(tokens, dtype=torch.float64).expand(len(images), tokens, tokens)
    for attention, gradient in zip(layers, gradients, strict=True):
        weighted = (gradient * attention).detach().clamp(min=0).mean(dim=1)  # (B, N, N)
        relevance = relevance + weighted.cpu().double() @ relevance
    # what a patch has of itself without any attention says nothing
    gained = relevance - torch.eye(tokens, dtype=torch.float64)
    readers = reading_tokens(model, images)
    return class_attention(gained[:, None].numpy(), prefix, readers=readers)
