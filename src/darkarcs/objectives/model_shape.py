"""What a loss must know of a model's inside, found by one forward pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from darkarcs.errors import ModelError


@dataclass(frozen=True)
class ModelShape:
    """Shape of what a model lets one capture; empty where it captures nothing.

    Attributes
    ----------
    widths : tuple of int
        Channels of the hidden state of each layer; none where these have no places on the image.
    grids : tuple of ((int, int) or None)
        Rows and columns of patches, or of a feature map, of each layer; None for patches that
        form no square.
    num_heads : int
        Of the attention whose queries, keys and values can be captured; 0 where they cannot.
    gives_attention : bool
        Whether attention probabilities can be captured.
    num_prefix_tokens : int
        Tokens before the patches.
    class_token : bool
        Whether the first of them is a class token that the classifier reads; a model that reads
        the mean of its patches may have one all the same.
    """

    widths: tuple[int, ...]
    grids: tuple[tuple[int, int] | None, ...]
    num_heads: int
    gives_attention: bool
    num_prefix_tokens: int
    class_token: bool

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.widths)


def measure_shape(model: nn.Module, in_channels: int, image_size: int) -> ModelShape:
    """Measure what a model captures by showing it one empty image.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(images, capture=())``; left in the mode it was in.
    in_channels, image_size : int
        Of the images it will see.

    Returns
    -------
    ModelShape
        Of this model at this size.
    """
    described: Any = model
    parameter = next(model.parameters(), torch.empty(0))
    image = torch.zeros(1, in_channels, image_size, image_size, device=parameter.device)
    num_prefix = int(getattr(model, "num_prefix_tokens", 0))
    architecture = getattr(described, "architecture", None)
    hidden = [h for h in _captured(model, image, "hidden") if h.ndim in (3, 4)]
    queries = _captured(model, image, "query")
    return ModelShape(
        widths=tuple(state.shape[1 if state.ndim == 4 else 2] for state in hidden),
        grids=tuple(_grid_or_none(state, num_prefix) for state in hidden),
        num_heads=queries[0].shape[1] if queries else 0,
        gives_attention=bool(_captured(model, image, "attention")),
        num_prefix_tokens=num_prefix,
        class_token=num_prefix > 0 and getattr(architecture, "pool", "class") == "class",
    )


def grid_of(hidden: Tensor, num_prefix_tokens: int) -> tuple[int, int]:
    """Find the rows and columns of a hidden state.

    Parameters
    ----------
    hidden : torch.Tensor, shape (B, N, D) or (B, D, H, W)
        Tokens, or a feature map.
    num_prefix_tokens : int
        Tokens before the patches.

    Returns
    -------
    tuple of (int, int)
        Rows, columns.

    Raises
    ------
    ModelError
        If the patches do not form a square.

    Examples
    --------
    >>> grid_of(torch.zeros(1, 17, 8), 1), grid_of(torch.zeros(1, 8, 3, 3), 0)
    ((4, 4), (3, 3))
    """
    if hidden.ndim == 4:
        return hidden.shape[2], hidden.shape[3]
    patches = hidden.shape[1] - num_prefix_tokens
    side = math.isqrt(max(patches, 0))
    if side * side != patches or side == 0:
        raise ModelError(f"{patches} patch tokens form no square: distil from square images")
    return side, side


def _grid_or_none(hidden: Tensor, num_prefix_tokens: int) -> tuple[int, int] | None:
    try:
        return grid_of(hidden, num_prefix_tokens)
    except ModelError:  # it matters only to a loss that compares patches, which says so
        return None


@torch.no_grad()
def _captured(model: nn.Module, image: Tensor, kind: str) -> list[Tensor]:
    training = model.training
    model.eval()
    try:
        captured: dict[str, Tensor] = model(image, capture=(kind,)).captured
    except ModelError:  # a model that has no such thing says so
        return []
    finally:
        model.train(training)
    return [captured[f"{kind}.{layer}"] for layer in range(len(captured))]
