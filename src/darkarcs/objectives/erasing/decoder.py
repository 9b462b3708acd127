"""A light transformer that predicts the pixels of erased patches from what is visible.

References
----------
.. [1] He et al. 2022, CVPR, arXiv:2111.06377: masked autoencoders; the encoder sees visible
   patches only, a light decoder gets a learned token in place of each erased one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ReconstructionDecoder(nn.Module):
    """From the encoder's patch tokens to pixels.

    Tokens of erased patches, where the encoder gave any, are replaced by one learned token, so
    that whatever fills the erased pixels, only what is visible tells of them.

    Parameters
    ----------
    token_width : int
        Size `D` of the encoder's tokens.
    num_patches : int
        Patches `P` of an image.
    num_pixels : int
        Numbers to predict for each patch.
    width, depth, num_heads : int
        See `DecoderSettings`.

    References
    ----------
    He et al. 2022, CVPR, arXiv:2111.06377, section 3.

    Examples
    --------
    >>> decoder = ReconstructionDecoder(32, 4, 16, width=8, depth=1, num_heads=2)
    >>> erased = torch.tensor([[True, False, False, True]])
    >>> decoder(torch.zeros(1, 2, 32), erased).shape
    torch.Size([1, 4, 16])
    """

    def __init__(
        self,
        token_width: int,
        num_patches: int,
        num_pixels: int,
        *,
        width: int,
        depth: int,
        num_heads: int,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(token_width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, num_patches, width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks = nn.ModuleList(DecoderBlock(width, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_pixels)

    def forward(self, tokens: Tensor, erased: Tensor) -> Tensor:
        """Predict the pixels of all patches.

        Parameters
        ----------
        tokens : Tensor, shape (B, P, D) or (B, P - erased, D)
            Of all patches, or of the visible ones in their order.
        erased : Tensor, shape (B, P), bool
            What is erased.

        Returns
        -------
        Tensor, shape (B, P, pixels)
            Predictions; those of visible patches are not trained.
        """
        embedded = self.embed(tokens)  # (B, P or fewer, d)
        mask_token = self.mask_token.to(embedded.dtype)
        if tokens.shape[1] == erased.shape[1]:
            sequence = torch.where(erased[..., None], mask_token, embedded)
        else:
            # each visible patch knows its rank among the visible ones of its image
            rank = (~erased).cumsum(dim=1).sub(1).clamp(min=0)  # (B, P)
            placed = embedded.gather(1, rank[..., None].expand(-1, -1, embedded.shape[-1]))
            sequence = torch.where(erased[..., None], mask_token, placed)
        sequence = sequence + self.pos_embed  # (B, P, d)
        for block in self.blocks:
            sequence = block(sequence)
        pixels: Tensor = self.head(self.norm(sequence))
        return pixels


class DecoderBlock(nn.Module):
    """Attention, then a feed-forward network, each normalized before and added after.

    Attention is written out: at some tens of tokens that trains several times faster on a CPU
    than the fused kernel in bfloat16, and costs nothing elsewhere.

    Parameters
    ----------
    width, num_heads : int
        Size of a token, and heads.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform tokens (B, P, d)."""
        batch, length, width = tokens.shape
        qkv = self.qkv(self.norm1(tokens)).view(batch, length, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # three of (B, heads, P, d/h)
        scores = query @ key.transpose(-2, -1) * (width // self.num_heads) ** -0.5
        mixed = scores.softmax(dim=-1).to(value.dtype) @ value  # (B, heads, P, d/h)
        tokens = tokens + self.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        mapped: Tensor = tokens + self.mlp(self.norm2(tokens))
        return mapped
