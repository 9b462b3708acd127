"""Iterative erasing through whole trainings on a few dozen rings."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from darkarcs import data
from darkarcs.model_folder import read_model_folder
from darkarcs.models import create_model
from darkarcs.objectives import IterativeErasing
from darkarcs.objectives.erasing.layout import find_layout
from darkarcs.training import Recipe, load_recipe, train
from darkarcs.training.callbacks import Selection
from rings import ring_lenses

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPES = REPOSITORY / "recipes" / "iterative_erasing"
GUIDE = REPOSITORY / "docs" / "how-to" / "train-with-erasing.md"


@pytest.fixture
def store(tmp_path: Path) -> str:
    data.save(ring_lenses(), tmp_path / "lenses.h5")
    return str(tmp_path / "lenses.h5")


def recipe(epochs: int = 3, pretrained: str | None = None, **objective: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "tiny",
        "model": {
            "name": "compact_vit_100k",
            "options": {"patch_size": 4, "depth": 2, "stochastic_depth": 0.2},
            "pretrained": pretrained,
        },
        "objective": {"kind": "iterative_erasing", **objective},
        "training": {"epochs": epochs, "batch_size": 8, "precision": "32", "ema_share": 0.2},
    }
    return Recipe.parse(values, "test")


def test_a_model_learns_while_it_is_erased(store: str, tmp_path: Path) -> None:
    weights = {"classification": 1.0, "reconstruction": 0.5, "consistency": 0.5}
    run = train(recipe(8, weights=weights, fill="mask_token"), store, tmp_path / "run")
    assert run.best_auc > 0.9
    with (tmp_path / "run" / "history.csv").open(encoding="utf-8") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["train_reconstruction"] < rows[0]["train_reconstruction"]
    for row in rows[2:]:  # the parts, each before its weight; both later rounds are there
        later = row["train_classification_erased"]
        expected = (row["train_classification"] + 2 * later) / 3
        expected += 0.5 * (row["train_reconstruction"] + row["train_consistency"])
        assert row["train_loss"] == pytest.approx(expected, abs=1e-4)
    # 40 images an epoch, 16 patches and a class token; 3 and 6 of them go in the later rounds,
    # and the decoder sees all 16 in each
    last = rows[-1]["token_forwards"] - rows[-2]["token_forwards"]
    assert last == 40 * (17 + (17 - 3) + (17 - 6) + 2 * 16)
    released = load_file(run.model / "model.safetensors")
    assert not any("decoder" in name for name in released)
    assert read_model_folder(run.model).description.provenance["token_forwards"] > last


def test_resumed_run_equals_uninterrupted_one_bit_for_bit(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(
        attention_of="average", weights={"classification": 1.0, "reconstruction": 1.0}
    )
    whole = train(settings, store, tmp_path / "whole")
    original = Selection.on_train_epoch_start

    def die(self: Selection, trainer: Any, module: Any) -> None:
        original(self, trainer, module)
        if trainer.current_epoch == 2:
            raise RuntimeError("killed")

    with monkeypatch.context() as context:
        context.setattr(Selection, "on_train_epoch_start", die)
        with pytest.raises(RuntimeError, match="killed"):
            train(settings, store, tmp_path / "cut")
    resumed = train(settings, store, tmp_path / "cut", resume=True)
    first = load_file(whole.model / "model.safetensors")
    second = load_file(resumed.model / "model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_of_a_self_supervised_run_start_another(store: str, tmp_path: Path) -> None:
    weights = {"classification": 0.0, "reconstruction": 1.0}
    pretext = recipe(2, weights=weights, strategy="random", fill="mask_token", num_rounds=1)
    first = train(pretext, store, tmp_path / "pretext")
    weights_file = first.model / "model.safetensors"
    tuned = train(recipe(1, str(weights_file)), store, tmp_path / "tuned")
    loaded = read_model_folder(tuned.model).description.provenance
    assert "left as initialized" not in str(loaded)
    state = load_file(weights_file)
    assert state.keys() == load_file(tuned.model / "model.safetensors").keys()


def test_the_rest_of_a_few_label_run_is_learned_from(store: str, tmp_path: Path) -> None:
    few = {"split": {"num_per_class": 8}, "unlabelled": "rest"}
    weights = {"classification": 1.0, "reconstruction": 1.0}
    values = {**recipe(1, weights=weights).model_dump(mode="json"), **few}
    run = train(Recipe.parse(values, "test"), store, tmp_path / "run")
    assert run.images_seen == 40  # and not the labelled ones alone


BASES = ["compact_1m.yaml", "vit_ti16.yaml"]


@pytest.mark.parametrize("name", [*BASES, "compact_1m_self_supervised.yaml"])
def test_recipes_are_valid(name: str) -> None:
    objective = load_recipe(RECIPES / name).objective
    assert isinstance(objective, IterativeErasing)
    assert objective.is_self_supervised == ("self_supervised" in name)


def test_base_recipes_differ_from_the_plain_ones_in_the_objective_alone() -> None:
    for name in BASES:
        erasing, plain = (
            load_recipe(folder / name).model_dump()
            for folder in (RECIPES, RECIPES.parent / "two_class")
        )
        different = {key for key in plain if plain[key] != erasing[key]}
        assert different == {"name", "description", "objective"}


def documented_variants() -> list[tuple[str, list[str]]]:
    text = GUIDE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|`]+) \| (`objective[^|]+) \|$", text, re.MULTILINE)
    return [(label, re.findall(r"`([^`]+)`", sets)) for label, sets in rows]


@pytest.mark.parametrize("name", BASES)
def test_documented_variants_are_valid(name: str) -> None:
    variants = documented_variants()
    assert len(variants) >= 15
    for label, overrides in variants:
        changed = load_recipe(RECIPES / name, overrides).objective
        assert changed != load_recipe(RECIPES / name).objective, label


def test_unlabelled_images_are_used_where_they_have_a_loss() -> None:
    def learns(**values: Any) -> bool:
        return IterativeErasing.parse(values, "test").learns_without_labels

    assert not learns()
    assert learns(weights={"consistency": 0.1})
    assert learns(weights={"classification": 0, "reconstruction": 1})
    assert not learns(weights={"reconstruction": 1}, num_rounds=0)


def test_the_guide_says_how_to_erase_a_cnn() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    paragraph = next(part for part in text.split("\n\n") if part.startswith("A convolutional"))
    sets = re.findall(r"`([^`]+=[^`]+)`", paragraph)
    chosen = load_recipe(RECIPES / "compact_1m.yaml", sets)
    model = create_model(chosen.model.name, num_classes=2, **chosen.model.options)
    assert isinstance(chosen.objective, IterativeErasing)
    assert find_layout(model, chosen.objective, 1, 64).grid == (8, 8)
