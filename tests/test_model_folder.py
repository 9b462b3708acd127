"""The model folder: what is written is what is read, and damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from darkarcs.data import LensImages, Preprocessing
from darkarcs.errors import ConfigurationError, ModelError, OutputExistsError
from darkarcs.model_folder import (
    Architecture,
    ModelDescription,
    hash_model_folder,
    read_model_folder,
    short_identities,
    write_model_folder,
)
from darkarcs.models import create_model


def description() -> ModelDescription:
    images = LensImages.from_arrays(np.random.default_rng(0).normal(size=(8, 1, 16, 16)))
    return ModelDescription(
        name="tiny",
        task="no_sub against sub",
        architecture=Architecture(
            name="compact_vit_100k",
            num_classes=2,
            in_channels=1,
            image_size=16,
            options={"patch_size": 4, "depth": 1},
        ),
        preprocessing=Preprocessing(stretch="log").fit(images),
        class_names=("no_sub", "sub"),
        temperature=1.5,
    )


def write(path: Path, half: bool = False) -> torch.nn.Module:
    options = {"patch_size": 4, "depth": 1}
    torch.manual_seed(0)
    model = create_model("compact_vit_100k", num_classes=2, image_size=16, **options)
    seen = {"train": short_identities(["ff" * 32, "01" * 32])}
    write_model_folder(path, model, description(), seen, half=half)
    return model.eval()


def test_round_trip(tmp_path: Path) -> None:
    model = write(tmp_path / "model")
    folder = read_model_folder(tmp_path / "model")
    images = torch.randn(3, 1, 16, 16)
    assert torch.equal(model(images).logits, folder.model(images).logits)
    assert folder.description == description()
    assert not folder.model.training
    # identities above 2^63 wrap to negative numbers and still sort and match
    assert folder.seen["train"].tolist() == sorted(short_identities(["ff" * 32, "01" * 32]))
    assert np.isin(short_identities(["ff" * 32]), folder.seen["train"]).all()
    assert folder.model_hash == hash_model_folder(tmp_path / "model")


def test_half_precision_halves_the_file_and_stays_close(tmp_path: Path) -> None:
    model = write(tmp_path / "half", half=True)
    write(tmp_path / "full")
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    images = torch.randn(3, 1, 16, 16)
    half = read_model_folder(tmp_path / "half").model
    with torch.inference_mode():
        difference = model(images).logits - half(images).logits
    assert 0 < float(difference.abs().max()) < 0.02


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "model")
    with pytest.raises(OutputExistsError):
        write(tmp_path / "model")


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a model folder \(no model.json in it\)"):
        read_model_folder(tmp_path)
    path = tmp_path / "model"
    write(path)
    weights = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(ModelError, match=r"model.safetensors: cannot be read"):
        read_model_folder(path)
    (path / "model.safetensors").write_bytes(weights)

    text = (path / "model.json").read_text(encoding="utf-8")
    values = json.loads(text)
    values["architecture"]["options"]["depth"] = 2
    (path / "model.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ModelError, match=r"does not fit the architecture .*blocks.1"):
        read_model_folder(path)
    (path / "model.json").write_text(text.replace('"temperature"', '"temprature"'), "utf-8")
    with pytest.raises(ConfigurationError, match="unknown key 'temprature'"):
        read_model_folder(path)
    (path / "model.json").write_text(text[:50], encoding="utf-8")
    with pytest.raises(ModelError, match="is damaged"):
        read_model_folder(path)
