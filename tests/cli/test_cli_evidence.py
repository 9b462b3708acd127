"""``darkarcs bench evidence``: both truths, and why there is one alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import small_scenes
import suite_examples
from darkarcs.cli.main import app
from darkarcs.errors import OutputExistsError

PAIRS = "seed=2&num=8&paired=1&part=validation&classes=no_sub,cdm&classes.cdm.mass_fraction=0.1"


def evidence(folder: Path, scene: Path, *more: Any) -> str:
    model = folder / "model"
    if not model.exists():
        suite_examples.write_model(model)
    words = ["bench", "evidence", model, "--scene", f"scene:{scene}?{PAIRS}", *more]
    answer = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_maps_are_scored_by_both_truths(tmp_path: Path) -> None:
    scene, out = small_scenes.write(tmp_path), tmp_path / "out.json"
    report = json.loads(evidence(tmp_path, scene, "--json", "--out", out))
    assert report == json.loads(out.read_text())
    assert report["num_pairs"] == 4
    assert list(report["maps_projected"]) == list(report["maps"])
    assert 0 < report["truth_share_projected"] < report["truth_share"]
    assert "not_projected" not in report
    shown = evidence(tmp_path, scene)
    assert "Found of what substructure changed" in shown
    assert "no smooth lens could mimic" in shown
    assert shown.count("class_attention") == 2
    assert f"{report['truth_share_projected']:.0%} of the arcs" in shown
    with pytest.raises(OutputExistsError):
        evidence(tmp_path, scene, "--out", out)


def test_a_scene_without_an_instrument_says_why(tmp_path: Path) -> None:
    counts = {"kind": "counting", "background_counts": 1.0}
    scene = small_scenes.write(tmp_path, noise=counts)
    faint = ("--threshold", "0.01", "--arc-threshold", "0.1")
    report = json.loads(evidence(tmp_path, scene, *faint, "--json"))
    assert "as an instrument observes them" in report["not_projected"]
    assert not {"maps_projected", "truth_share_projected"} & set(report)
    shown = evidence(tmp_path, scene, *faint)
    assert "are not scored apart" in shown
    assert "as an instrument observes them" in " ".join(shown.split())
