"""`darkarcs data`: what people and programs see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from darkarcs import data
from darkarcs.cli.data import app
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("no", "sphere"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(20):
            image = generator.gamma(1.0, size=(40, 40))
            np.save(tmp_path / "set" / name / f"{index}.npy", image)
    return tmp_path / "set"


def run(*arguments: object) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_inspect_tells_people_and_programs(folder: Path, tmp_path: Path) -> None:
    text = run("inspect", folder, "--out", tmp_path / "out")
    assert "40 images of 40 x 40 pixels" in text
    assert "cdm" in text
    assert (tmp_path / "out" / "panel.png").stat().st_size > 10_000
    facts = json.loads(run("inspect", folder, "--json"))
    assert facts["class_counts"] == {"no_sub": 20, "cdm": 20}
    assert facts == json.loads((tmp_path / "out" / "inspection.json").read_text())
    with pytest.raises(OutputExistsError):
        run("inspect", folder, "--out", tmp_path / "out")


def test_inspect_names_bad_and_contradicting_files(folder: Path) -> None:
    (folder / "no" / "bad.npy").write_bytes(b"text")
    twin = (folder / "no" / "3.npy").read_bytes()
    (folder / "sphere" / "twin.npy").write_bytes(twin)
    text = run("inspect", folder)
    assert "no/bad.npy: is not an image" in text
    assert "labels contradict each other: no/3.npy, sphere/twin.npy" in text


def test_convert_and_split(folder: Path, tmp_path: Path) -> None:
    facts = json.loads(run("convert", folder, "--out", tmp_path / "a.h5", "--json"))
    assert facts["num_images"] == 40
    assert data.open(tmp_path / "a.h5").content_hash == facts["content_hash"]
    with pytest.raises(OutputExistsError):
        run("convert", folder, "--out", tmp_path / "a.h5")
    arguments = ["--fractions", "0.5,0.25,0.25", "--seed", 1, "--json"]
    first = json.loads(run("split", folder, "--out", tmp_path / "s", *arguments))
    again = json.loads(run("split", tmp_path / "a.h5", "--out", tmp_path / "t", *arguments))
    assert {name: part["hash"] for name, part in first.items()} == {
        name: part["hash"] for name, part in again.items()
    }
    assert first["train"]["class_counts"] == {"no_sub": 10, "cdm": 10}
    test = data.open(tmp_path / "s" / "test.h5")
    assert test.manifest["split"] == {"name": "test", "fractions": [0.5, 0.25, 0.25], "seed": 1}
    assert "train" in run("split", folder, "--out", tmp_path / "u")


def test_mistakes_raise_our_errors(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--fractions half"):
        run("split", folder, "--out", tmp_path / "s", "--fractions", "half")
    with pytest.raises(DataError, match="no such file"):
        run("convert", tmp_path / "nowhere", "--out", tmp_path / "a.h5")
    (folder / "no" / "bad.npy").write_bytes(b"text")
    with pytest.raises(DataError, match="--skip-bad"):
        run("convert", folder, "--out", tmp_path / "a.h5")
    assert "1 bad files skipped" in run(
        "convert", folder, "--out", tmp_path / "a.h5", "--skip-bad", "--compress"
    )


def test_patches_are_drawn(folder: Path, tmp_path: Path) -> None:
    arguments = ["--patch-size", 8, "--size", 32]
    run("patches", folder, "--out", tmp_path / "patches.png", *arguments)
    assert (tmp_path / "patches.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataError, match="no image 40"):
        run("patches", folder, "--out", tmp_path / "b.png", "--index", 40)


def test_help_and_opening_do_not_wait_for_torch(folder: Path) -> None:
    code = (
        "import sys; import darkarcs.cli.data; assert 'numpy' not in sys.modules; "
        f"from darkarcs import data; data.open({str(folder)!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
