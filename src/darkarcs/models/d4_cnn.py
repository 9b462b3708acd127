"""A small CNN whose logits do not change when the image is turned or mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.errors import ModelError
from darkarcs.models.catalogue import register_model
from darkarcs.models.group_convolution import (
    GROUP_ORDER,
    FieldNormalization,
    GroupConvolution,
    LiftingConvolution,
    symmetric_pooling,
)
from darkarcs.models.interface import Capture, Erased, ImageClassifier, ModelOutput, as_logits


class D4Architecture(Configuration):
    """What can be chosen of a `D4CNN`.

    Attributes
    ----------
    stages : tuple of tuple of int
        Fields of each convolution, stage by stage; each stage after the first starts at half
        the resolution. Most of the fields lie where maps are small, so that it stays fast.
    lifting_fields : int
        Fields of the first convolution (6x6 pixels, stride 2).
    dropout : float
        Before the head.
    """

    lifting_fields: int = Field(6, ge=1)
    stages: tuple[tuple[int, ...], ...] = ((12,), (16, 16), (24, 24), (32, 32))
    dropout: float = Field(0.0, ge=0, lt=1)


class EquivariantLayer(nn.Module):
    """Group convolution, normalization, rectification; with a shortcut where fields allow.

    Parameters
    ----------
    in_fields, out_fields : int
        Fields before and after; the shortcut needs as many of both.
    """

    def __init__(self, in_fields: int, out_fields: int) -> None:
        super().__init__()
        self.conv = GroupConvolution(in_fields, out_fields)
        self.norm = FieldNormalization(out_fields)
        self.residual = in_fields == out_fields

    def forward(self, fields: Tensor) -> Tensor:
        """Map fields (B, 8 * in, H, W) to (B, 8 * out, H, W)."""
        mapped: Tensor = F.relu(self.norm(self.conv(fields)))
        return fields + mapped if self.residual else mapped


class D4CNN(ImageClassifier):
    """A CNN that is exactly invariant under the dihedral group of the square.

    Parameters
    ----------
    architecture : D4Architecture
        Its fields.
    num_classes, in_channels : int
        Number of logits, and of the images' channels.

    Notes
    -----
    The logits of the eight poses of a square image agree up to rounding, whatever its size,
    also while training. Images of odd size are averaged over 2x2 pixels first, because a
    convolution of stride 2 with an even kernel has no symmetric grid on them.

    References
    ----------
    Cohen and Welling 2016, group equivariant convolutional networks, arXiv 1602.07576.

    Examples
    --------
    >>> model = D4CNN(D4Architecture(), num_classes=2, in_channels=1).eval()
    >>> image = torch.rand(1, 1, 32, 32)
    >>> turned = image.rot90(1, dims=(2, 3))
    >>> bool(torch.allclose(model(image).logits, model(turned).logits, atol=1e-5))
    True
    """

    def __init__(
        self, architecture: D4Architecture, *, num_classes: int, in_channels: int = 1
    ) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.architecture = architecture
        self.input_kernel = "lift.weight"
        fields = architecture.lifting_fields
        self.lift = LiftingConvolution(in_channels, fields, kernel_size=6)
        self.lift_norm = FieldNormalization(fields)
        self.stages = nn.ModuleList()
        for widths in architecture.stages:
            layers = []
            for width in widths:
                layers.append(EquivariantLayer(fields, width))
                fields = width
            self.stages.append(nn.Sequential(*layers))
        self.dropout = nn.Dropout(architecture.dropout)
        self.head = nn.Linear(2 * fields, num_classes)

    @property
    def classifier(self) -> nn.Module:
        """The linear layer behind the invariant features."""
        return self.head

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: Erased = "mask_token",
    ) -> ModelOutput:
        """Classify images (B, C, H, H); ``hidden.0`` ... are the fields after each stage."""
        self.check_images(images)
        self.refuse_patch_mask(patch_mask)
        if images.shape[-1] != images.shape[-2] or images.shape[-1] < 8:
            raise ModelError("d4_cnn takes square images of at least 8x8 pixels: crop or pad them")
        taps = Capture(capture, {"hidden": len(self.stages)})
        if images.shape[-1] % 2:
            images = F.avg_pool2d(images, 2, stride=1)
        # channels last is what FieldNormalization can view without copying
        fields = self.lift(images.contiguous(memory_format=torch.channels_last))
        fields = F.relu(self.lift_norm(fields))  # (B, 8 * C, H / 2, W / 2)
        for index, stage in enumerate(self.stages):
            fields = stage(fields if index == 0 else symmetric_pooling(fields))
            taps.store({"hidden": fields}, index)
        poses = fields.mean(dim=(2, 3)).unflatten(1, (GROUP_ORDER, -1))  # (B, 8, C)
        features = torch.cat([poses.mean(dim=1), poses.amax(dim=1)], dim=1)  # (B, 2C)
        return ModelOutput(as_logits(self.head(self.dropout(features))), captured=taps.tensors)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return every parameter once: the lifting layer, each further layer, the head."""
        first = [*self.lift.parameters(), *self.lift_norm.parameters()]
        layers = [list(layer.parameters()) for stage in self.stages for layer in stage.children()]
        return [first, *layers, list(self.head.parameters())]


@register_model(
    "d4_cnn",
    family="d4_cnn",
    description="CNN equivariant under turns and mirrors (p4m), about 0.25M parameters",
    image_size=96,
)
def d4_cnn(*, num_classes: int, in_channels: int, image_size: int, **overrides: Any) -> D4CNN:
    """Build a D4-equivariant CNN; it takes square images of any size."""
    architecture = D4Architecture.parse(overrides, "model")
    return D4CNN(architecture, num_classes=num_classes, in_channels=in_channels)
