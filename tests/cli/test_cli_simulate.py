"""`darkarcs simulate`: what people and programs see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from darkarcs import data
from darkarcs.cli.main import app
from darkarcs.errors import ConfigurationError, OutputExistsError
from darkarcs.scenes import list_scenes
from darkarcs.simulation import SimulationRequest, simulate
from small_scenes import scene, write

runner = CliRunner()


def run(*arguments: object) -> str:
    result = runner.invoke(app, ["simulate", *(str(argument) for argument in arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_it_lists_the_scenes() -> None:
    text = run()
    assert all(name in text for name in list_scenes())
    assert "no_sub, cdm, axion" in text
    assert set(json.loads(run("--json"))) == set(list_scenes())


def test_it_writes_what_simulate_makes(tmp_path: Path) -> None:
    out = tmp_path / "lenses.h5"
    options = ("--num", 9, "--seed", 4, "--start", 2, "--part", "test", "--device", "cpu")
    facts = json.loads(run(write(tmp_path), *options, "--out", out, "--json"))
    assert facts == {
        "path": str(out),
        "scene": scene().identity,
        "num_images": 9,
        "seed": 4,
    }
    made = simulate(SimulationRequest(scene=scene(), seed=4, num=9, start=2, part="test"))
    stored = data.open(out)
    assert np.array_equal(stored.images, made.images)
    assert np.array_equal(stored.metadata["identity"], made.metadata["identity"])
    with pytest.raises(OutputExistsError):
        run(write(tmp_path), *options, "--out", out)


def test_options_change_the_scene(tmp_path: Path) -> None:
    out = tmp_path / "lenses.h5"
    options = ["--classes", "vortex,no", "--paired", "--noiseless", "--num", 4, "--device", "cpu"]
    text = run(write(tmp_path), *options, "--set", "num_pixels=18", "--out", out)
    assert "4 images of small/1/" in text
    stored = data.open(out)
    assert stored.images.shape == (4, 1, 18, 18)
    assert stored.class_counts() == {"no_sub": 2, "axion": 2}
    assert len(np.unique(stored.metadata["group"])) == 2


def test_what_is_missing_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--out"):
        run("fair-euclid", "--num", 3)
    out = tmp_path / "lenses.h5"
    for arguments, says in (
        (["fair-euklid"], "fair-euclid"),
        ([write(tmp_path), "--part", "tests"], "part"),
        ([write(tmp_path), "--classes", "no_sub,cmd"], "cdm"),
        ([write(tmp_path), "--set", "lens.sheer=1"], "shear"),
        ([write(tmp_path), "--device", "abacus"], "abacus"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            run(*arguments, "--num", 3, "--out", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.yaml"]
    assert runner.invoke(app, ["simulate", "fair-euclid", "--num", "0"]).exit_code == 2
