"""Sweeps that are shipped: each arm is a recipe of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkarcs.benchmark.sweep_settings import SweepRun, load_sweep
from darkarcs.configuration import read_yaml

RECIPES = Path(__file__).parents[2] / "recipes"
SWEEPS = [path for path in sorted(RECIPES.rglob("*.yaml")) if "arms" in read_yaml(path)]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_arm_of_the_sweeps_that_are_shipped_is_a_recipe(path: Path) -> None:
    sweep = load_sweep(path)
    models: dict[str, Path] = {}
    resolved = []
    for arm in sweep.arms:
        run = SweepRun(sweep, arm, 100, 0, (), models)
        resolved.append(run.recipe().model_dump_json(exclude={"name"}))
        models[arm] = Path("runs") / arm
    assert len(set(resolved)) == len(sweep.arms), "two arms are the same"
