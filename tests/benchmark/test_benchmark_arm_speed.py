"""Arms are timed in turns beside the first, and their token-forwards counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from darkarcs.benchmark import arm_speed
from darkarcs.benchmark.sweep_settings import load_sweep
from darkarcs.errors import ConfigurationError
from suite_examples import write_model

SWEEP = {
    "schema_version": 1,
    "name": "tiny",
    "recipe": "base.yaml",
    "arms": {
        "none": ["objective.num_rounds=0"],
        "random": ["objective.strategy=random"],
        "taught": ["teacher.models=[{model:none}]"],
    },
    "budget_images": 64,
}
BASE = {
    "schema_version": 1,
    "name": "base",
    "preprocessing": {"crop_pixels": 16},
    "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 1}},
    "objective": {"kind": "iterative_erasing", "num_rounds": 1, "strategy": "random"},
    "training": {"batch_size": 16, "threads": 1},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    return tmp_path / "sweep.yaml"


def test_arms_are_timed_in_turns(path: Path) -> None:
    told: list[str] = []
    sweep = load_sweep(path)
    found = arm_speed(sweep, arms=("random",), num_images=64, repeats=2, progress=told.append)
    assert [text.split(": ")[1] for text in told] == ["none", "random", "random", "none"]
    none, random = found["arms"]["none"], found["arms"]["random"]
    assert none["ratios"] == [1.0, 1.0]
    assert random["throughput"] > 0
    assert len(random["ratios"]) == 2
    # a round more, with the same tokens: filled patches are seen like others
    assert random["token_forwards"] == 2 * none["token_forwards"]
    assert found["machine"]["threads"] >= 1


def test_stored_answers_are_spread_over_the_sweep(path: Path, tmp_path: Path) -> None:
    teacher = write_model(tmp_path / "teacher", ("no_sub", "sub"), seed=1)
    stored = ["objective={kind: distillation}", f"teacher.models=['{teacher}']"]
    arms = {
        "none": ["objective={kind: classification}"],
        "stored": [*stored, "teacher.answers=stored"],
    }
    values = {
        **SWEEP,
        "arms": arms,
        "budget_images": 64 * 40,
        "common": ["preprocessing.crop_pixels=20"],
    }
    path.write_text(yaml.safe_dump(values))
    found = arm_speed(load_sweep(path), num_images=64, repeats=1, channels=1)
    none, more = (found["arms"][arm]["token_forwards"] for arm in ("none", "stored"))
    # eight views of each image, over forty epochs; the teacher is of the student's size or smaller
    assert 0 < more - none < none


def test_arms_that_cannot_be_timed_are_told(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no arm 'other': choose of none, random"):
        arm_speed(load_sweep(path), arms=("other",))
    with pytest.raises(ConfigurationError, match="no such arm before it"):
        arm_speed(load_sweep(path), arms=("taught",))
