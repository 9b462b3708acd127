"""The head that measures: numbers of a lens and a map over it, from a backbone's patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.errors import ModelError


class HeadShape(Configuration):
    """Shape of a `MeasurementHead`.

    Attributes
    ----------
    width : int
        Of the backbone's patch tokens, or channels of its feature map.
    grid : int
        Patches along the side of an image.
    num_targets, num_outputs : int
        Numbers that are measured, and free numbers that describe each one's distribution.
    cells : int, optional
        Cells of the map along the side of a patch; None for no map.
    hidden : int
        Width of the head's own layers.
    """

    width: int = Field(ge=1)
    grid: int = Field(ge=1)
    num_targets: int = Field(ge=0)
    num_outputs: int = Field(ge=1)
    cells: int | None = Field(default=None, ge=1)
    hidden: int = Field(default=128, ge=1)


@dataclass(frozen=True)
class HeadOutput:
    """What a `MeasurementHead` gives.

    Attributes
    ----------
    values : torch.Tensor, shape (B, T, P)
        Free numbers of each target, float32.
    map : torch.Tensor, shape (B, G, G), or None
        Logits of the map, float32.
    """

    values: Tensor
    map: Tensor | None


class MeasurementHead(nn.Module):
    """Two small networks over patch tokens: one pools them, one looks at each alone.

    The pooled one reads the mean of the patches and, beside it, an average whose weights it
    learns, since the trace of a subhalo is in few of them.

    Parameters
    ----------
    shape : HeadShape
        Its widths.

    Examples
    --------
    >>> head = MeasurementHead(HeadShape(width=16, grid=4, num_targets=2, num_outputs=5, cells=2))
    >>> output = head(torch.zeros(3, 16, 16))
    >>> output.values.shape, output.map.shape
    (torch.Size([3, 2, 5]), torch.Size([3, 8, 8]))
    """

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)
        self.scorer = nn.Linear(shape.width, 1)
        self.measure: nn.Module | None = None
        if shape.num_targets:
            self.measure = nn.Sequential(
                nn.Linear(2 * shape.width, shape.hidden),
                nn.GELU(),
                nn.Linear(shape.hidden, shape.num_targets * shape.num_outputs),
            )
        self.locate: nn.Module | None = None
        if shape.cells is not None:
            self.locate = nn.Sequential(
                nn.Linear(shape.width, shape.hidden),
                nn.GELU(),
                nn.Linear(shape.hidden, shape.cells**2),
            )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, features: Tensor) -> HeadOutput:
        """Measure.

        Parameters
        ----------
        features : torch.Tensor, shape (B, N, D) or (B, D, H, W)
            Patch tokens row by row, or a feature map.

        Returns
        -------
        HeadOutput
            Numbers, and logits of the map.

        Raises
        ------
        ModelError
            If the patches are not those that the head was made for.
        """
        if features.ndim == 4:
            features = features.flatten(2).transpose(1, 2)
        shape = self.shape
        if features.shape[1:] != (shape.grid**2, shape.width):
            raise ModelError(
                f"the measuring head takes {shape.grid}x{shape.grid} patches of {shape.width} "
                f"numbers, not {tuple(features.shape[1:])}: give images of the size trained on"
            )
        tokens = self.norm(features)  # (B, N, D)
        values = tokens.new_empty(len(tokens), 0, shape.num_outputs)
        if self.measure is not None:
            weights = self.scorer(tokens).softmax(dim=1)  # (B, N, 1)
            averages = [tokens.mean(dim=1), (weights * tokens).sum(dim=1)]
            values = self.measure(torch.cat(averages, dim=1)).float()
            values = values.reshape(len(features), shape.num_targets, shape.num_outputs)
        if self.locate is None or shape.cells is None:
            return HeadOutput(values, None)
        cells = self.locate(tokens).float()  # (B, N, cells * cells)
        cells = cells.reshape(-1, shape.grid, shape.grid, shape.cells, shape.cells)
        side = shape.grid * shape.cells
        return HeadOutput(values, cells.permute(0, 1, 3, 2, 4).reshape(-1, side, side))


def feature_name(model: nn.Module) -> str:
    """Name what a head reads of a backbone.

    Parameters
    ----------
    model : torch.nn.Module
        From the model registry.

    Returns
    -------
    str
        To capture: ``patch_tokens`` of a transformer, else its last hidden state.
    """
    described: Any = model
    architecture = getattr(described, "architecture", None)
    return "patch_tokens" if hasattr(architecture, "patch_size") else "hidden.-1"


def patch_features(captured: Tensor, num_prefix_tokens: int) -> Tensor:
    """Leave prefix tokens away where a hidden state has them.

    Parameters
    ----------
    captured : torch.Tensor, shape (B, N, D) or (B, D, H, W)
        Under the name that `feature_name` gives.
    num_prefix_tokens : int
        Tokens before the patches.

    Returns
    -------
    torch.Tensor, shape (B, patches, D) or (B, D, H, W)
        What `MeasurementHead` takes.
    """
    return captured if captured.ndim == 4 else captured[:, num_prefix_tokens:]


def look(model: nn.Module, images: Tensor) -> tuple[Any, Tensor]:
    """Run a backbone, and keep what a head reads.

    Parameters
    ----------
    model : torch.nn.Module
        From the model registry.
    images : torch.Tensor, shape (B, C, S, S)
        Preprocessed.

    Returns
    -------
    output : ModelOutput
        Of the model.
    features : torch.Tensor, shape (B, N, D) or (B, D, H, W)
        Of the patches.
    """
    name = feature_name(model)
    output: Any = model(images, capture=(name,))
    prefix = 0 if name == "patch_tokens" else int(getattr(model, "num_prefix_tokens", 0))
    return output, patch_features(output.captured[name], prefix)
