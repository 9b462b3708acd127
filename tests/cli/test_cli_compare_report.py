"""The verbs `compare` and `report`, as one types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from darkarcs.cli.compare import compare
from darkarcs.cli.report import report
from darkarcs.errors import DataError
from darkarcs.evaluation import Predictions, write_predictions


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(compare)
    made.command()(report)
    return made


def write(path: Path, separation: float, seed: int, count: int = 60) -> Path:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    identities = np.arange(count).astype(str)
    logits = rng.normal(size=(count, 2)) + separation * np.eye(2)[labels]
    write_predictions(
        Predictions(
            identities, identities, identities, labels, logits, ("no_sub", "sub"), "test", str(seed)
        ),
        path,
    )
    return path


def test_compare_prints_json_and_a_table(app: typer.Typer, tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", 2.0, 1)
    second = write(tmp_path / "b.csv", 0.5, 2, count=50)
    arguments = ["compare", str(first), str(second), "--num-bootstrap", "50"]
    answer = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert answer.exit_code == 0
    result = json.loads(answer.stdout)
    assert result["n"] == 50
    assert result["macro"]["difference"] > 0

    table = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert table.exit_code == 0
    assert f"{result['macro']['first']:.6f}" in table.stdout
    assert "10 images are in one file only" in table.stderr


def test_compare_raises_errors_of_ours(app: typer.Typer, tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", 2.0, 1)
    with pytest.raises(DataError, match="cannot be read"):
        CliRunner().invoke(
            app, ["compare", str(first), str(tmp_path / "absent.csv")], catch_exceptions=False
        )


def test_report_prints_the_path(app: typer.Typer, tmp_path: Path) -> None:
    write(tmp_path / "run" / "predictions.csv", 2.0, 1)
    out = tmp_path / "page.html"
    answer = CliRunner().invoke(
        app, ["report", str(tmp_path / "run"), "--out", str(out)], catch_exceptions=False
    )
    assert answer.stdout.strip() == str(out)
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
