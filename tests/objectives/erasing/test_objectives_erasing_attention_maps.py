"""Maps of attention by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from darkarcs.errors import ModelError
from darkarcs.objectives.erasing.attention_maps import (
    attention_map,
    gradient_weighted_attention,
)
from darkarcs.objectives.readers import rolled_out_attention

CLASS_TOKEN = slice(0, 1)


def layers(num_layers: int = 3, num_prefix: int = 1) -> list[Tensor]:
    torch.manual_seed(0)
    shape = (2, 3, 9 + num_prefix, 9 + num_prefix)
    return [torch.randn(shape).softmax(-1) for _ in range(num_layers)]


def test_gradient_weighting_by_hand() -> None:
    attention = torch.tensor([0.2, 0.5, 0.3]).expand(1, 2, 3, 3).clone().requires_grad_()
    worth = torch.tensor([0.0, 4.0, -6.0])
    score = (attention[:, :, 0] * worth).sum()
    found = gradient_weighted_attention(attention, score, 1, CLASS_TOKEN)
    assert found.tolist() == [[2.0, 0.0]]
    score.backward()  # the graph is kept for the losses


def test_maps_sum_to_one_and_are_detached() -> None:
    attention = layers(1)[0].requires_grad_()
    logits = attention[:, :, 0].mean(1)[:, :2]
    output = SimpleNamespace(logits=logits, captured={"attention.-1": attention})
    labels = torch.tensor([0, -1])
    for kind in ("class_attention", "gradient_weighted"):
        found = attention_map(kind, output, labels, 1, CLASS_TOKEN)  # type: ignore[arg-type]
        assert not found.requires_grad
        assert bool((found >= 0).all())
        assert found.sum(1).tolist() == pytest.approx([1, 1]) or kind == "gradient_weighted"
    with pytest.raises(ModelError, match="no attention"):
        attention_map("rollout", SimpleNamespace(captured={}), labels, 1, CLASS_TOKEN)


def test_rollout_takes_the_layers_in_order() -> None:
    captured = {f"attention.{index}": layer for index, layer in enumerate(layers(11))}
    shuffled = dict(sorted(captured.items()))  # attention.10 before attention.2
    output = SimpleNamespace(captured=shuffled)
    found = attention_map("rollout", output, torch.zeros(2), 1, CLASS_TOKEN)
    expected = rolled_out_attention(list(captured.values()), 1, CLASS_TOKEN)
    assert torch.allclose(found, expected / expected.sum(1, keepdim=True))
