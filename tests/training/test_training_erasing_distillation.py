"""Trainings in which a student sees erased or noisier images than its teacher."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from darkarcs import data
from darkarcs.errors import ConfigurationError
from darkarcs.model_folder import read_model_folder
from darkarcs.objectives import Distillation, IterativeErasing
from darkarcs.training import Recipe, load_recipe, train
from rings import ring_lenses

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "distillation"
EVERYTHING = {
    "answers": {"weight": 1.0},
    "features": {"weight": 0.5, "layers": "all"},
    "relations": {"weight": 0.5},
    "class_attention": {"weight": 0.1},
}


def make_recipe(objective: dict[str, Any], **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "tiny",
        "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 2}},
        "objective": objective,
        "training": {"epochs": 2, "batch_size": 8, "precision": "32", "ema_share": 0.2},
    }
    values["training"] |= changes.pop("training", {})
    return Recipe.parse({**values, **changes}, "test")


def both(distillation: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"kind": "iterative_erasing", "distillation": distillation, **values}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "lenses.h5"
    data.save(ring_lenses(), path)
    return str(path)


@pytest.fixture(scope="module")
def teacher(store: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    run = train(make_recipe({}, training={"epochs": 8}), store, folder)
    assert run.best_auc > 0.9
    return {"models": (str(folder),)}


def test_a_student_learns_from_a_clean_whole_teacher(
    store: str, teacher: dict[str, Any], tmp_path: Path
) -> None:
    # no label is used: what is learned comes from the teacher, unlabelled images included
    objective = both(EVERYTHING, weights={"classification": 0.0}, guard="evidence", anneal_in=0.0)
    changes = {
        "teacher": {**teacher, "view": "clean"},
        "augmentation": {"noise": 0.2},
        "split": {"num_per_class": 8},
        "unlabelled": "rest",
    }
    recipe = make_recipe(objective, training={"epochs": 8}, **changes)
    run = train(recipe, store, tmp_path / "run")
    assert run.best_auc > 0.9  # of labelled validation images: the answers are the classes'
    assert run.images_seen == 8 * 40
    with (tmp_path / "run" / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    tokens = read_model_folder(run.model).description.provenance["token_forwards"]
    assert tokens == 4 * 17 * run.images_seen  # three looks of the student, one of the teacher
    released = load_file(run.model / "model.safetensors")
    assert not any("projections" in name for name in released)


def test_stored_answers_serve_erased_rounds(
    store: str, teacher: dict[str, Any], tmp_path: Path
) -> None:
    objective, weights = both({}, fill="mask_token"), []
    for answers in ("loop", "stored"):
        recipe = make_recipe(objective, teacher={**teacher, "answers": answers})
        run = train(recipe, store, tmp_path / answers)
        weights.append(load_file(run.model / "model.safetensors"))
    assert all(torch.allclose(v, weights[1][k], atol=1e-5) for k, v in weights[0].items())
    inside = make_recipe(both(EVERYTHING), teacher={**teacher, "answers": "stored"})
    with pytest.raises(ConfigurationError, match=r"set teacher\.answers to loop"):
        train(inside, store, tmp_path / "refused")


def test_a_block_without_teachers_and_teachers_without_a_block_are_refused(
    store: str, teacher: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"name model folders in teacher\.models"):
        train(make_recipe(both({})), store, tmp_path / "run")
    plain = make_recipe({"kind": "iterative_erasing"}, teacher=teacher)
    with pytest.raises(ConfigurationError, match="asks none"):
        train(plain, store, tmp_path / "run")


def test_the_recipe_of_both_differs_from_distillation_in_the_objective_and_length() -> None:
    recipe = load_recipe(RECIPES / "erasing_compact_250k.yaml")
    alone = load_recipe(RECIPES / "compact_250k.yaml")
    one, other = recipe.model_dump(), alone.model_dump()
    different = {key for key in one if one[key] != other[key]}
    assert different == {"name", "description", "objective", "training"}
    # the student looks three times instead of once, the teacher once: as many tokens in all
    assert recipe.training.epochs * 4 == alone.training.epochs * 2
    assert isinstance(recipe.objective, IterativeErasing)
    assert isinstance(alone.objective, Distillation)
    assert recipe.objective.distillation is not None
    terms = recipe.objective.distillation.model_dump(exclude={"round_weights"})
    assert terms == alone.objective.model_dump(exclude={"kind", "labels"})
    few = ["objective.distillation.round_weights=[1, 0, 0]"]
    changed = load_recipe(RECIPES / "erasing_compact_250k.yaml", few).objective
    assert changed.distillation.round_weights == (1.0, 0.0, 0.0)
