"""``darkarcs weaknesses``: the page in its folder, and a copy of the numbers among the results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import small_scenes
from darkarcs import data
from darkarcs.cli.main import app
from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation import Predictions, write_predictions
from darkarcs.simulation import SimulationRequest, simulate


def test_the_result_is_kept_under_a_name_that_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no project here: looks at a test stream are not counted
    images = simulate(SimulationRequest(scene=small_scenes.scene(), seed=3, num=60))
    data.save(images, tmp_path / "lenses.h5")
    columns = (images.metadata[name] for name in ("identity", "group", "name"))
    assert images.labels is not None
    logits = np.random.default_rng(0).normal(size=(60, 3)) + np.eye(3)[images.labels]
    told = Predictions(*columns, images.labels, logits, images.class_names, "all", "0f3a" * 4)
    (tmp_path / "mine").mkdir()
    write_predictions(told, tmp_path / "mine" / "predictions.csv")
    command = ["weaknesses", "mine/predictions.csv", "--data", "lenses.h5", "--results", "results"]
    command += ["--num-bootstrap", "50", "--min-images", "10", "--num-mistakes", "2"]
    shown = CliRunner().invoke(app, [*command, "--out", "weak"], catch_exceptions=False)
    assert shown.exit_code == 0
    kept = Path("results/weaknesses/mine.json")
    assert kept.read_bytes() == Path("weak/weaknesses.json").read_bytes()
    assert json.loads(kept.read_text())["n"] == 60
    with pytest.raises(OutputExistsError):  # before anything is measured
        CliRunner().invoke(app, [*command, "--out", "again"], catch_exceptions=False)
    assert not Path("again").exists()
    named = [*command, "--out", "again", "--name", "other"]
    assert CliRunner().invoke(app, named, catch_exceptions=False).exit_code == 0
    assert Path("results/weaknesses/other.json").is_file()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.json", '{\n "a": [1, 2, 3]\n}\n', "bad.json: has no column 'identity'"),
        ("nofile.csv", None, "nofile.csv: cannot be read"),
        (
            "unknown.csv",
            "identity,group,name,label,split,model_hash,logit_no_sub,logit_cdm\na,a,a,,all,0,1,2\n",
            "unknown.csv: these predictions have no labels",
        ),
    ],
)
def test_the_predictions_are_checked_before_the_data(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str | None,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_text(content)
    command = ["weaknesses", name, "--data", "nowhere", "--out", "weak"]
    with pytest.raises(DataError, match=message):
        CliRunner().invoke(app, command, catch_exceptions=False)
