"""One pre-norm transformer block and its parts. Parameter names are timm's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from darkarcs.models.attention import Attention, AttentionKind


class Mlp(nn.Module):
    """The feed-forward network of a block: two linear layers with a GELU between.

    Parameters
    ----------
    width, hidden : int
        Size of a token, and between the layers.
    dropout : float, default 0.0
        Between the layers and after them.
    """

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, D) one by one."""
        mapped: Tensor = self.drop(self.fc2(self.drop(self.act(self.fc1(tokens)))))
        return mapped


class LayerScale(nn.Module):
    """A learned gain for each channel of a residual branch (arXiv 2103.17239).

    Parameters
    ----------
    width : int
        Number of channels.
    initial : float
        Gain before training.
    """

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), float(initial)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Scale tokens (B, N, D)."""
        return tokens * self.gamma


class StochasticDepth(nn.Module):
    """Leave a residual branch out for a random share of the images (arXiv 1603.09382).

    Parameters
    ----------
    rate : float
        Share that is left out while training; the rest is scaled by 1 / (1 - rate).

    Notes
    -----
    Draws from torch's global generator, as `nn.Dropout` does: training seeds it at each step.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, tokens: Tensor) -> Tensor:
        """Zero whole images of (B, N, D)."""
        if not self.training or self.rate == 0.0:
            return tokens
        keep = torch.rand(len(tokens), 1, 1, device=tokens.device) >= self.rate
        return tokens * keep.to(tokens.dtype) / (1.0 - self.rate)


class Block(nn.Module):
    """Attention, then a feed-forward network, each normalized before and added after.

    Parameters
    ----------
    width, num_heads : int
        Size of a token, and heads.
    mlp_ratio : float
        Hidden size of the feed-forward network over the width.
    layer_scale : float or None
        Initial gain of the two branches, None for no gains.
    stochastic_depth, dropout : float
        Probabilities.
    attention : {"auto", "written_out", "fused"}
        How attention is computed.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        mlp_ratio: float = 4.0,
        layer_scale: float | None = None,
        stochastic_depth: float = 0.0,
        dropout: float = 0.0,
        attention: AttentionKind = "auto",
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, num_heads, attention)
        self.ls1 = nn.Identity() if layer_scale is None else LayerScale(width, layer_scale)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, round(width * mlp_ratio), dropout)
        self.ls2 = nn.Identity() if layer_scale is None else LayerScale(width, layer_scale)
        self.drop_path = StochasticDepth(stochastic_depth)

    def forward(
        self, tokens: Tensor, wanted: frozenset[str] = frozenset()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Transform tokens (B, N, D); also return what is wanted of the attention."""
        mixed, taken = self.attn(self.norm1(tokens), wanted)
        tokens = tokens + self.drop_path(self.ls1(mixed))
        tokens = tokens + self.drop_path(self.ls2(self.mlp(self.norm2(tokens))))
        return tokens, taken
