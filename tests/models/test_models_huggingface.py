"""Image classifiers of transformers behind our interface, from tiny local folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from darkarcs.errors import MissingExtraError, ModelError
from darkarcs.models import FineTuning, apply_finetuning, create_model, merge_lora

TRANSFORMER = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "ViT": {**TRANSFORMER, "intermediate_size": 32, "patch_size": 8},
    "DeiT": {**TRANSFORMER, "intermediate_size": 32, "patch_size": 8},
    "Dinov2": {**TRANSFORMER, "patch_size": 8},
    "Dinov2WithRegisters": {**TRANSFORMER, "patch_size": 8, "num_register_tokens": 4},
    "Swin": {
        "image_size": 32,
        "patch_size": 2,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
    },
    "ConvNext": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    "Cvt": {
        "embed_dim": [8, 16, 16],
        "num_heads": [1, 2, 2],
        "depth": [1, 2, 3],  # transformers needs more blocks in later stages
    },
}
PREFIX_TOKENS = {"ViT": 1, "DeiT": 2, "Dinov2": 1, "Dinov2WithRegisters": 5}


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=CONFIGS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(transformers: Any, family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny random classifier of a family with seven classes, as safetensors."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**CONFIGS[family], num_labels=7)
    path = tmp_path_factory.mktemp("models") / family
    getattr(transformers, f"{family}ForImageClassification")(config).save_pretrained(path)
    assert (path / "model.safetensors").is_file()
    return path


def test_contract(folder: Path, family: str) -> None:
    name = f"huggingface:{folder}"
    model = create_model(name, num_classes=3, image_size=32, pretrained="default").eval()
    report = model.load_report
    assert any("classifier" in entry for entry in report.missing)
    assert any("3 to 1 channels" in entry for entry in report.resized)
    images = torch.randn(2, 1, 32, 32)
    output = model(images, capture=("hidden.-1", "hidden.0"))
    assert output.logits.shape == (2, 3)
    assert set(output.captured) == {"hidden.-1", "hidden.0"}
    assert model.num_prefix_tokens == PREFIX_TOKENS.get(family, 0)
    listed = sorted(id(p) for group in model.layer_groups() for p in group)
    assert listed == sorted(id(p) for p in model.parameters())
    assert len(model.layer_groups()) >= 4
    head = {id(p) for p in model.classifier.parameters()}
    assert head <= {id(p) for p in model.layer_groups()[-1]}
    with pytest.raises(ModelError, match="mask token"):
        model(images, patch_mask=torch.zeros(2, 16, dtype=torch.bool))
    model.train()(images).logits.sum().backward()


def test_attention_where_the_model_gives_it(folder: Path, family: str) -> None:
    model = create_model(f"huggingface:{folder}", num_classes=3, pretrained="default").eval()
    assert model.supports_attention == (family in PREFIX_TOKENS)
    images = torch.randn(2, 1, 32, 32)
    if not model.supports_attention:
        with pytest.raises(ModelError, match="cannot capture 'attention'"):
            model(images, capture=("attention",))
        return
    assert model.patch_size == 8
    captured = model(images, capture=("attention",)).captured
    length = 16 + model.num_prefix_tokens
    assert set(captured) == {"attention.0", "attention.1", "attention.2"}
    assert captured["attention.2"].shape == (2, 2, length, length)
    torch.testing.assert_close(captured["attention.2"].sum(-1), torch.ones(2, 2, length))


def test_another_image_size_than_trained_on(folder: Path) -> None:
    model = create_model(f"huggingface:{folder}", num_classes=3, pretrained="default").eval()
    assert model(torch.randn(2, 1, 64, 64)).logits.shape == (2, 3)


def test_grey_equals_three_equal_channels(folder: Path) -> None:
    name = f"huggingface:{folder}"
    colour = create_model(name, num_classes=7, in_channels=3, pretrained="default").eval()
    assert colour.load_report.missing == []
    grey = create_model(name, num_classes=7, in_channels=1, pretrained="default").eval()
    image = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(
        grey(image).logits, colour(image.expand(-1, 3, -1, -1)).logits, rtol=1e-4, atol=1e-4
    )


def test_a_model_is_built_again_from_its_configuration(folder: Path) -> None:
    model = create_model(f"huggingface:{folder}", num_classes=3, pretrained="default").eval()
    again = create_model("huggingface:elsewhere", num_classes=3, config=model.config)
    again.load_state_dict(model.state_dict(), strict=True)
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(again.eval()(images).logits, model(images).logits)


def test_lora_on_a_foreign_transformer(transformers: Any) -> None:
    config = transformers.ViTConfig(**CONFIGS["ViT"], model_type="vit").to_dict()
    model = create_model("huggingface:any", num_classes=3, image_size=32, config=config)
    names = set(model.state_dict())
    apply_finetuning(model, FineTuning(mode="lora", rank=2))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert sum("lora_a" in name for name in trained) >= 9
    assert set(merge_lora(model).state_dict()) == names


def test_what_is_not_there_is_explained(transformers: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be used"):
        create_model(f"huggingface:{tmp_path}", num_classes=2)
    transformers.BertConfig(num_hidden_layers=1).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot be used"):
        create_model(f"huggingface:{tmp_path}", num_classes=2)


def test_pickled_weights_are_refused(transformers: Any, tmp_path: Path) -> None:
    config = transformers.ViTConfig(**CONFIGS["ViT"])
    config.save_pretrained(tmp_path)
    model = transformers.ViTForImageClassification(config)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be used"):
        create_model(f"huggingface:{tmp_path}", num_classes=2, pretrained="default")


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"darkarcs\[huggingface\]"):
        create_model("huggingface:microsoft/swin-tiny-patch4-window7-224", num_classes=2)
