"""What heads read, found by asking, and the attention that goes out from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darkarcs.errors import ModelError
from darkarcs.models import create_model
from darkarcs.objectives.readers import find_readers, outgoing_attention, rolled_out_attention

SMALL: dict[str, Any] = {"patch_size": 8, "width": 32, "depth": 2, "num_heads": 2}
IMAGE = torch.linspace(-1, 1, 32)[:, None] * torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
ALL = slice(0, None)


def make(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, num_classes=2, in_channels=1, image_size=32, **options).eval()


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("vit_ti16", SMALL, slice(0, 1)),
        ("vit_ti16", {**SMALL, "num_registers": 4}, slice(0, 1)),
        ("vit_ti16", {**SMALL, "pool": "mean"}, slice(1, None)),
        ("vit_ti16", {**SMALL, "pool": "mean", "class_token": False}, ALL),
        ("deit_ti16", SMALL, slice(0, 2)),  # inference averages two heads
        ("compact_vit_100k", {"patch_size": 8}, slice(1, None)),
    ],
)
def test_readers_are_found(name: str, options: dict[str, Any], expected: slice) -> None:
    model = make(name, **options)
    second = getattr(model, "head_dist", None)
    if second is not None:
        nn.init.normal_(second.weight)  # as if trained: a fresh one says nothing
    assert find_readers(model, IMAGE) == expected
    model.requires_grad_(False)  # and of a frozen one, while nothing is differentiated
    with torch.inference_mode():
        assert find_readers(model, IMAGE.clone()) == expected
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_network_without_tokens_is_refused() -> None:
    with pytest.raises(ModelError, match="no tokens"):
        find_readers(make("resnet18"), IMAGE)


def layers(num_layers: int, tokens: int = 10) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, tokens, tokens)
    return [torch.randn(shape, generator=generator).softmax(-1) for _ in range(num_layers)]


@pytest.mark.parametrize(("prefix", "readers"), [(1, slice(0, 1)), (1, slice(1, None)), (0, ALL)])
def test_maps_are_rows_of_the_matrices(prefix: int, readers: slice) -> None:
    captured = layers(3)
    last = captured[-1].numpy()
    expected = last[:, :, readers, prefix:].mean(axis=2)
    np.testing.assert_allclose(
        outgoing_attention(captured[-1], prefix, readers), expected, atol=1e-7
    )
    mixed = [0.5 * layer.double().mean(dim=1) + 0.5 * torch.eye(10) for layer in captured]
    rolled = (mixed[2] @ mixed[1] @ mixed[0])[:, readers, prefix:].mean(dim=1)
    found = rolled_out_attention(captured, prefix, readers)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), rolled, atol=1e-6, rtol=0)
    exact = rolled_out_attention([layer.double() for layer in captured], prefix, readers)
    torch.testing.assert_close(exact, rolled, atol=1e-12, rtol=0)


def test_readers_of_the_mean_leave_the_class_token_out() -> None:
    (last,) = layers(1)
    silenced = last.clone()
    silenced[:, :, 0] = 0.0
    found = outgoing_attention(last, 1, slice(1, None))
    assert torch.equal(found, outgoing_attention(silenced, 1, slice(1, None)))


def test_half_precision_is_summed_in_single() -> None:
    half = [layer.bfloat16() for layer in layers(2)]
    assert outgoing_attention(half[0], 1, slice(0, 1)).dtype == torch.float32
    assert rolled_out_attention(half, 1, slice(0, 1)).dtype == torch.float32
