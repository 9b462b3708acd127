"""Multi-head self-attention, written out or fused by what is faster."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darkarcs.errors import ModelError

AttentionKind = Literal["auto", "written_out", "fused"]


def prefers_written_out(device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether attention in plain matrix products beats the fused kernel.

    On CPUs with bfloat16 units the fused kernel trains two to five times slower at 65 tokens
    (measured: 616 against 286 images/s at width 128, 6 blocks); in float32 the two are
    about equal, and on CUDA the fused kernel wins.

    Parameters
    ----------
    device : torch.device
        Where the queries are.
    dtype : torch.dtype
        Of the queries, autocast applied.

    Returns
    -------
    bool
        True for half precision on the CPU.

    Examples
    --------
    >>> prefers_written_out(torch.device("cpu"), torch.bfloat16)
    True
    >>> prefers_written_out(torch.device("cpu"), torch.float32)
    False
    """
    return device.type == "cpu" and dtype in (torch.bfloat16, torch.float16)


class Attention(nn.Module):
    """Multi-head self-attention with timm's parameter names.

    Parameters
    ----------
    width : int
        Size of a token.
    num_heads : int
        Heads; must divide the width.
    kind : {"auto", "written_out", "fused"}, default "auto"
        How the attention is computed; "auto" chooses by device and dtype. Whenever the
        probabilities are captured it is written out.

    Raises
    ------
    ModelError
        If the heads do not divide the width.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762, equation 1.

    Examples
    --------
    >>> attention = Attention(width=8, num_heads=2)
    >>> tokens, taken = attention(torch.zeros(3, 5, 8), frozenset({"attention"}))
    >>> tokens.shape, taken["attention"].shape
    (torch.Size([3, 5, 8]), torch.Size([3, 2, 5, 5]))
    """

    def __init__(self, width: int, num_heads: int, kind: AttentionKind = "auto") -> None:
        super().__init__()
        if width % num_heads:
            raise ModelError(f"width {width} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.kind = kind
        self.scale = (width // num_heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(
        self, tokens: Tensor, wanted: frozenset[str] = frozenset()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mix tokens.

        Parameters
        ----------
        tokens : Tensor, shape (B, N, D)
            The sequence.
        wanted : frozenset of str, default empty
            Of "attention", "query", "key", "value".

        Returns
        -------
        mixed : Tensor, shape (B, N, D)
            The new sequence.
        taken : dict of str to Tensor
            "attention" after softmax, shape (B, heads, N, N); the others (B, heads, N, d),
            the query before the division by sqrt(d). All are part of the gradient graph.
        """
        batch, length, width = tokens.shape
        qkv = self.qkv(tokens)  # (B, N, 3D)
        qkv = qkv.reshape(batch, length, 3, self.num_heads, -1)  # (B, N, 3, heads, d)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # three of (B, heads, N, d)
        taken = {"query": query, "key": key, "value": value}
        if self._writes_out(query, wanted):
            # torch's softmax sums in float32 inside, also for bfloat16 input
            scores = (query * self.scale) @ key.transpose(-2, -1)  # (B, heads, N, N)
            probabilities = scores.softmax(dim=-1)  # (B, heads, N, N)
            taken["attention"] = probabilities
            mixed = probabilities.to(value.dtype) @ value  # (B, heads, N, d)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)  # (B, heads, N, d)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)  # (B, N, D)
        return self.proj(mixed), {name: taken[name] for name in wanted & taken.keys()}

    def _writes_out(self, query: Tensor, wanted: frozenset[str]) -> bool:
        if self.kind == "written_out" or "attention" in wanted:
            return True
        return self.kind == "auto" and prefers_written_out(query.device, query.dtype)
