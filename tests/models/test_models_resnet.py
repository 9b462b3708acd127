"""ResNet-18 against the published architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from darkarcs.models import create_model


def test_names_and_shapes_are_those_of_torchvision() -> None:
    state = create_model("resnet18", num_classes=1000, in_channels=3).state_dict()
    assert len(state) == 122
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer3.0.downsample.0.weight"].shape == (256, 128, 1, 1)
    assert state["layer4.1.bn2.num_batches_tracked"].shape == ()
    assert state["fc.weight"].shape == (1000, 512)


@pytest.mark.parametrize(("stem", "side"), [("standard", 2), ("small", 8)])
def test_stems(stem: str, side: int) -> None:
    model = create_model("resnet18", num_classes=2, stem=stem).eval()
    hidden = model(torch.randn(1, 1, 64, 64), capture=("hidden",)).captured
    assert [tensor.shape[1] for tensor in hidden.values()] == [64, 128, 256, 512]
    assert hidden["hidden.3"].shape[-1] == side


def test_a_small_stem_takes_what_fits_of_a_standard_checkpoint(tmp_path: Path) -> None:
    standard = create_model("resnet18", num_classes=1000, in_channels=3)
    save_file(standard.state_dict(), tmp_path / "model.safetensors")
    model = create_model(
        "resnet18", num_classes=2, stem="small", pretrained=str(tmp_path / "model.safetensors")
    )
    assert set(model.load_report.missing) == {"conv1.weight", "fc.weight", "fc.bias"}
    assert torch.equal(model.layer4[1].conv2.weight, standard.layer4[1].conv2.weight)


def test_memory_format_does_not_change_the_result() -> None:
    model = create_model("resnet18", num_classes=2).eval()
    images = torch.randn(2, 1, 64, 64)
    images_last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(images).logits, model(images_last).logits)
