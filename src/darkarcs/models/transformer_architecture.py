"""The settings that shape a vision transformer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from darkarcs.configuration import Configuration
from darkarcs.models.attention import AttentionKind


class TransformerArchitecture(Configuration):
    """Everything that shapes a `VisionTransformer`, apart from its input and its classes.

    Attributes
    ----------
    patch_size : int, pixels
        Side of a patch.
    width, depth, num_heads : int
        Size of a token, number of blocks, heads of each.
    mlp_ratio : float
        Hidden size of the feed-forward network over the width.
    stem : {"plain", "convolutional"}
        How patches become tokens.
    stem_width, stem_blocks : int and tuple of int
        Of the convolutional stem, see `darkarcs.models.patch_embedding.ConvolutionalStem`.
    class_token, distillation_token : bool
        Learned tokens that the two heads read.
    num_registers : int
        Learned tokens that nobody reads (arXiv 2309.16588).
    prefix_positions : bool
        Whether the tokens before the patches have position embeddings (timm's DeiT-3 and
        DINOv2 with registers have none: ``no_embed_class``).
    layer_scale : float or None
        Initial gain of each residual branch (arXiv 2103.17239), None for no gains.
    stochastic_depth : float
        Probability of leaving out the last block's branches for an image; grows linearly
        from zero at the first block (arXiv 1603.09382).
    dropout : float
        On the tokens, and inside the feed-forward networks.
    pool : {"class", "mean"}
        What the head reads: the class token or the mean of the patch tokens.
    attention : {"auto", "written_out", "fused"}
        See `darkarcs.models.attention.Attention`.
    """

    patch_size: int = Field(16, ge=2)
    width: int = Field(192, ge=1)
    depth: int = Field(12, ge=1)
    num_heads: int = Field(3, ge=1)
    mlp_ratio: float = Field(4.0, gt=0)
    stem: Literal["plain", "convolutional"] = "plain"
    stem_width: int = Field(24, ge=1)
    stem_blocks: tuple[int, ...] = ()
    class_token: bool = True
    distillation_token: bool = False
    num_registers: int = Field(0, ge=0)
    prefix_positions: bool = True
    layer_scale: float | None = None
    stochastic_depth: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    pool: Literal["class", "mean"] = "class"
    attention: AttentionKind = "auto"

    @model_validator(mode="after")
    def _check(self) -> TransformerArchitecture:
        if self.pool == "class" and not self.class_token:
            raise ValueError("pool 'class' needs class_token: true")
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self
