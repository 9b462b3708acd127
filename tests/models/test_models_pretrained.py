"""Checkpoints of other patch sizes, image sizes, channels and token layouts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from darkarcs.errors import ModelError
from darkarcs.models import (
    TransformerArchitecture,
    VisionTransformer,
    create_model,
    list_models,
    load_pretrained,
)
from darkarcs.models.weight_adaptation import (
    adapt_channels,
    architecture_of,
    fold_normalization,
    resize_patch_kernel,
)

SHAPE: dict[str, Any] = {"patch_size": 8, "width": 64, "depth": 2, "num_heads": 1, "mlp_ratio": 2.0}


def vit(
    num_classes: int = 10, in_channels: int = 3, size: int = 32, **more: Any
) -> VisionTransformer:
    torch.manual_seed(2)
    architecture = TransformerArchitecture.parse({**SHAPE, **more}, "test")
    model = VisionTransformer(
        architecture, num_classes=num_classes, in_channels=in_channels, image_size=size
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model.eval()


def timm_file(model: VisionTransformer, path: Path) -> Path:
    """Save a model as timm would: without mask token."""
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "mask_token"}
    save_file(state, path)
    return path


def rgb(size: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"distillation_token": True},
        {"layer_scale": 0.1},
        {"num_registers": 4, "prefix_positions": False, "layer_scale": 0.1},
        {"num_registers": 2},
        {"prefix_positions": False},
        {"class_token": False, "pool": "mean"},
    ],
    ids=["vit", "deit", "dinov2", "dinov2_registers", "registers", "deit3", "no_class_token"],
)
def test_the_shape_is_read_off_the_checkpoint(layout: dict[str, Any], tmp_path: Path) -> None:
    teacher = vit(**layout)
    path = str(timm_file(teacher, tmp_path / "model.safetensors"))
    more = {"pool": "mean"} if layout.get("class_token") is False else {}
    model = create_model(
        "vit", num_classes=10, in_channels=3, image_size=32, pretrained=path, **more
    ).eval()
    assert model.load_report.missing == ["mask_token"]
    assert model.load_report.left_out == model.load_report.resized == []
    assert torch.equal(model(rgb()).logits, teacher(rgb()).logits)


def test_layer_scales_fold_and_unfold_exactly(tmp_path: Path) -> None:
    scaled, plain = vit(layer_scale=0.1), vit()
    path = timm_file(scaled, tmp_path / "scaled.safetensors")
    report = load_pretrained(plain, path)
    assert "blocks.1.mlp.fc2.weight (layer scale folded in)" in report.resized
    torch.testing.assert_close(plain(rgb()).logits, scaled(rgb()).logits)
    other = vit(layer_scale=1e-5)
    report = load_pretrained(other, timm_file(plain, tmp_path / "plain.safetensors"))
    assert "blocks.0.ls1.gamma (set to one: the checkpoint has none)" in report.resized
    torch.testing.assert_close(other(rgb()).logits, plain(rgb()).logits)


@pytest.mark.parametrize("registers", [0, 3])
@pytest.mark.parametrize("has", [True, False])
def test_prefix_positions_convert_exactly(has: bool, registers: int, tmp_path: Path) -> None:
    source = vit(prefix_positions=has, num_registers=registers)
    model = vit(prefix_positions=not has, num_registers=registers)
    report = load_pretrained(model, timm_file(source, tmp_path / "m.safetensors"))
    assert any(entry.startswith("pos_embed") for entry in report.resized)
    torch.testing.assert_close(model(rgb()).logits, source(rgb()).logits)


def test_a_deit_takes_a_plain_checkpoint_and_the_reverse(tmp_path: Path) -> None:
    plain, distilled = vit(), vit(distillation_token=True)
    positions = plain.pos_embed.detach().clone()
    report = load_pretrained(distilled, timm_file(plain, tmp_path / "plain.safetensors"))
    assert set(report.missing) == {
        "dist_token",
        "mask_token",
        "head_dist.weight",
        "head_dist.bias",
    }
    assert torch.equal(distilled.pos_embed[:, [0, *range(2, 18)]], positions)
    assert distilled.pos_embed[:, 1].abs().max() == 0
    report = load_pretrained(plain, timm_file(distilled, tmp_path / "deit.safetensors"))
    assert any(entry.startswith("dist_token (the model has none)") for entry in report.left_out)
    assert torch.equal(plain.pos_embed, positions)


def test_everything_at_once_is_reported(tmp_path: Path) -> None:
    path = timm_file(vit(), tmp_path / "model.safetensors")
    model = vit(num_classes=2, in_channels=1, size=48, patch_size=6)
    before = model.head.weight.clone()
    report = load_pretrained(model, path)
    assert set(report.resized) == {
        "patch_embed.proj.weight (patch of 8 to 6 pixels, 3 to 1 channels)",
        "pos_embed (grid of 4x4 to 8x8)",
    }
    assert {entry.split()[0] for entry in report.left_out} == {"head.weight", "head.bias"}
    assert set(report.missing) == {"mask_token", "head.weight", "head.bias"}
    assert len(report.loaded) == len(model.state_dict()) - 5
    assert torch.equal(model.head.weight, before)
    text = str(report)
    assert text.startswith(f"{path}: {len(report.loaded)} tensors loaded as they are; adapted:")
    assert "left out: head" in text
    assert "left as initialized: mask_token" in text


def test_grey_equals_three_equal_channels(tmp_path: Path) -> None:
    colour, grey = vit(), vit(in_channels=1)
    load_pretrained(grey, timm_file(colour, tmp_path / "model.safetensors"))
    image = rgb()[:, :1]
    torch.testing.assert_close(
        grey(image).logits, colour(image.expand(-1, 3, -1, -1)).logits, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_more_channels_keep_the_response_to_a_constant(channels: int) -> None:
    kernel = torch.ones(5, 3, 2, 2)
    adapted = adapt_channels(kernel, channels)
    assert adapted.shape == (5, channels, 2, 2)
    torch.testing.assert_close(adapted.sum(dim=1), kernel.sum(dim=1))


@pytest.mark.parametrize("size", [8, 10, 16])
def test_kernels_on_grown_patches_give_the_same_tokens(size: int) -> None:
    kernel = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    patches = torch.randn(6, 3, 8, 8, dtype=torch.float64)
    grown = F.interpolate(patches, (size, size), mode="bicubic", antialias=True)
    resized = resize_patch_kernel(kernel, (size, size))
    torch.testing.assert_close(F.conv2d(grown, resized), F.conv2d(patches, kernel))


def test_kernels_on_shrunk_smooth_patches_give_about_the_same_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = F.interpolate(
        torch.randn(4, 1, 4, 4, generator=generator), (16, 16), mode="bicubic"
    ).double()
    coarse = torch.randn(20, 1, 4, 4, generator=generator).double()
    smooth = F.interpolate(coarse, (16, 16), mode="bicubic")
    shrunk = F.interpolate(smooth, (12, 12), mode="bicubic", antialias=True)
    expected = F.conv2d(smooth, kernel).flatten()
    resized = F.conv2d(shrunk, resize_patch_kernel(kernel, (12, 12))).flatten()
    assert torch.corrcoef(torch.stack([expected, resized]))[0, 1] > 0.99
    naive = F.interpolate(kernel, (12, 12), mode="bicubic", antialias=True)
    naive_error = (F.conv2d(shrunk, naive).flatten() - expected).abs().mean()
    assert (resized - expected).abs().mean() < 0.5 * naive_error


def test_folded_normalization_is_exact() -> None:
    kernel, bias = torch.randn(4, 3, 8, 8).double(), torch.randn(4).double()
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    image = torch.rand(2, 3, 16, 16).double()
    normalized = (image - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    folded = fold_normalization(kernel, bias, mean, std)
    expected = F.conv2d(normalized, kernel, bias, stride=8)
    torch.testing.assert_close(F.conv2d(image, *folded, stride=8), expected, rtol=1e-5, atol=1e-5)


def test_names_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = timm_file(vit(), tmp_path / "model.safetensors")
    asked: list[tuple[str, str, str | None]] = []

    def download(repository: str, filename: str, revision: str | None) -> str:
        asked.append((repository, filename, revision))
        return str(path)

    monkeypatch.setattr("darkarcs.models.pretrained.hf_hub_download", download)
    model = create_model("vit", num_classes=2, pretrained="hf_hub:timm/some_vit", image_size=32)
    assert model.load_report.source == "hf_hub:timm/some_vit"
    create_model("vit", num_classes=2, pretrained="hf_hub:timm/some_vit@v2", image_size=32)
    assert set(asked) == {
        ("timm/some_vit", "model.safetensors", None),
        ("timm/some_vit", "model.safetensors", "v2"),
    }
    asked.clear()
    with pytest.raises(ModelError, match="another architecture"):
        create_model("vit_ti16", num_classes=2, pretrained="default")
    assert asked[0][0] == "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"


def test_default_sources_are_on_the_hub_under_timm() -> None:
    named = [spec.pretrained for spec in list_models() if spec.pretrained]
    assert len(named) == len(set(named)) >= 7
    assert all(name.startswith("timm/") for name in named)


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("darkarcs.models.pretrained.hf_hub_download", refuse)
    with pytest.raises(ModelError, match=r"cannot be downloaded \(no route to host\); download"):
        create_model("vit_ti16", num_classes=2, pretrained="default")


@pytest.mark.parametrize("suffix", [".bin", ".pth", ".pt", ".ckpt"])
def test_pickles_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="unpickling"):
        create_model("vit_ti16", num_classes=2, pretrained=str(path))


def test_absent_broken_and_foreign_files(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not safetensors at all")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"something": torch.zeros(3)}, foreign)
    for source, message in [
        (tmp_path / "absent.safetensors", "no such file"),
        (broken, "not a readable safetensors"),
        (foreign, "another architecture"),
    ]:
        with pytest.raises(ModelError, match=message):
            create_model("vit_ti16", num_classes=2, pretrained=str(source))
    with pytest.raises(ModelError, match="timm's names"):
        create_model("vit", num_classes=2, pretrained=str(foreign))


def test_a_checkpoint_of_another_width_is_refused(tmp_path: Path) -> None:
    path = timm_file(vit(), tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"fits 0 of the model's 144 inner tensors"):
        create_model("vit_ti16", num_classes=2, pretrained=str(path))


def test_a_shallower_model_takes_the_first_blocks(tmp_path: Path) -> None:
    path = timm_file(vit(depth=4), tmp_path / "model.safetensors")
    model = create_model("vit", num_classes=10, in_channels=3, pretrained=str(path), depth=2)
    assert len(model.blocks) == 2
    assert sum("blocks.3" in entry for entry in model.load_report.left_out) == 12


@pytest.mark.parametrize("name", ["compact_vit_100k", "resnet18", "d4_cnn"])
def test_own_checkpoints_load_into_other_channels(name: str, tmp_path: Path) -> None:
    model = create_model(name, num_classes=3, in_channels=3)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    path = str(tmp_path / "model.safetensors")
    again = create_model(name, num_classes=3, in_channels=1, pretrained=path).eval()
    assert len(again.load_report.resized) == 1
    assert again.load_report.missing == again.load_report.left_out == []
    grey = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(
        again(grey).logits,
        model.eval()(grey.expand(-1, 3, -1, -1)).logits,
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_shape_that_is_read_can_be_built_again() -> None:
    model = vit(layer_scale=0.1, num_registers=4)
    read = architecture_of(model.state_dict())
    assert set(read) <= set(TransformerArchitecture.model_fields)
    shape = model.architecture.model_dump()
    assert {k: shape[k] for k in read if k != "layer_scale"} == {
        k: v for k, v in read.items() if k != "layer_scale"
    }


def test_loading_never_unpickles() -> None:
    import darkarcs.models.pretrained as pretrained

    assert "torch.load(" not in inspect.getsource(pretrained)
