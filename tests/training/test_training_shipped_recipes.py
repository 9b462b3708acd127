"""Recipes that are shipped can be read, and those of the fair scene differ in the model alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkarcs.configuration import read_yaml
from darkarcs.training import load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
RUNS = [path for path in sorted(RECIPES.rglob("*.yaml")) if "arms" not in read_yaml(path)]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recipe_is_valid(path: Path) -> None:
    assert load_recipe(path).name


def test_models_learn_the_fair_scene_alike() -> None:
    names = ("vit_ti16", "resnet18", "d4_cnn")
    recipes = [load_recipe(RECIPES / "fair" / f"{name}.yaml") for name in names]
    alike = []
    for name, recipe in zip(names, recipes, strict=True):
        assert recipe.model.name == name
        values = recipe.model_dump(exclude={"name", "description", "model"})
        del values["training"]["learning_rate"]
        alike.append(values)
    assert alike[0] == alike[1] == alike[2]
