"""The forward pass equals two independent references on published ImageNet weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.special import erf

from darkarcs.models import create_model

WEIGHTS = "weights/vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors"
State = dict[str, NDArray[np.float64]]


def imagenet_like(count: int, size: int = 224) -> torch.Tensor:
    """Natural-looking colour noise (amplitude over frequency) in 0..1, mapped to -1..1."""
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(count, 3, size, size, generator=generator, dtype=torch.float64)
    frequency = torch.fft.fftfreq(size).double()
    radius = (frequency[:, None] ** 2 + frequency[None] ** 2).sqrt().clamp_min(1 / size)
    field = torch.fft.ifft2(torch.fft.fft2(white) / radius).real
    scaled = field - field.amin(dim=(1, 2, 3), keepdim=True)
    scaled = scaled / scaled.amax(dim=(1, 2, 3), keepdim=True)
    return (scaled - 0.5) / 0.5


def written_out(state: State, images: NDArray[np.float64], heads: int) -> NDArray[np.float64]:
    """Compute the logits of a ViT in plain NumPy, float64, image by image."""

    def gelu(x: Any) -> Any:
        return 0.5 * x * (1 + erf(x / np.sqrt(2)))

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x: Any, name: str) -> Any:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    kernel = state["patch_embed.proj.weight"]
    width, channels, patch, _ = kernel.shape
    side, dim = images.shape[-1] // patch, width // heads
    logits = []
    for image in images:
        cut = image.reshape(channels, side, patch, side, patch).transpose(1, 3, 0, 2, 4)
        tokens = cut.reshape(side * side, -1) @ kernel.reshape(width, -1).T
        tokens = tokens + state["patch_embed.proj.bias"]
        x = np.concatenate([state["cls_token"][0], tokens]) + state["pos_embed"][0]
        for layer in range(12):
            block = f"blocks.{layer}."
            query, key, value = np.split(linear(norm(x, block + "norm1"), block + "attn.qkv"), 3, 1)
            mixed = np.empty_like(x)
            for head in range(heads):
                part = slice(head * dim, (head + 1) * dim)
                scores = query[:, part] @ key[:, part].T / np.sqrt(dim)
                weights = np.exp(scores - scores.max(-1, keepdims=True))
                mixed[:, part] = weights / weights.sum(-1, keepdims=True) @ value[:, part]
            x = x + linear(mixed, block + "attn.proj")
            hidden = gelu(linear(norm(x, block + "norm2"), block + "mlp.fc1"))
            x = x + linear(hidden, block + "mlp.fc2")
        logits.append(linear(norm(x, "norm")[0], "head"))
    return np.stack(logits)


def ours(path: Path, dtype: torch.dtype, **overrides: Any) -> torch.nn.Module:
    model = create_model(
        "vit_ti16",
        num_classes=1000,
        in_channels=3,
        image_size=224,
        pretrained=str(path / WEIGHTS),
        **overrides,
    )
    assert model.load_report.missing == ["mask_token"]
    assert len(model.load_report.loaded) == 152
    return model.eval().to(dtype)


@pytest.mark.shared
@pytest.mark.slow
def test_equals_a_plain_numpy_forward(shared_path: Path) -> None:
    images = imagenet_like(2)
    state = {k: v.double().numpy() for k, v in load_file(shared_path / WEIGHTS).items()}
    expected = written_out(state, images.numpy(), heads=3)
    with torch.no_grad():
        for kind in ("fused", "written_out"):
            double = ours(shared_path, torch.float64, attention=kind)(images).logits.numpy()
            assert np.abs(double - expected).max() < 1e-10
            single = ours(shared_path, torch.float32, attention=kind)(images.float()).logits
            assert np.abs(single.numpy() - expected).max() < 1e-5 * np.abs(expected).max()


def transformers_state(state: dict[str, torch.Tensor], known: set[str]) -> dict[str, Any]:
    """Rename timm's parameters to those of transformers' ViT (version 5, or 4)."""
    if "vit.layers.0.mlp.fc1.weight" in known:
        layer, inner = "vit.layers.{}.", {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
        split = ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj")
    else:
        layer = "vit.encoder.layer.{}."
        inner = {"mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense"}
        split = tuple(f"attention.attention.{n}" for n in ("query", "key", "value"))
        split = (*split, "attention.output.dense")
    inner |= {"norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": split[3]}
    renamed = {
        "vit.embeddings.cls_token": state["cls_token"],
        "vit.embeddings.position_embeddings": state["pos_embed"],
    }
    for part in ("weight", "bias"):
        outer = {
            "vit.embeddings.patch_embeddings.projection": "patch_embed.proj",
            "vit.layernorm": "norm",
            "classifier": "head",
        }
        renamed |= {f"{new}.{part}": state[f"{old}.{part}"] for new, old in outer.items()}
        for index in range(12):
            prefix = layer.format(index)
            for old, new in inner.items():
                renamed[f"{prefix}{new}.{part}"] = state[f"blocks.{index}.{old}.{part}"]
            for new, tensor in zip(
                split, state[f"blocks.{index}.attn.qkv.{part}"].chunk(3), strict=False
            ):
                renamed[f"{prefix}{new}.{part}"] = tensor
    return renamed


@pytest.mark.shared
@pytest.mark.slow
def test_equals_transformers(shared_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=192,
        num_hidden_layers=12,
        num_attention_heads=3,
        intermediate_size=768,
        num_labels=1000,
        layer_norm_eps=1e-6,
    )
    reference = transformers.ViTForImageClassification(config).eval()
    state = load_file(shared_path / WEIGHTS)
    reference.load_state_dict(transformers_state(state, set(reference.state_dict())), strict=True)
    images = imagenet_like(4)
    with torch.no_grad():
        expected = reference.double()(images).logits
        difference = (ours(shared_path, torch.float64)(images).logits - expected).abs().max()
        assert difference < 1e-10
        single = ours(shared_path, torch.float32)(images.float()).logits
        theirs = reference.float()(images.float()).logits
    size = expected.abs().max()
    assert size > 1  # the weights see something in these images
    assert (single - expected).abs().max() < 1e-5 * size
    assert (single - theirs).abs().max() < 1e-5 * size


@pytest.mark.shared
def test_fine_tuning_sizes_report_what_was_resized(shared_path: Path) -> None:
    model = create_model(
        "vit_ti16",
        num_classes=2,
        image_size=96,
        patch_size=12,
        pretrained=str(shared_path / WEIGHTS),
    )
    assert sorted(entry.split()[0] for entry in model.load_report.resized) == [
        "patch_embed.proj.weight",
        "pos_embed",
    ]
    assert len(model.load_report.loaded) == 148


@pytest.mark.shared
def test_patches_grown_to_another_size_give_the_same_logits(shared_path: Path) -> None:
    """Each 16-pixel patch is enlarged to 24 pixels; the resized kernels undo exactly that."""
    images = imagenet_like(2)
    cut = images.reshape(2, 3, 14, 16, 14, 16).permute(0, 2, 4, 1, 3, 5).reshape(-1, 3, 16, 16)
    grown = torch.nn.functional.interpolate(cut, (24, 24), mode="bicubic", antialias=True)
    grown = grown.reshape(2, 14, 14, 3, 24, 24).permute(0, 3, 1, 4, 2, 5).reshape(2, 3, 336, 336)
    model = create_model(
        "vit_ti16",
        num_classes=1000,
        in_channels=3,
        image_size=336,
        patch_size=24,
        pretrained=str(shared_path / WEIGHTS),
    )
    assert [entry.split()[0] for entry in model.load_report.resized] == ["patch_embed.proj.weight"]
    with torch.no_grad():
        expected = ours(shared_path, torch.float64)(images).logits
        logits = model.eval().double()(grown).logits
    # the resized kernels were stored in float32
    assert (logits - expected).abs().max() < 1e-5 * expected.abs().max()
