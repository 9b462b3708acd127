"""What a prediction costs: counts by hand, and a report that is whole."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from darkarcs import data
from darkarcs.benchmark import inference_speed
from darkarcs.benchmark.inference_speed import count_flops, peak_memory
from darkarcs.cli.main import app
from darkarcs.errors import ConfigurationError
from darkarcs.models import create_model
from darkarcs.training import Recipe, train
from rings import ring_lenses


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    # by name: the package's attribute of that name is the function
    module = importlib.import_module("darkarcs.benchmark.inference_speed")
    monkeypatch.setattr(module, "LATENCY_CALLS", 60)
    monkeypatch.setattr(module, "THROUGHPUT_SECONDS", 0.05)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A deep and a shallow transformer."""
    folder = tmp_path_factory.mktemp("models")
    data.save(ring_lenses(), folder / "lenses.h5")
    found = []
    for name, depth in (("deep", 8), ("shallow", 1)):
        recipe = Recipe.parse(
            {
                "name": name,
                "model": {
                    "name": "compact_vit_100k",
                    "options": {"patch_size": 4, "depth": depth},
                },
                "training": {"epochs": 1, "batch_size": 8, "precision": "32"},
            },
            "test",
        )
        found.append(train(recipe, str(folder / "lenses.h5"), folder / name).model)
    return found


class Wide(nn.Module):
    """Holds two tensors of a megabyte at its peak."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = images.expand(1024, 256) + 1
        second = first * 2
        del first
        return second.sum(dim=0) + (second - 1).sum(dim=0)


def test_peak_memory_by_hand(capfd: pytest.CaptureFixture[str]) -> None:
    peak = peak_memory(Wide(), torch.zeros(1, 256))
    assert 2 * 2**20 <= peak < 2 * 2**20 + 2**14
    assert capfd.readouterr().err == ""


def test_flops_of_a_transformer_by_hand() -> None:
    tokens, width, depth = 17, 32, 3
    model = create_model(
        "vit",
        num_classes=2,
        image_size=32,
        patch_size=8,
        width=width,
        depth=depth,
        num_heads=2,
    ).eval()
    block = tokens * (4 * width**2 + 2 * tokens * width + 8 * width**2)
    patches = 16 * 64 * width
    products = depth * block + patches + 2 * width
    assert count_flops(model, torch.zeros(1, 1, 32, 32)) == 2 * products


def test_report(models: list[Path]) -> None:
    report = inference_speed(models, batch_size=4, repeats=3, threads=1)
    assert report["reference"] == "deep"
    assert report["threads"] == 1
    deep, shallow = report["models"]["deep"], report["models"]["shallow"]
    assert deep["parameters"] > shallow["parameters"]
    assert deep["flops"] > shallow["flops"]
    assert deep["weights_bytes"] == 4 * deep["parameters"]
    for row in (deep, shallow):
        for precision in {"float32", "bfloat16"} & set(row):
            found = row[precision]
            assert 0 < found["latency_p50"] <= found["latency_p99"]
            assert found["throughput"] > 0
            assert found["peak_memory_bytes"] > 0
    for ratio in deep["float32"]["ratios"].values():
        assert ratio == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert shallow["float32"]["ratios"]["speed_at_batch_1"]["median"] > 1.2


def test_a_model_twice_and_devices_without_a_memory_count(
    models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="is named twice"):
        inference_speed([models[0]] * 3, batch_size=1, repeats=1)
    module = importlib.import_module("darkarcs.benchmark.inference_speed")
    monkeypatch.setattr(module, "choose_device", torch.device)
    with pytest.raises(ConfigurationError, match="cpu and cuda, not mps"):
        inference_speed(models, device="mps")
    answer = CliRunner().invoke(app, ["bench", "inference", str(models[0]), "--threads", "0"])
    assert answer.exit_code == 2


def test_verb(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    arguments = ["bench", "inference", *map(str, models), "--repeats", "1", "--out", str(out)]
    answer = CliRunner().invoke(app, [*arguments, "--batch-size", "2"])
    assert answer.exit_code == 0, answer.output
    assert "ratios to deep at the same precision" in " ".join(answer.output.split())
    written = json.loads(out.read_text(encoding="utf-8"))
    assert list(written["models"]) == ["deep", "shallow"]
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0
