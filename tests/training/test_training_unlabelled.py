"""Training on images without any label, and what its model folder is good for."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from darkarcs import data
from darkarcs.cli.main import app
from darkarcs.data import LensImages
from darkarcs.errors import DataError, ModelError
from darkarcs.inference import classify
from darkarcs.model_folder import read_model_folder
from darkarcs.training import Recipe, train
from rings import ring_lenses


def recipe(pretrained: str | None = None, epochs: int = 2, **parts: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "tiny",
        "model": {
            "name": "compact_vit_100k",
            "options": {"patch_size": 4, "depth": 2},
            "pretrained": pretrained,
        },
        "training": {"epochs": epochs, "batch_size": 8, "precision": "32", "ema_share": 0.2},
        **parts,
    }
    return Recipe.parse(values, "test")


def pretext(epochs: int = 2) -> Recipe:
    return recipe(
        epochs=epochs,
        objective={
            "kind": "iterative_erasing",
            "num_rounds": 1,
            "strategy": "random",
            "fill": "mask_token",
            "weights": {"classification": 0.0, "reconstruction": 1.0},
        },
    )


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Pictures that lie in no class folder."""
    path = tmp_path / "pictures"
    path.mkdir()
    for number, image in enumerate(ring_lenses().images):
        scaled = 255 * (image[0] - image.min()) / (image.max() - image.min())
        Image.fromarray(scaled.astype(np.uint8)).save(path / f"{number:02d}.png")
    return str(path)


def test_a_model_that_saw_no_label_starts_one_with_few(folder: str, tmp_path: Path) -> None:
    run = train(pretext(), folder, tmp_path / "pretext")
    assert run.images_seen == 2 * 40  # whole batches of the 42 images
    description = read_model_folder(run.model).description
    assert description.class_names == ("unlabelled",)
    assert description.data["num_images"] == 60
    assert description.provenance["selected_by"] == "validation_loss"
    with (tmp_path / "pretext" / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["validation_auc"] for row in rows] == ["", ""]
    assert run.best_loss == min(float(row["validation_loss"]) for row in rows)

    data.save(ring_lenses(seed=1), tmp_path / "labelled.h5")
    few = recipe(str(run.model / "model.safetensors"), 1, split={"num_per_class": 8})
    tuned = train(few, str(tmp_path / "labelled.h5"), tmp_path / "tuned")
    assert tuned.best_loss is None
    told = read_model_folder(tuned.model).description
    assert told.class_names == ("no_sub", "sub")
    assert "left as initialized: head.weight, head.bias." in str(told.provenance["pretrained"])
    assert classify(tuned.model, [str(tmp_path / "labelled.h5")])


def test_the_command_tells_of_the_loss_and_such_a_model_does_not_classify(
    folder: str, tmp_path: Path
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(pretext(1).model_dump(mode="json")), encoding="utf-8")
    out = tmp_path / "run"
    arguments = ["train", str(file), "--data", folder, "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "validation loss 0." in result.output or "validation loss 1." in result.output
    assert "AUC" not in result.stdout
    assert CliRunner().invoke(app, ["report", str(out)]).exit_code == 0
    with pytest.raises(ModelError, match="trained without labels and tells no classes apart"):
        classify(out / "model", [folder])


def test_one_class_will_do_and_labels_are_asked_for_elsewhere(folder: str, tmp_path: Path) -> None:
    single = LensImages.from_arrays(ring_lenses().images, np.zeros(60, dtype=int), ("sub",))
    data.save(single, tmp_path / "single.h5")
    run = train(pretext(1), str(tmp_path / "single.h5"), tmp_path / "single")
    assert read_model_folder(run.model).description.class_names == ("sub",)
    with pytest.raises(DataError, match="training needs labels"):
        train(recipe(), folder, tmp_path / "plain")


def test_classes_that_were_not_learned_from_are_not_told_apart(tmp_path: Path) -> None:
    data.save(ring_lenses(), tmp_path / "rings.h5")
    run = train(pretext(1), str(tmp_path / "rings.h5"), tmp_path / "run")
    assert len(read_model_folder(run.model).description.class_names) == 2
    with pytest.raises(ModelError, match="trained without labels and tells no classes apart"):
        classify(run.model, [str(tmp_path / "rings.h5")])
