"""Fine-tuning modes: what is trained, what stays, and that LoRA folds away."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from darkarcs.errors import ConfigurationError, ModelError
from darkarcs.models import (
    FineTuning,
    ImageClassifier,
    apply_finetuning,
    create_model,
    merge_lora,
)
from darkarcs.models.finetuning import LowRankLinear


def small(name: str = "vit_ti16", **more: Any) -> ImageClassifier:
    torch.manual_seed(4)
    shape = {"width": 16, "num_heads": 2, "depth": 3} if "16" in name else {}
    model = create_model(name, num_classes=2, image_size=32, **{**shape, **more})
    assert isinstance(model, ImageClassifier)
    return model


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def one_step(model: nn.Module, learning_rate: float = 0.1) -> set[str]:
    """Train one step and return the names of what changed, buffers included."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, learning_rate)
    output = model.train()(torch.randn(4, 1, 32, 32))
    loss = output.logits[:, 0].square().mean() + output.logits[:, 1].mean()
    if output.distillation_logits is not None:
        loss = loss + output.distillation_logits[:, 0].mean()
    loss.backward()
    optimizer.step()
    after = model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_full_trains_everything_again() -> None:
    model = small()
    apply_finetuning(model, FineTuning(mode="head"))
    apply_finetuning(model, FineTuning())
    assert trained(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vit_ti16", {"head.weight", "head.bias"}),
        ("deit_ti16", {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}),
        ("resnet18", {"fc.weight", "fc.bias"}),
        ("d4_cnn", {"head.weight", "head.bias"}),
        ("compact_vit_100k", {"head.weight", "head.bias"}),
    ],
)
def test_head_changes_nothing_else_not_even_statistics(name: str, expected: set[str]) -> None:
    model = small(name)
    apply_finetuning(model, FineTuning(mode="head"))
    assert trained(model) == expected
    assert one_step(model) <= expected


def test_last_blocks() -> None:
    model = small()
    apply_finetuning(model, FineTuning(mode="last_blocks", blocks=1))
    names = trained(model)
    assert {name.split(".")[0] for name in names} == {"blocks", "norm", "head"}
    assert {name.split(".")[1] for name in names if name.startswith("blocks")} == {"2"}
    assert one_step(model) <= names
    with pytest.raises(ModelError, match="the model has 4 before its head"):
        apply_finetuning(model, FineTuning(mode="last_blocks", blocks=9))


def test_last_blocks_of_a_cnn_keep_early_statistics() -> None:
    model = small("resnet18")
    apply_finetuning(model, FineTuning(mode="last_blocks", blocks=1))
    assert {name.rsplit(".", 1)[0].split(".")[0] for name in one_step(model)} == {"layer4", "fc"}


def test_lora_starts_silent_trains_little_and_merges() -> None:
    model = small()
    plain_names = set(model.state_dict())
    images = torch.randn(4, 1, 32, 32)
    before = model.eval()(images).logits
    apply_finetuning(model, FineTuning(mode="lora", rank=4))
    torch.testing.assert_close(model(images).logits, before)
    names = trained(model)
    expected = {
        f"blocks.{i}.attn.{layer}.lora_{m}"
        for i in range(3)
        for layer in ("qkv", "proj")
        for m in "ab"
    }
    assert names == expected | {"head.weight", "head.bias"}
    assert model.blocks[0].attn.qkv.lora_a.shape == (4, 16)
    one_step(model)
    assert one_step(model) == names  # the first step only moves the zero factors
    groups = [id(p) for group in model.layer_groups() for p in group]
    assert sorted(groups) == sorted(id(p) for p in model.parameters())
    adapted = model.eval()(images).logits
    assert not torch.allclose(adapted, before)
    assert merge_lora(model) is model
    assert set(model.state_dict()) == plain_names
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())
    torch.testing.assert_close(model(images).logits, adapted)
    fresh = small()
    fresh.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(fresh.eval()(images).logits, adapted)


def test_lora_survives_copying_and_mixed_precision() -> None:
    model = small()
    apply_finetuning(model, FineTuning(mode="lora", rank=2))
    one_step(model)
    twin = copy.deepcopy(model).eval()
    images = torch.randn(4, 1, 32, 32)
    assert torch.equal(twin(images).logits, model.eval()(images).logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images).logits
    torch.testing.assert_close(logits, twin(images).logits, atol=0.05, rtol=0.1)


def test_lora_needs_attention() -> None:
    with pytest.raises(ModelError, match="LoRA finds no linear layer"):
        apply_finetuning(small("d4_cnn"), FineTuning(mode="lora"))


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="mode"):
        FineTuning.parse({"mode": "halb"}, "finetuning")
    with pytest.raises(ConfigurationError, match="rank"):
        FineTuning.parse({"rank": 0}, "finetuning")
