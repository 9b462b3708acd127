"""Whole trainings on a few dozen images: what is written, resumed, refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.inference import Predictor
from darkarcs.model_folder import read_model_folder
from darkarcs.training import Recipe, load_recipe, train
from darkarcs.training.callbacks import Selection
from rings import ring_lenses


@pytest.fixture
def store(tmp_path: Path) -> str:
    data.save(ring_lenses(), tmp_path / "lenses.h5")
    return str(tmp_path / "lenses.h5")


def recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "tiny",
        "model": {
            "name": "compact_vit_100k",
            "options": {"patch_size": 4, "depth": 2, "stochastic_depth": 0.2, "dropout": 0.1},
        },
        "augmentation": {"dihedral": True, "noise": 0.05},
        "training": {"epochs": 3, "batch_size": 8, "precision": "32", "ema_share": 0.2},
    }
    for key, value in changes.items():
        target = values
        *parents, last = key.split("__")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return Recipe.parse(values, "test")


def test_a_run_leaves_everything_behind(store: str, tmp_path: Path) -> None:
    run = train(recipe(training__epochs=8), store, tmp_path / "run")
    assert run.model == tmp_path / "run" / "model"
    assert run.best_auc > 0.9
    folder = read_model_folder(run.model)
    description = folder.description
    assert description.class_names == ("no_sub", "sub")
    assert description.provenance["images_seen"] == run.images_seen == 8 * 40
    assert description.provenance["token_forwards"] > run.images_seen
    assert description.data["content_hash"] == ring_lenses().content_hash
    assert {name: len(seen) for name, seen in folder.seen.items()} == {
        "train": 42,
        "validation": 6,
    }
    with (tmp_path / "run" / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(8))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    resolved = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert resolved == recipe(training__epochs=8)
    assert (tmp_path / "run" / "validation_predictions.csv").is_file()


def test_resumed_run_equals_uninterrupted_one_bit_for_bit(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(recipe(), store, tmp_path / "whole")
    original = Selection.on_train_epoch_start

    def die(self: Selection, trainer: Any, module: Any) -> None:
        original(self, trainer, module)
        if trainer.current_epoch == 2:
            raise RuntimeError("killed")

    monkeypatch.setattr(Selection, "on_train_epoch_start", die)
    with pytest.raises(RuntimeError, match="killed"):
        train(recipe(), store, tmp_path / "cut")
    monkeypatch.setattr(Selection, "on_train_epoch_start", original)
    with pytest.raises(ConfigurationError, match="was cut off: go on by --resume"):
        train(recipe(), store, tmp_path / "cut")
    resumed = train(recipe(), store, tmp_path / "cut", resume=True)

    first = load_file(whole.model / "model.safetensors")
    second = load_file(resumed.model / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert resumed.images_seen == whole.images_seen

    def curve(run: str) -> list[dict[str, str]]:
        with (tmp_path / run / "history.csv").open(encoding="utf-8") as file:
            times = ("validation_time", "wall_time")
            return [
                {k: v for k, v in row.items() if k not in times} for row in csv.DictReader(file)
            ]

    assert curve("whole") == curve("cut")


def test_killed_before_the_first_checkpoint(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as context:
        context.setattr(Selection, "on_train_epoch_start", die)
        with pytest.raises(RuntimeError, match="killed"):
            train(recipe(training__epochs=1), store, tmp_path / "run")
    train(recipe(training__epochs=1), store, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "model" / "model.json").is_file()


def test_resume_refuses_another_recipe_other_data_and_a_finished_run(
    store: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(ConfigurationError, match="no run to resume"):
        train(recipe(), store, out, resume=True)
    train(recipe(training__epochs=1), store, out)
    with pytest.raises(OutputExistsError, match="model exists already"):
        train(recipe(training__epochs=1), store, out, resume=True)
    with pytest.raises(OutputExistsError):
        train(recipe(training__epochs=1), store, out)
    for file in (out / "model").iterdir():
        file.unlink()
    (out / "model").rmdir()
    with pytest.raises(ConfigurationError, match="another recipe"):
        train(recipe(training__epochs=2), store, out, resume=True)
    data.save(ring_lenses(seed=1), tmp_path / "other.h5")
    with pytest.raises(ConfigurationError, match="other images"):
        train(recipe(training__epochs=1), str(tmp_path / "other.h5"), out, resume=True)


def test_same_seed_same_weights_and_another_seed_others(store: str, tmp_path: Path) -> None:
    states = [
        load_file(
            train(recipe(seed=seed, training__epochs=1), store, tmp_path / name).model
            / "model.safetensors"
        )
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    same = [torch.equal(states[0][name], states[1][name]) for name in states[0]]
    assert all(same)
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


@pytest.mark.parametrize("mode", ["head", "last_blocks", "lora"])
def test_fine_tuning_modes_write_plain_models(store: str, tmp_path: Path, mode: str) -> None:
    run = train(recipe(fine_tuning__mode=mode, training__epochs=1), store, tmp_path / "run")
    plain = train(recipe(training__epochs=1), store, tmp_path / "plain")
    names = load_file(run.model / "model.safetensors").keys()
    assert names == load_file(plain.model / "model.safetensors").keys()
    assert (
        read_model_folder(run.model).description.provenance["recipe"]["fine_tuning"]["mode"] == mode
    )


def test_few_labels_count_those_for_stopping(store: str, tmp_path: Path) -> None:
    run = train(recipe(split__num_per_class=8, training__epochs=1), store, tmp_path / "run")
    counts = json.loads((run.model / "model.json").read_text(encoding="utf-8"))["split"]
    assert counts["num_images"]["train"] + counts["num_images"]["validation"] == 16


def test_choice_of_test_time_augmentation_travels_with_the_model(
    store: str, tmp_path: Path
) -> None:
    settings = {"training__epochs": 1, "test_time_augmentation": "dihedral"}
    run = train(recipe(**settings), store, tmp_path / "run")
    predictor = Predictor(run.model)
    images = ring_lenses(count=4)
    assert np.array_equal(predictor.logits(images), predictor.logits(images, "dihedral"))
    assert not np.allclose(predictor.logits(images), predictor.logits(images, "none"))


def test_early_stopping(store: str, tmp_path: Path) -> None:
    settings = {"training__epochs": 40, "training__early_stopping": 2}
    run = train(recipe(**settings), store, tmp_path / "run")
    assert run.images_seen < 40 * 40


def test_unlabelled_data(tmp_path: Path) -> None:
    unlabelled = LensImages.from_arrays(ring_lenses().images)
    data.save(unlabelled, tmp_path / "unlabelled.h5")
    with pytest.raises(DataError, match="needs labels"):
        train(recipe(), str(tmp_path / "unlabelled.h5"), tmp_path / "run")


def test_oblong_images(tmp_path: Path) -> None:
    images = LensImages.from_arrays(
        ring_lenses().images[..., :12], ring_lenses().labels, ("no_sub", "sub")
    )
    data.save(images, tmp_path / "oblong.h5")
    with pytest.raises(ConfigurationError, match="16 x 12 pixels; models take squares"):
        train(recipe(), str(tmp_path / "oblong.h5"), tmp_path / "run")


def test_tensorboard_log_is_written(store: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    settings = {"training__epochs": 1, "training__loggers": ("tensorboard",)}
    train(recipe(**settings), store, tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_resume_passes_over_a_checkpoint_that_was_cut_short(store: str, tmp_path: Path) -> None:
    whole = train(recipe(), store, tmp_path / "whole")
    out = tmp_path / "cut"
    train(recipe(), store, out)
    shutil.rmtree(out / "model")
    (out / "model.part").mkdir()  # as a kill while the model folder is written leaves it
    (out / "checkpoints" / "epoch=7.ckpt").write_bytes(b"PK\x03\x04 cut short")
    resumed = train(recipe(), store, out, resume=True)
    first, second = ((run.model / "model.safetensors").read_bytes() for run in (whole, resumed))
    assert first == second
    assert not (out / "model.part").exists()


def test_a_run_that_stopped_early_stays_stopped(store: str, tmp_path: Path) -> None:
    settings = {"training__epochs": 40, "training__early_stopping": 2}
    first = train(recipe(**settings), store, tmp_path / "run")
    shutil.rmtree(first.model)
    again = train(recipe(**settings), store, tmp_path / "run", resume=True)
    assert again.images_seen == first.images_seen


def test_divergence_is_named_at_once(store: str, tmp_path: Path) -> None:
    settings = {"training__learning_rate": 1e30, "training__gradient_clip": 0.0}
    with pytest.raises(ConfigurationError, match="training diverged in epoch 1"):
        train(recipe(**settings), store, tmp_path / "run")


def test_what_cannot_be_trained_leaves_nothing_behind(store: str, tmp_path: Path) -> None:
    weights = {"objective": {"kind": "classification", "class_weights": (1.0, 2.0, 3.0)}}
    with pytest.raises(ConfigurationError, match="3 weights for 2 classes"):
        train(recipe(**weights), store, tmp_path / "run")
    with pytest.raises(ConfigurationError, match="device 'foo'"):
        train(recipe(), store, tmp_path / "run", device="foo")
    with pytest.raises(ConfigurationError, match="'image_size' follows from the data"):
        recipe(model__options={"image_size": 32})
    one = LensImages.from_arrays(ring_lenses().images, [0] * 60, ("sub",))
    data.save(one, tmp_path / "one.h5")
    with pytest.raises(DataError, match="all images are of class 'sub'"):
        train(recipe(), str(tmp_path / "one.h5"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_labels_the_loss_on_validation_images_selects(store: str, tmp_path: Path) -> None:
    objective = {
        "kind": "iterative_erasing",
        "num_rounds": 1,
        "strategy": "random",
        "weights": {"classification": 0, "reconstruction": 1},
    }
    run = train(recipe(objective=objective, training__epochs=4), store, tmp_path / "run")
    with (tmp_path / "run" / "history.csv").open(encoding="utf-8") as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert run.best_epoch == int(np.argmin(losses))
    # errors of patches of mean zero and unit variance: of the order of one
    assert all(0.3 < loss < 3 for loss in losses)
