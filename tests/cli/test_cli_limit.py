"""``darkarcs limit``: result file, figure, table, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import small_scenes
from darkarcs.benchmark.limit_figure import draw_limits
from darkarcs.cli.main import app
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.limits import LimitResult

SMALL = ["--num", "3", "--num-observed", "2", "--num-training", "8", "--num-test", "4"]


def test_result_and_figure(tmp_path: Path) -> None:
    scene = small_scenes.write(tmp_path)
    results, figure = tmp_path / "results", tmp_path / "limit.png"
    arguments = ["limit", str(scene), "--fractions", "0.01,0.05", *SMALL, "--num-refitted", "1"]
    arguments += ["--results", str(results), "--figure", str(figure), "--seed", "3"]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "pooled AUC" in shown.stdout
    assert "fits leave" in shown.stdout
    text = (results / "limits" / "small.json").read_text()
    result = LimitResult.model_validate_json(text)
    assert [row.fraction for row in result.rows] == [0.01, 0.05]
    assert (result.request.seed, result.request.part) == (3, "test")
    assert "version" in json.loads(text)
    assert figure.read_bytes()[:4] == b"\x89PNG"
    assert figure.stat().st_size < 150_000
    with pytest.raises(OutputExistsError):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    with pytest.raises(DataError, match="png"):
        draw_limits([result], tmp_path / "limit.gif")
    own = result.model_copy(
        update={"rows": tuple(row.model_copy(update={"fraction": None}) for row in result.rows)}
    )
    with pytest.raises(DataError, match="no fractions"):
        draw_limits([own], tmp_path / "none.png")


@pytest.mark.parametrize("fractions", ["a,b", "0.1,-1", "0.1,"])
def test_numbers_are_checked(tmp_path: Path, fractions: str) -> None:
    scene = small_scenes.write(tmp_path)
    with pytest.raises(ConfigurationError, match="--fractions"):
        CliRunner().invoke(
            app, ["limit", str(scene), "--fractions", fractions], catch_exceptions=False
        )
