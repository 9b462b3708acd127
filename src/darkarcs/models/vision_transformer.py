"""The vision transformer, written to be read. Parameter names are timm's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from darkarcs.errors import ModelError
from darkarcs.models.interface import Capture, Erased, ImageClassifier, ModelOutput, as_logits
from darkarcs.models.patch_embedding import ConvolutionalStem, PatchEmbedding
from darkarcs.models.position_embedding import resize_position_embedding
from darkarcs.models.transformer_architecture import TransformerArchitecture
from darkarcs.models.transformer_block import Block


class VisionTransformer(ImageClassifier):
    """A vision transformer for images of any number of channels.

    Parameters
    ----------
    architecture : TransformerArchitecture
        Its shape.
    num_classes : int
        Number of logits.
    in_channels : int
        Of the images.
    image_size : int, pixels
        Side of the images that the position embeddings are made for. Images of other sizes,
        also oblong ones, work: the position embeddings are interpolated.

    Raises
    ------
    ModelError
        If the image size is not a multiple of the patch size.

    References
    ----------
    Dosovitskiy et al. 2021, arXiv 2010.11929; Touvron et al. 2021, arXiv 2012.12877 (the
    distillation token).

    Examples
    --------
    >>> architecture = TransformerArchitecture(patch_size=8, width=32, depth=2, num_heads=2)
    >>> model = VisionTransformer(architecture, num_classes=3, in_channels=1, image_size=32)
    >>> output = model(torch.zeros(2, 1, 48, 32), capture=("attention.-1",))
    >>> output.logits.shape, output.captured["attention.-1"].shape
    (torch.Size([2, 3]), torch.Size([2, 2, 25, 25]))
    """

    patch_size: int

    def __init__(
        self,
        architecture: TransformerArchitecture,
        *,
        num_classes: int,
        in_channels: int = 1,
        image_size: int = 64,
    ) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        a = self.architecture = architecture
        self.patch_size = a.patch_size
        self.num_prefix_tokens = a.class_token + a.distillation_token + a.num_registers
        self.supports_attention = True
        self.grid_size = self._grid(image_size, image_size)
        self.patch_embed: PatchEmbedding | ConvolutionalStem
        if a.stem == "plain":
            self.patch_embed = PatchEmbedding(a.patch_size, in_channels, a.width)
            self.input_kernel = "patch_embed.proj.weight"
        else:
            self.patch_embed = ConvolutionalStem(
                a.patch_size, in_channels, a.width, a.stem_width, a.stem_blocks
            )
            self.input_kernel = "patch_embed.stem.0.weight"
        self.cls_token = _token(1, a.width) if a.class_token else None
        self.dist_token = _token(1, a.width) if a.distillation_token else None
        self.reg_token = _token(a.num_registers, a.width) if a.num_registers else None
        self.mask_token = _token(1, a.width)
        prefix_positions = self.num_prefix_tokens if a.prefix_positions else 0
        self.pos_embed = _token(prefix_positions + self.grid_size[0] * self.grid_size[1], a.width)
        self.dropout = nn.Dropout(a.dropout)
        rates = [a.stochastic_depth * layer / max(a.depth - 1, 1) for layer in range(a.depth)]
        self.blocks = nn.ModuleList(
            Block(
                a.width,
                a.num_heads,
                mlp_ratio=a.mlp_ratio,
                layer_scale=a.layer_scale,
                stochastic_depth=rate,
                dropout=a.dropout,
                attention=a.attention,
            )
            for rate in rates
        )
        self.norm = nn.LayerNorm(a.width, eps=1e-6)
        self.head = nn.Linear(a.width, num_classes)
        self.head_dist = nn.Linear(a.width, num_classes) if a.distillation_token else None
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        if self.head_dist is not None:
            # silent until it is trained or loaded: evaluation averages the two heads
            nn.init.zeros_(self.head_dist.weight)

    @property
    def classifier(self) -> nn.Module:
        """The linear layer that the class token (or the mean of the patches) goes through."""
        return self.head

    @property
    def heads(self) -> list[nn.Module]:
        """The classifier, and the distillation token's linear layer if there is one."""
        return [self.head] if self.head_dist is None else [self.head, self.head_dist]

    @property
    def num_patches(self) -> int:
        """Patches of an image of the size that the model was built for."""
        return self.grid_size[0] * self.grid_size[1]

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        patch = self.patch_size
        if height % patch or width % patch or min(height, width) < patch:
            below = max(height // patch, 1) * patch
            raise ModelError(
                f"images of {height}x{width} pixels cannot be cut into patches of {patch}: "
                f"resize or crop to a multiple (such as {below}), or choose another patch_size"
            )
        return height // patch, width // patch

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: Erased = "mask_token",
    ) -> ModelOutput:
        """Classify images.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Height and width are multiples of the patch size.
        patch_mask : Tensor, shape (B, num_patches), bool, optional
            True where a patch is erased; row by row, as the patches lie in the image.
        capture : sequence of str, default ()
            ``hidden.3`` (B, tokens, D) after a block, ``attention.3`` (B, heads, tokens,
            tokens) after softmax, ``query.3``, ``key.3``, ``value.3`` (B, heads, tokens, d),
            ``patch_tokens`` (B, patches, D) after the last norm. ``attention`` means all
            layers, ``-1`` the last one. Tokens that are skipped are absent here too.
        erased : {"mask_token", "skip"}, default "mask_token"
            Erased patches are replaced by the learned mask token at their positions, or left
            out of the sequence, which is cheaper.

        Returns
        -------
        ModelOutput
            Logits and what was captured.

        Raises
        ------
        ModelError
            If shapes do not fit, or a name to capture does not exist.
        """
        taps = Capture(capture, self.capturable(), ("patch_tokens",))
        tokens = self.embed(images, patch_mask, erased)  # (B, prefix + patches, D)
        for layer, block in enumerate(self.blocks):
            tokens, taken = block(tokens, taps.kinds_at(layer))
            taps.store({"hidden": tokens, **taken}, layer)
        tokens = self.norm(tokens)
        patch_tokens = tokens[:, self.num_prefix_tokens :]  # (B, patches, D)
        taps.store({"patch_tokens": patch_tokens})
        pooled = tokens[:, 0] if self.architecture.pool == "class" else patch_tokens.mean(dim=1)
        logits = as_logits(self.head(pooled))  # (B, K)
        if self.head_dist is None:
            return ModelOutput(logits, captured=taps.tensors)
        index = int(self.architecture.class_token)
        distillation_logits = as_logits(self.head_dist(tokens[:, index]))  # (B, K)
        if not self.training:
            logits = (logits + distillation_logits) / 2
        return ModelOutput(logits, distillation_logits, taps.tensors)

    def rebuild_options(self) -> dict[str, Any]:
        """Give the fields of the architecture, those read from a checkpoint included."""
        return self.architecture.model_dump(mode="json")

    def capturable(self) -> dict[str, int]:
        """Return the kinds that can be captured of each layer.

        Returns
        -------
        dict of str to int
            Number of layers, by kind.
        """
        kinds = ("hidden", "attention", "query", "key", "value")
        return dict.fromkeys(kinds, len(self.blocks))

    def embed(
        self, images: Tensor, patch_mask: Tensor | None = None, erased: Erased = "mask_token"
    ) -> Tensor:
        """Turn images into the sequence that the first block receives.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            See `forward`.
        patch_mask : Tensor, shape (B, num_patches), bool, optional
            See `forward`.
        erased : {"mask_token", "skip"}, default "mask_token"
            See `forward`.

        Returns
        -------
        Tensor, shape (B, prefix + patches, D)
            Prefix tokens first, positions added.
        """
        self.check_images(images)
        grid = self._grid(images.shape[-2], images.shape[-1])
        if patch_mask is not None:
            patch_mask = _checked_mask(patch_mask, len(images), grid)
            if self.patch_embed.overlaps:  # neighbours must not see what is erased
                images = _blank_patches(images, patch_mask, grid)
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)  # (B, patches, D)
        if patch_mask is not None and erased == "mask_token":
            patches = torch.where(patch_mask[..., None], self.mask_token.to(patches), patches)
        prefix_positions, patch_positions = self._positions(grid)
        patches = patches + patch_positions
        if patch_mask is not None and erased == "skip":
            patches = _keep_unmasked(patches, patch_mask)  # (B, kept, D)
        candidates = (self.cls_token, self.dist_token, self.reg_token)
        prefix: list[Tensor] = [token for token in candidates if token is not None]
        if prefix:
            tokens = torch.cat(prefix, dim=1) + prefix_positions  # (1, prefix, D)
            tokens = tokens.expand(len(images), -1, -1).to(patches.dtype)
            patches = torch.cat([tokens, patches], dim=1)  # (B, prefix + patches, D)
        embedded: Tensor = self.dropout(patches)
        return embedded

    def _positions(self, grid: tuple[int, int]) -> tuple[Tensor | float, Tensor]:
        num_prefix = self.num_prefix_tokens if self.architecture.prefix_positions else 0
        positions = resize_position_embedding(
            self.pos_embed, self.grid_size, grid, num_prefix=num_prefix
        )
        prefix = positions[:, :num_prefix] if num_prefix else 0.0
        return prefix, positions[:, num_prefix:]

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return every parameter once: embeddings, each block, then the norm and the heads."""
        blocks: list[list[nn.Parameter]] = [list(block.parameters()) for block in self.blocks]
        last: list[nn.Parameter] = [*self.norm.parameters(), *self.head.parameters()]
        if self.head_dist is not None:
            last += self.head_dist.parameters()
        taken = {id(parameter) for group in [*blocks, last] for parameter in group}
        first = [parameter for parameter in self.parameters() if id(parameter) not in taken]
        return [first, *blocks, last]


def build_transformer(
    defaults: dict[str, Any],
    overrides: dict[str, Any],
    *,
    num_classes: int,
    in_channels: int,
    image_size: int,
) -> VisionTransformer:
    """Build a `VisionTransformer` from a variant's settings and a user's overrides.

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
    ConfigurationError
        If an override is no such field, or its value is out of range.
    """
    architecture = TransformerArchitecture.parse({**defaults, **overrides}, "model")
    return VisionTransformer(
        architecture, num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )


def _token(count: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, count, width), std=0.02))


def _checked_mask(patch_mask: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
    expected = (batch, grid[0] * grid[1])
    if patch_mask.shape != expected or patch_mask.dtype != torch.bool:
        raise ModelError(
            f"patch_mask must be bool of shape {expected}, "
            f"not {patch_mask.dtype} of shape {tuple(patch_mask.shape)}"
        )
    return patch_mask


def _blank_patches(images: Tensor, patch_mask: Tensor, grid: tuple[int, int]) -> Tensor:
    patch = images.shape[-2] // grid[0]
    pixels = patch_mask.view(-1, 1, *grid)  # (B, 1, rows, columns)
    pixels = pixels.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)
    return images.masked_fill(pixels, 0.0)  # zero is the mean of normalized images


def _keep_unmasked(patches: Tensor, patch_mask: Tensor) -> Tensor:
    kept = (~patch_mask).sum(dim=1)
    if bool((kept != kept[0]).any()) or int(kept[0]) == 0:
        raise ModelError(
            "erased='skip' needs the same number of erased patches in every image, "
            "and at least one that is left"
        )
    # a stable sort puts the kept patches first and leaves them in their order
    indices = patch_mask.to(torch.uint8).argsort(dim=1, stable=True)[:, : int(kept[0])]
    return patches.gather(1, indices[..., None].expand(-1, -1, patches.shape[-1]))
