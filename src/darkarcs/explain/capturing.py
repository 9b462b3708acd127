"""Attention of a model as arrays, and maps of patches as maps of pixels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from darkarcs.errors import ModelError
from darkarcs.objectives.readers import find_readers


def require_attention(
    model: nn.Module,
    otherwise: str = "a method that does not need attention (evidence map, input gradient)",
) -> int:
    """Return the number of tokens before the patches, of a model that has attention.

    Parameters
    ----------
    model : torch.nn.Module
        See `darkarcs.models.interface.ImageClassifier`.
    otherwise : str, optional
        What the caller can do with a model without attention, for the message.

    Returns
    -------
    int
        Its ``num_prefix_tokens``.

    Raises
    ------
    ModelError
        If the model has no attention to show.
    """
    if not getattr(model, "supports_attention", False):
        raise ModelError(
            f"{type(model).__name__} has no attention: choose a vision transformer, or {otherwise}"
        )
    return int(getattr(model, "num_prefix_tokens", 0))


def reading_tokens(model: nn.Module, images: Tensor) -> slice:
    """Find the tokens that a model's head reads: the class token, or the patches.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode, with attention.
    images : Tensor, shape (B, C, H, W)
        At least one, on the model's device; its pixels do not matter.

    Returns
    -------
    slice
        For `darkarcs.explain.class_attention` and `darkarcs.explain.attention_rollout`.

    Raises
    ------
    ModelError
        If the model has no attention.
    """
    require_attention(model)
    height, width = images.shape[-2:]
    rows, columns = (torch.linspace(-1, 1, n).to(images) for n in (height, width))
    image = (rows[:, None] * columns).expand(1, images.shape[1], -1, -1)
    return find_readers(model, image)


@torch.no_grad()
def capture_attention(model: nn.Module, images: Tensor) -> tuple[Tensor, list[NDArray[np.float32]]]:
    """Predict, and keep the attention of every layer.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode, with attention.
    images : Tensor, shape (B, C, H, W)
        Preprocessed, on the model's device.

    Returns
    -------
    logits : Tensor, shape (B, K)
        Of the same pass.
    attentions : list of NDArray of float32, shape (B, heads, N, N)
        Probabilities after softmax, from the first layer to the last.

    Raises
    ------
    ModelError
        If the model has no attention.
    """
    require_attention(model)
    output = model(images, capture=("attention",))
    layers = [output.captured[f"attention.{k}"] for k in range(len(output.captured))]
    return output.logits, [layer.float().cpu().numpy() for layer in layers]


def to_pixels(maps: Tensor | NDArray[np.floating], height: int, width: int) -> Tensor:
    """Interpolate maps of patches to maps of pixels.

    Parameters
    ----------
    maps : Tensor or NDArray, shape (B, g, g)
        One value a patch.
    height, width : int, pixels
        Of the image.

    Returns
    -------
    Tensor, shape (B, height, width), float32
        Bilinear; a value lies at the centre of its patch.

    Examples
    --------
    >>> to_pixels(torch.tensor([[[0.0, 1.0]]]), 1, 4).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    patches = torch.as_tensor(maps, dtype=torch.float32)[:, None]
    return F.interpolate(patches, (height, width), mode="bilinear", align_corners=False)[:, 0]
