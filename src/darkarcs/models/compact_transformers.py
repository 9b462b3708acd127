"""Compact hybrids: a convolutional stem and a small transformer, under 1M parameters.

They train from scratch on a few thousand images on two cores. Unless ``patch_size`` is given,
an image is cut into a grid of 8 by 8 patches: 64 tokens at 64, 96 or 128 pixels.
"""

from __future__ import annotations

from typing import Any

from darkarcs.errors import ModelError
from darkarcs.models.catalogue import register_model
from darkarcs.models.vision_transformer import VisionTransformer, build_transformer

GRID_SIDE = 8


def build_compact(
    defaults: dict[str, Any],
    overrides: dict[str, Any],
    *,
    num_classes: int,
    in_channels: int,
    image_size: int,
) -> VisionTransformer:
    """Build a hybrid whose head reads the mean of the patch tokens.

    Parameters
    ----------
    defaults, overrides : dict
        Fields of `TransformerArchitecture`; the overrides win.
    num_classes, in_channels, image_size : int
        See `VisionTransformer`.

    Returns
    -------
    VisionTransformer
        With random weights.

    Raises
    ------
    ModelError
        If the image size is no multiple of 8 and no ``patch_size`` is given.
    """
    common: dict[str, Any] = {"stem": "convolutional", "pool": "mean"}
    if "patch_size" not in overrides:
        if image_size % GRID_SIDE or image_size < 2 * GRID_SIDE:
            raise ModelError(
                f"image_size {image_size} is not a multiple of {GRID_SIDE}: "
                "give model.patch_size, or choose a preprocessing.size of 64, 96 or 128"
            )
        common["patch_size"] = image_size // GRID_SIDE
    return build_transformer(
        {**common, **defaults},
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )


@register_model(
    "compact_vit_1m",
    family="compact_vit",
    description="hybrid: residual convolutional stem, width 128, 4 blocks, mean pooling",
    image_size=64,
)
def compact_vit_1m(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build the hybrid of width 128, 4 blocks."""
    return build_compact(
        {
            "width": 128,
            "depth": 4,
            "num_heads": 4,
            "mlp_ratio": 2.0,
            "stem_width": 32,
            "stem_blocks": (1, 2),
        },
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )


@register_model(
    "compact_vit_500k",
    family="compact_vit",
    description="hybrid: residual convolutional stem, width 96, 5 blocks, mean pooling",
    image_size=64,
)
def compact_vit_500k(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build the hybrid of width 96, 5 blocks."""
    return build_compact(
        {
            "width": 96,
            "depth": 5,
            "num_heads": 3,
            "mlp_ratio": 2.0,
            "stem_width": 16,
            "stem_blocks": (1, 2),
        },
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )


@register_model(
    "compact_vit_250k",
    family="compact_vit",
    description="hybrid: residual convolutional stem, width 64, 5 blocks, mean pooling",
    image_size=64,
)
def compact_vit_250k(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build the hybrid of width 64, 5 blocks."""
    return build_compact(
        {
            "width": 64,
            "depth": 5,
            "num_heads": 2,
            "mlp_ratio": 2.0,
            "stem_width": 16,
            "stem_blocks": (1, 2),
        },
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )


@register_model(
    "compact_vit_100k",
    family="compact_vit",
    description="hybrid: residual convolutional stem, width 48, 4 blocks, mean pooling",
    image_size=64,
)
def compact_vit_100k(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build the hybrid of width 48, 4 blocks."""
    return build_compact(
        {
            "width": 48,
            "depth": 4,
            "num_heads": 3,
            "mlp_ratio": 2.0,
            "stem_width": 12,
            "stem_blocks": (1,),
        },
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )
