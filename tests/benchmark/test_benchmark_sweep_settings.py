"""Sweeps that are shipped: each arm is a recipe of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkarcs.benchmark.sweep_settings import SweepRun, load_sweep
from darkarcs.configuration import read_yaml
from darkarcs.training.cost import token_forwards_per_image
from darkarcs.training.preparation import prepare
from rings import ring_lenses

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
WEIGHTS = ROOT / "weights"
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


@pytest.mark.parametrize(
    "path", [path for path in SWEEPS if path.parent.name == "distillation"], ids=lambda p: p.stem
)
def test_every_arm_of_distillation_can_begin(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # teachers are named as from there
    monkeypatch.setenv("TEACHER", str(WEIGHTS / "darkarcs-two-class-vit-ti16"))
    images, sweep = ring_lenses(24, size=96), load_sweep(path)
    models = dict.fromkeys(sweep.arms, WEIGHTS / "darkarcs-two-class-compact")
    for arm in sweep.arms:
        recipe = SweepRun(sweep, arm, 6, 0, (), models).recipe(("training.batch_size=2",))
        assert token_forwards_per_image(recipe, prepare(images, recipe)) > 0
