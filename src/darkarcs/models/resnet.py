"""ResNet-18, the baseline of most published lens classifiers. Parameter names are torchvision's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.models.catalogue import register_model
from darkarcs.models.interface import Capture, Erased, ImageClassifier, ModelOutput, as_logits


class ResNetArchitecture(Configuration):
    """What can be chosen of a `ResNet`.

    Attributes
    ----------
    stem : {"standard", "small"}
        7x7 convolution of stride 2 and max-pooling, as on ImageNet; or a 3x3 convolution of
        stride 1 without pooling, which keeps the detail of small images at 16 times the cost.
    blocks : tuple of int
        Residual blocks of the four stages.
    """

    stem: Literal["standard", "small"] = "standard"
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Parameters
    ----------
    in_channels, channels : int
        Before and after.
    stride : int, pixels
        Of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, C, H, W)."""
        shortcut = features if self.downsample is None else self.downsample(features)
        features = self.relu(self.bn1(self.conv1(features)))
        mapped: Tensor = self.relu(self.bn2(self.conv2(features)) + shortcut)
        return mapped


class ResNet(ImageClassifier):
    """A residual network with global average pooling, for images of any size.

    Parameters
    ----------
    architecture : ResNetArchitecture
        Its stem and depth.
    num_classes, in_channels : int
        Number of logits, and of the images' channels.

    References
    ----------
    He et al. 2015, arXiv 1512.03385.

    Examples
    --------
    >>> model = ResNet(ResNetArchitecture(), num_classes=3, in_channels=1).eval()
    >>> output = model(torch.zeros(2, 1, 64, 64), capture=("hidden.-1",))
    >>> output.logits.shape, output.captured["hidden.-1"].shape
    (torch.Size([2, 3]), torch.Size([2, 512, 2, 2]))
    """

    def __init__(
        self, architecture: ResNetArchitecture, *, num_classes: int, in_channels: int = 1
    ) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.architecture = architecture
        self.input_kernel = "conv1.weight"
        if architecture.stem == "standard":
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        widths = (64, 64, 128, 256, 512)
        for stage, depth in enumerate(architecture.blocks):
            stride = 1 if stage == 0 else 2
            blocks = [ResidualBlock(widths[stage], widths[stage + 1], stride)]
            for _ in range(depth - 1):
                blocks.append(ResidualBlock(widths[stage + 1], widths[stage + 1], 1))
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.fc

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: Erased = "mask_token",
    ) -> ModelOutput:
        """Classify images (B, C, H, W); ``hidden.0`` to ``hidden.3`` are (B, C', H', W')."""
        self.check_images(images)
        self.refuse_patch_mask(patch_mask)
        taps = Capture(capture, {"hidden": 4})
        # convolutions are about twice as fast with channels last
        features = images.contiguous(memory_format=torch.channels_last)
        features = self.maxpool(self.relu(self.bn1(self.conv1(features))))
        for stage in range(4):
            features = self.get_submodule(f"layer{stage + 1}")(features)
            taps.store({"hidden": features}, stage)
        pooled = features.mean(dim=(2, 3))  # (B, 512)
        return ModelOutput(as_logits(self.fc(pooled)), captured=taps.tensors)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return every parameter once: the stem, each residual block, the head."""
        stem = [*self.conv1.parameters(), *self.bn1.parameters()]
        blocks = [
            list(block.parameters())
            for stage in range(4)
            for block in self.get_submodule(f"layer{stage + 1}").children()
        ]
        return [stem, *blocks, list(self.fc.parameters())]


@register_model(
    "resnet18",
    family="resnet",
    description="ResNet-18, torchvision's parameter names",
    image_size=224,
    pretrained="timm/resnet18.a1_in1k",
    licence="Apache-2.0",
    source="Wightman et al. 2021, arXiv 2110.00476",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
def resnet18(*, num_classes: int, in_channels: int, image_size: int, **overrides: Any) -> ResNet:
    """Build a ResNet-18; it takes any image size."""
    architecture = ResNetArchitecture.parse(overrides, "model")
    return ResNet(architecture, num_classes=num_classes, in_channels=in_channels)
