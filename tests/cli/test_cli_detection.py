"""`darkarcs bench detection` and `darkarcs sensitivity`: what they write, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from darkarcs.cli.bench_detection import read_numbers
from darkarcs.cli.main import app
from darkarcs.errors import ConfigurationError, OutputExistsError
from small_scenes import write

runner = CliRunner()
FEW = ("--log10-masses", "9,10.5", "--false-positive-rates", "0.1", "--no-marginalize")


def run(*arguments: object) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_detection_writes_all_it_measured(tmp_path: Path) -> None:
    path, out = write(tmp_path), tmp_path / "out"
    detect = ("bench", "detection", "--scene", path, "--num", 6, "--bins", "0.2", *FEW)
    printed = run(*detect, "--out", out, "--results", tmp_path / "results")
    kept = tmp_path / "results" / "benchmarks" / "detection-small.json"
    report = json.loads((out / "detection.json").read_text())
    assert report == json.loads(kept.read_text())
    assert report["log10_masses"] == [9.0, 10.5]
    assert report["bin_edges"] == [0.2]
    assert printed.strip() == (out / "detection.md").read_text().strip()
    assert "| 10 % | all | 6 | oracle |" in printed
    assert (out / "detection.png").stat().st_size > 10_000
    with pytest.raises(OutputExistsError):  # the kept result, before any work
        run(*detect, "--out", tmp_path / "new", "--results", tmp_path / "results")
    with pytest.raises(OutputExistsError):
        run(*detect, "--out", out)
    assert not (tmp_path / "new").exists()


def test_sensitivity_writes_all_it_measured(tmp_path: Path) -> None:
    path, out = write(tmp_path), tmp_path / "out"
    printed = run("sensitivity", "--scene", path, "--grid", 4, *FEW, "--out", out, "--json",
                  "--results", tmp_path / "results", "--name", "mine")  # fmt: skip
    report = json.loads((out / "sensitivity.json").read_text())
    assert report == json.loads(printed)
    assert report == json.loads((tmp_path / "results" / "benchmarks" / "mine.json").read_text())
    assert len(report["maps"]) == 1
    assert "oracle" in (out / "sensitivity.md").read_text()
    assert (out / "sensitivity.png").stat().st_size > 10_000


def test_changes_of_the_scene_reach_it(tmp_path: Path) -> None:
    kind = "classes.sub={kind: single_subhalo, log10_mass: 9, distance_to_arc: 0.0, half_depth: 1}"
    report = json.loads(run("bench", "detection", "--scene", write(tmp_path), "--num", 2, *FEW,
                            "--set", kind, "--out", tmp_path / "out", "--json"))  # fmt: skip
    assert report["subhalo"]["half_depth"] == 1
    assert report["subhalo"]["distance_to_arc"] == 0


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert read_numbers("8, 8.5,") == (8.0, 8.5)
    with pytest.raises(typer.BadParameter, match="must read like"):
        read_numbers("8,heavy")
    with pytest.raises(ConfigurationError, match="ascending"):
        run("bench", "detection", "--scene", write(tmp_path), "--log10-masses", "10,9",
            "--out", tmp_path / "out")  # fmt: skip
