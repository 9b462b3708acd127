"""The named vision transformers: standard ones, DeiT, and compact hybrids."""

from __future__ import annotations

from typing import Any

from darkarcs.models.catalogue import register_model
from darkarcs.models.vision_transformer import VisionTransformer, build_transformer

TINY = {"width": 192, "num_heads": 3}
SMALL = {"width": 384, "num_heads": 6}
BASE = {"width": 768, "num_heads": 12}

_AUGREG: dict[str, Any] = {
    "image_size": 224,
    "licence": "Apache-2.0",
    "source": "Steiner et al. 2021, arXiv 2106.10270",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}
_DEIT: dict[str, Any] = {
    "image_size": 224,
    "licence": "Apache-2.0",
    "source": "Touvron et al. 2021, arXiv 2012.12877",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


@register_model(
    "vit_ti16",
    family="vit",
    description="ViT-Ti: width 192, 12 blocks, 3 heads, 16-pixel patches",
    pretrained="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    **_AUGREG,
)
def vit_ti16(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build a ViT-Ti/16."""
    return build_transformer(
        TINY, overrides, num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )


@register_model(
    "vit_s16",
    family="vit",
    description="ViT-S: width 384, 12 blocks, 6 heads, 16-pixel patches",
    pretrained="timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
    **_AUGREG,
)
def vit_s16(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build a ViT-S/16."""
    return build_transformer(
        SMALL, overrides, num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )


@register_model(
    "vit_b16",
    family="vit",
    description="ViT-B: width 768, 12 blocks, 12 heads, 16-pixel patches",
    pretrained="timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
    **_AUGREG,
)
def vit_b16(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build a ViT-B/16."""
    return build_transformer(
        BASE, overrides, num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )


@register_model(
    "deit_ti16",
    family="deit",
    description="DeiT-Ti: ViT-Ti with a distillation token",
    pretrained="timm/deit_tiny_distilled_patch16_224.fb_in1k",
    **_DEIT,
)
def deit_ti16(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build a DeiT-Ti/16 with distillation token."""
    return build_transformer(
        {**TINY, "distillation_token": True},
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )


@register_model(
    "deit_s16",
    family="deit",
    description="DeiT-S: ViT-S with a distillation token",
    pretrained="timm/deit_small_distilled_patch16_224.fb_in1k",
    **_DEIT,
)
def deit_s16(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build a DeiT-S/16 with distillation token."""
    return build_transformer(
        {**SMALL, "distillation_token": True},
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )


@register_model(
    "deit_b16",
    family="deit",
    description="DeiT-B: ViT-B with a distillation token",
    pretrained="timm/deit_base_distilled_patch16_224.fb_in1k",
    **_DEIT,
)
def deit_b16(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build a DeiT-B/16 with distillation token."""
    return build_transformer(
        {**BASE, "distillation_token": True},
        overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
    )
