"""Attention: the two ways of computing it agree, and the right one is chosen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from darkarcs.errors import ModelError
from darkarcs.models.attention import Attention, prefers_written_out


def test_written_out_equals_fused() -> None:
    torch.manual_seed(0)
    attention = Attention(32, 4).double()
    tokens = torch.randn(3, 9, 32, dtype=torch.float64)
    results = []
    for kind in ("written_out", "fused"):
        attention.kind = kind
        results.append(attention(tokens)[0])
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("device", "dtype", "written_out"),
    [
        ("cpu", torch.bfloat16, True),
        ("cpu", torch.float16, True),
        ("cpu", torch.float32, False),
        ("cuda", torch.bfloat16, False),
        ("cuda", torch.float32, False),
    ],
)
def test_the_faster_way_is_chosen(device: str, dtype: torch.dtype, written_out: bool) -> None:
    assert prefers_written_out(torch.device(device), dtype) is written_out


def test_autocast_decides_and_capture_overrules(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *args: calls.append(1) or fused(*args)
    )
    attention, tokens = Attention(8, 2), torch.randn(2, 5, 8)
    attention(tokens)
    assert len(calls) == 1
    attention(tokens, frozenset({"attention"}))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attention(tokens)
    assert len(calls) == 1


def test_softmax_survives_large_scores_in_half_precision() -> None:
    torch.manual_seed(0)
    attention, tokens = Attention(32, 2), torch.randn(2, 65, 32)
    with torch.no_grad():
        attention.qkv.weight.mul_(200)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, taken = attention(tokens, frozenset({"attention"}))
    assert mixed.isfinite().all()
    sums = taken["attention"].float().sum(dim=-1)
    assert (sums - 1).abs().max() < 0.01


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ModelError, match="not a multiple"):
        Attention(10, 3)
