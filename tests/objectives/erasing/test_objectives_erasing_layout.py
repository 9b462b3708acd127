"""What an objective finds out about a model, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from darkarcs.errors import ModelError
from darkarcs.models import create_model
from darkarcs.objectives import IterativeErasing
from darkarcs.objectives.erasing.layout import find_layout
from darkarcs.objectives.erasing.moving_average import MovingAverage

SMALL: dict[str, Any] = {"patch_size": 8, "width": 32, "depth": 2, "num_heads": 2}


def make(name: str, **options: Any) -> nn.Module:
    return create_model(name, num_classes=2, in_channels=1, image_size=32, **options)


def settings(**values: Any) -> IterativeErasing:
    return IterativeErasing.parse(values, "test")


@pytest.mark.parametrize(
    ("name", "options", "prefix", "readers"),
    [
        ("vit_ti16", SMALL, 1, slice(0, 1)),
        ("vit_ti16", {**SMALL, "num_registers": 4}, 5, slice(0, 1)),
        ("vit_ti16", {**SMALL, "pool": "mean"}, 1, slice(1, None)),
        ("vit_ti16", {**SMALL, "pool": "mean", "class_token": False}, 0, slice(0, None)),
        ("deit_ti16", SMALL, 2, slice(0, 1)),  # a fresh second head says nothing
        ("compact_vit_100k", {"patch_size": 8}, 1, slice(1, None)),
    ],
)
def test_layout_says_what_the_head_reads(
    name: str, options: dict[str, Any], prefix: int, readers: slice
) -> None:
    model = make(name, **options).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    layout = find_layout(model, settings(), 1, 32)
    assert (layout.num_prefix_tokens, layout.readers) == (prefix, readers)
    assert (layout.patch_size, layout.grid, layout.tokens_name) == (8, (4, 4), "patch_tokens")
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strategy": "random"}, "has no patches; set objective.patch_size"),
        ({"patch_size": 8}, "lacks attention"),
        ({"patch_size": 8, "strategy": "random", "guard": "evidence"}, "lacks attention"),
        ({"patch_size": 8, "strategy": "random", "fill": "mask_token"}, "lacks a mask token"),
        ({"patch_size": 5, "strategy": "random"}, "objective.patch_size to a divisor of 32 that"),
        (
            {"patch_size": 8, "strategy": "random", "weights": {"reconstruction": 1}},
            "lacks patch tokens",
        ),
    ],
)
def test_a_convolutional_network_is_told_what_it_lacks(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        find_layout(make("resnet18"), settings(**values), 1, 32)


def test_a_convolutional_network_takes_random_erasing() -> None:
    layout = find_layout(make("d4_cnn"), settings(strategy="random", patch_size=8), 1, 32)
    assert layout.num_patches == 16
    by_probability = {"guard": "evidence", "evidence": "probability"}
    find_layout(make("d4_cnn"), settings(strategy="random", patch_size=8, **by_probability), 1, 32)


def test_one_patch_cannot_be_erased() -> None:
    with pytest.raises(ModelError, match=r"set model\.options\.patch_size .* at most 16"):
        find_layout(make("vit_ti16", **{**SMALL, "patch_size": 32}), settings(), 1, 32)
    with pytest.raises(ModelError, match=r"set objective\.patch_size .* at most 16"):
        find_layout(make("d4_cnn"), settings(strategy="random", patch_size=32), 1, 32)


def test_a_transformers_patch_size_is_its_own() -> None:
    with pytest.raises(ModelError, match="not the model's own 8; leave it out"):
        find_layout(make("vit_ti16", **SMALL), settings(patch_size=4), 1, 32)


def test_models_of_transformers_have_attention_but_no_mask_token() -> None:
    pytest.importorskip("transformers")
    config = {
        "model_type": "vit",
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": 32,
        "patch_size": 8,
    }
    model = make("huggingface:tiny", config=config)
    layout = find_layout(model, settings(weights={"reconstruction": 1}), 1, 32)
    assert (layout.tokens_name, layout.width, layout.readers) == ("hidden.-1", 16, slice(0, 1))
    with pytest.raises(ModelError, match="no mask token: erase pixels"):
        find_layout(model, settings(fill="mask_token"), 1, 32)


def test_average_follows_late_and_early_and_is_never_trained() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = MovingAverage(model, 0.9).train()
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
    start = average.network[0].weight.item()
    nn.init.constant_(model[0].weight, start + 1)
    model[1].num_batches_tracked.fill_(7)
    average.update(model, step=0)  # warm-up: decay 1/10
    assert average.network[0].weight.item() == pytest.approx(start + 0.9)
    average.update(model, step=10_000)
    assert average.network[0].weight.item() == pytest.approx(start + 0.91)
    assert average.network[1].num_batches_tracked == 7
