"""Every registered model keeps the contract of `ImageClassifier`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from darkarcs.errors import ConfigurationError, ModelError
from darkarcs.models import ImageClassifier, create_model, list_models, register_model
from darkarcs.models.catalogue import MODELS, ModelSpec
from darkarcs.models.resnet import ResNet, ResNetArchitecture
from darkarcs.registry import Registry

NAMES = [spec.name for spec in list_models()]
CHANNELS = {spec.name: spec.in_channels for spec in list_models()}
PUBLISHED_PARAMETERS = {  # timm's counts for 1000 classes and three channels
    "vit_ti16": 5_717_416,
    "vit_s16": 22_050_664,
    "vit_b16": 86_567_656,
    "deit_ti16": 5_910_800,
    "deit_s16": 22_436_432,
    "deit_b16": 87_338_192,
    "resnet18": 11_689_512,
}


def small(name: str, **more: Any) -> ImageClassifier:
    """Build a registered model at 32 pixels; the standard transformers with two blocks."""
    shallow = {"depth": 2} if name.startswith(("vit", "deit")) else {}
    torch.manual_seed(3)
    options = {"in_channels": CHANNELS[name], **shallow, **more}
    model = create_model(name, num_classes=3, image_size=32, **options)
    assert isinstance(model, ImageClassifier)
    return model


def noise(name: str, number: int, side: int = 32) -> torch.Tensor:
    """Draw images as a model takes them."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(number, CHANNELS[name], side, side, generator=generator)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_forward_backward_and_capture(name: str) -> None:
    model = small(name)
    images = noise(name, 4)
    plain = model.eval()(images)
    assert plain.logits.shape == (4, 3)
    assert plain.logits.dtype == torch.float32
    assert plain.captured == {}
    captured = model(images, capture=("hidden.-1",))
    assert set(captured.captured) == {"hidden.-1"}
    torch.testing.assert_close(captured.logits, plain.logits, rtol=1e-4, atol=1e-5)
    output = model.train()(images)
    loss = output.logits.square().sum()
    if output.distillation_logits is not None:
        loss = loss + (output.distillation_logits - 1).square().sum()
    loss.backward()
    silent = {n for n, p in model.named_parameters() if p.grad is None}
    # a mean-pooling head does not read the class token, yet attention does
    assert silent <= {"mask_token"}


def test_attention_capture_is_a_probability(name: str) -> None:
    model = small(name).eval()
    images = noise(name, 2)
    if not model.supports_attention:
        assert model.patch_size is None
        assert model.num_prefix_tokens == 0
        with pytest.raises(ModelError, match="cannot capture 'attention'"):
            model(images, capture=("attention",))
        with pytest.raises(ModelError, match="no mask token"):
            model(images, patch_mask=torch.zeros(2, 4, dtype=torch.bool))
        return
    output = model(images, capture=("attention", "patch_tokens"))
    attention = output.captured["attention.0"]
    num_patches = output.captured["patch_tokens"].shape[1]
    assert num_patches == (32 // model.patch_size) ** 2
    length = num_patches + model.num_prefix_tokens
    assert attention.shape[2:] == (length, length)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(attention.shape[:-1]))


def test_layer_groups_cover_each_parameter_once(name: str) -> None:
    model = small(name)
    groups = model.layer_groups()
    listed = [id(parameter) for group in groups for parameter in group]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())
    assert all(groups)
    head = {id(parameter) for parameter in model.classifier.parameters()}
    assert head <= {id(parameter) for parameter in groups[-1]}


def test_state_dict_round_trip(name: str, tmp_path: Any) -> None:
    model = small(name).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.manual_seed(99)
    other = small(name, dropout=0.0) if name == "d4_cnn" else small(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    images = noise(name, 2)
    assert torch.equal(model(images).logits, other.eval()(images).logits)


@pytest.mark.parametrize("size", [48, 64])
def test_other_image_sizes_work(name: str, size: int) -> None:
    model = small(name).eval()
    assert model(noise(name, 2, size)).logits.isfinite().all()


def test_half_precision_training_gives_float_logits(name: str) -> None:
    model = small(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(noise(name, 4)).logits
    assert logits.dtype == torch.float32
    logits.sum().backward()


def test_several_channels_and_the_wrong_number(name: str) -> None:
    channels = CHANNELS[name] + 2  # of residuals: another band
    model = small(name, in_channels=channels)
    assert model(torch.randn(2, channels, 32, 32)).logits.shape == (2, 3)
    with pytest.raises(ModelError, match="in_channels=2"):
        model(torch.randn(2, 2, 32, 32))
    with pytest.raises(ModelError, match="3 axes"):
        model(torch.randn(3, 32, 32))


def test_unknown_overrides_and_names_are_explained(name: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown key 'wdith'"):
        create_model(name, num_classes=2, image_size=32, wdith=3)
    with pytest.raises(ConfigurationError, match="no model"):
        create_model(name + "x", num_classes=2)


@pytest.mark.parametrize(("known", "count"), PUBLISHED_PARAMETERS.items())
def test_published_parameter_counts(known: str, count: int) -> None:
    with torch.device("meta"):
        model = create_model(known, num_classes=1000, in_channels=3, image_size=224)
    own = {"mask_token"}
    assert sum(p.numel() for n, p in model.named_parameters() if n not in own) == count


def test_declared_sizes() -> None:
    specs = {spec.name: spec for spec in list_models()}
    assert list(specs) == sorted(specs)
    limits = {"1m": 1e6, "500k": 5e5, "250k": 2.5e5, "100k": 1e5}
    for suffix, limit in limits.items():
        assert 0.7 * limit < specs[f"compact_vit_{suffix}"].parameters < limit
    assert 0.22e6 < specs["d4_cnn"].parameters < 0.28e6
    for spec in specs.values():
        assert (spec.pretrained is None) == (spec.licence is None) == (spec.mean is None)


def test_third_parties_register_through_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[ModelSpec] = Registry("model", "darkarcs.models")
    monkeypatch.setattr("darkarcs.models.catalogue.MODELS", registry)

    class Entry:
        def __init__(self, name: str, thing: Any) -> None:
            self.name, self.thing = name, thing

        def load(self) -> Any:
            return self.thing() if callable(self.thing) else self.thing

    def load_plugin() -> ModelSpec:
        @register_model("theirs", family="theirs", description="a model of a third party")
        def theirs(*, num_classes: int, in_channels: int, image_size: int) -> ResNet:
            return ResNet(ResNetArchitecture(), num_classes=num_classes, in_channels=in_channels)

        return theirs

    entries = [Entry("theirs", load_plugin), Entry("broken", "not a spec")]
    monkeypatch.setattr("darkarcs.registry.entry_points", lambda group: entries)
    model = create_model("theirs", num_classes=2)
    assert model(torch.randn(2, 1, 32, 32)).logits.shape == (2, 2)
    with pytest.raises(ModelError, match="register_model"):
        create_model("broken", num_classes=2)


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        register_model("vit_ti16", family="vit", description="again")(MODELS["vit_ti16"].build)


def test_default_weights_need_a_published_source() -> None:
    with pytest.raises(ModelError, match="no published weights"):
        create_model("d4_cnn", num_classes=2, pretrained="default")
