"""What an objective must know of a model it knows nothing of: found by asking the model once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from darkarcs.errors import ModelError
from darkarcs.objectives.erasing.settings import IterativeErasing
from darkarcs.objectives.readers import find_readers


@dataclass(frozen=True)
class TokenLayout:
    """How a model cuts an image, and where its tokens are.

    Attributes
    ----------
    patch_size : int, pixels
        Side of what is erased at once.
    grid : tuple of two int
        Rows and columns of patches.
    num_prefix_tokens : int
        Tokens before the patch tokens.
    readers : slice
        Tokens that the head reads: the first, or all patches; see `darkarcs.objectives.readers`.
    tokens_name : str
        What to capture for the patch tokens; empty where there are none.
    width : int
        Size of a token; zero where there are none.
    """

    patch_size: int
    grid: tuple[int, int]
    num_prefix_tokens: int = 0
    readers: slice = field(default_factory=lambda: slice(0, 1))
    tokens_name: str = ""
    width: int = 0

    @property
    def num_patches(self) -> int:
        """Patches of an image."""
        return self.grid[0] * self.grid[1]


def find_layout(
    model: nn.Module, configuration: IterativeErasing, in_channels: int, image_size: int
) -> TokenLayout:
    """Ask a model for its layout, and refuse what it cannot do.

    One small forward pass in evaluation mode tells whether attention, patch tokens and patch
    masks are there.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    configuration : IterativeErasing
        What will be asked of it.
    in_channels, image_size : int
        Of the images.

    Returns
    -------
    TokenLayout
        The layout.

    Raises
    ------
    ModelError
        If the model lacks something that the configuration needs.
    """
    patch_size = _patch_size(model, configuration, image_size)
    side = image_size // patch_size
    grid = (side, side)
    if not _is_transformer(model):
        _require_plain_erasing(model, configuration)
        return TokenLayout(patch_size, grid)
    was_training, parameter = model.training, next(model.parameters())
    row = torch.linspace(-1, 1, image_size, device=parameter.device, dtype=parameter.dtype)
    image = (row[:, None] * row).expand(1, in_channels, -1, -1)
    try:
        return _ask(model.eval(), configuration, image, patch_size, grid)
    finally:
        model.train(was_training)


def _patch_size(model: nn.Module, configuration: IterativeErasing, image_size: int) -> int:
    declared: int | None = getattr(model, "patch_size", None)
    chosen = configuration.patch_size
    name = type(model).__name__
    if declared is None and chosen is None:
        raise ModelError(
            f"iterative erasing: {name} has no patches; set objective.patch_size, with "
            "objective.strategy random and objective.fill background, or choose a vit model"
        )
    if declared is not None and chosen not in (None, declared):
        raise ModelError(
            f"iterative erasing: objective.patch_size {chosen} is not the model's own "
            f"{declared}; leave it out"
        )
    patch_size = declared if declared is not None else int(chosen or 1)
    if image_size % patch_size or image_size // patch_size < 2:
        key = "objective.patch_size" if declared is None else "model.options.patch_size"
        raise ModelError(
            f"iterative erasing: images of {image_size} pixels cannot be cut into two or more "
            f"patches a side of {patch_size}; set {key} to a divisor of {image_size} that is at "
            f"most {image_size // 2}, or another preprocessing.size"
        )
    return patch_size


def _is_transformer(model: nn.Module) -> bool:
    return getattr(model, "patch_size", None) is not None


def _require_plain_erasing(model: nn.Module, configuration: IterativeErasing) -> None:
    wants = []
    if configuration.needs_attention:
        wants.append("attention (objective.strategy random needs none, nor does guard none)")
    if configuration.fill == "mask_token":
        wants.append("a mask token (objective.fill background needs none)")
    if configuration.weights.reconstruction:
        wants.append("patch tokens (objective.weights.reconstruction 0 needs none)")
    if wants:
        raise ModelError(f"iterative erasing: {type(model).__name__} lacks {'; '.join(wants)}")


def _ask(
    model: nn.Module,
    configuration: IterativeErasing,
    image: Tensor,
    patch_size: int,
    grid: tuple[int, int],
) -> TokenLayout:
    name = type(model).__name__
    num_patches, prefix = grid[0] * grid[1], int(getattr(model, "num_prefix_tokens", 0))
    tokens_name = _tokens_name(model, image)
    if configuration.needs_attention and not getattr(model, "supports_attention", False):
        raise ModelError(
            f"iterative erasing: {name} gives no attention; set objective.strategy random"
        )
    if configuration.fill == "mask_token":
        mask = torch.zeros(1, num_patches, dtype=torch.bool, device=image.device)
        with torch.no_grad():  # the model itself says what it lacks
            model(image, patch_mask=mask, erased="skip" if configuration.skips else "mask_token")
    with torch.no_grad():
        output: Any = model(image, capture=("hidden.-1",))
    hidden = output.captured["hidden.-1"]
    if hidden.shape[1] != num_patches + prefix:
        raise ModelError(
            f"iterative erasing: {name} has {hidden.shape[1]} tokens in its last layer, not "
            f"{num_patches} patches and {prefix} before them; choose a vit model"
        )
    readers = find_readers(model, image)
    return TokenLayout(patch_size, grid, prefix, readers, tokens_name, hidden.shape[-1])


def _tokens_name(model: nn.Module, image: Tensor) -> str:
    try:
        with torch.no_grad():
            model(image, capture=("patch_tokens",))
    except ModelError:
        return "hidden.-1"  # of transformers' models; the tokens before the patches are cut off
    return "patch_tokens"


def patch_tokens(output: Any, layout: TokenLayout) -> Tensor:
    """Give the patch tokens of a model's output.

    Parameters
    ----------
    output : ModelOutput
        With ``layout.tokens_name`` captured.
    layout : TokenLayout
        Of the model.

    Returns
    -------
    Tensor, shape (B, patches or those left, D)
        Part of the graph.

    Raises
    ------
    ModelError
        If they were not captured.
    """
    tokens: Tensor | None = output.captured.get(layout.tokens_name)
    if tokens is None:
        raise ModelError("the model gave no patch tokens: set objective.weights.reconstruction 0")
    if layout.tokens_name == "patch_tokens":
        return tokens
    return tokens[:, layout.num_prefix_tokens :]
