"""``darkarcs limit``: result file, figure, table, and errors in one line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import small_scenes
import suite_examples
from darkarcs.benchmark.limit_figure import _panels, draw_limits
from darkarcs.cli.main import app
from darkarcs.errors import ConfigurationError, DarkarcsError, DataError, OutputExistsError
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
    louder = tuple(row.model_copy(update={"noise_factor": 2.0}) for row in result.rows)
    both = result.model_copy(update={"rows": (*result.rows, *louder)})
    assert [panel.title for panel in _panels(both)] == ["small, cdm 0.01", "small, cdm 0.05"]
    assert [row.noise_factor for row in _panels(both)[0].rows] == [1.0, 2.0]
    assert draw_limits([both], tmp_path / "noise.png").stat().st_size > 10_000
    own = result.model_copy(
        update={"rows": tuple(row.model_copy(update={"fraction": None}) for row in result.rows)}
    )
    with pytest.raises(DataError, match="no fractions"):
        draw_limits([own], tmp_path / "none.png")


@pytest.mark.parametrize(
    ("option", "numbers", "message"),
    [
        ("--fractions", "a,b", "--fractions a,b: must read"),
        ("--fractions", "0.1,", "--fractions"),
        ("--fractions", "0.1,-1", "shares .* 0.02 for 2 %"),
        ("--fractions", "0", "shares .* 0.02 for 2 %"),
        ("--fractions", "2", "shares .* 0.02 for 2 %"),
        ("--fractions", "nan", "shares .* 0.02 for 2 %"),
        ("--noise-factors", "0", "--noise-factors 0: numbers must be greater"),
    ],
)
@pytest.mark.parametrize("measured", [[], ["--measured", "none.json"]])
def test_numbers_are_checked(
    tmp_path: Path, option: str, numbers: str, message: str, measured: list[str]
) -> None:
    scene = small_scenes.write(tmp_path)
    with pytest.raises(ConfigurationError, match=message) as told:
        CliRunner().invoke(
            app, ["limit", str(scene), option, numbers, *measured], catch_exceptions=False
        )
    assert "\n" not in str(told.value)


def test_models_are_tried_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object, **__: object) -> None:
        raise AssertionError("limits were measured")

    monkeypatch.setattr("darkarcs.limits.measure_limits", measured)
    scene = str(small_scenes.write(tmp_path))
    for model, message in (("nowhere", "nowhere"), ("darkarcs-fair-hst-fit-evidence", "arcsec")):
        with pytest.raises(DarkarcsError, match=message):
            CliRunner().invoke(
                app, ["limit", scene, *SMALL, "--model", model], catch_exceptions=False
            )


def test_models_are_put_beside_measured_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no project here: looks at a test stream are not counted
    scene, model = small_scenes.write(tmp_path), suite_examples.write_model(tmp_path / "model")
    small = ["limit", str(scene), *SMALL, "--num-refitted", "0", "--classes", "cdm"]
    first = tmp_path / "first"
    CliRunner().invoke(app, [*small, "--results", str(first)], catch_exceptions=False)
    file = first / "limits" / "small.json"
    beside = ["limit", str(scene), "--measured", str(file)]
    with pytest.raises(ConfigurationError, match="what to put beside"):
        CliRunner().invoke(app, beside, catch_exceptions=False)
    drawn = str(tmp_path / "again.png")
    with pytest.raises(DataError, match="no fractions to draw"):  # so it is drawn alone
        CliRunner().invoke(app, [*beside, "--figure", drawn], catch_exceptions=False)
    beside += ["--model", str(model)]
    shown = CliRunner().invoke(
        app, [*beside, "--results", str(tmp_path / "second")], catch_exceptions=False
    )
    assert shown.exit_code == 0
    before = LimitResult.model_validate_json(file.read_text())
    after = LimitResult.model_validate_json(
        (tmp_path / "second" / "limits" / "small.json").read_text()
    )
    assert after.rows == before.rows
    assert [(point.class_name, point.num) for point in after.models] == [("cdm", 6)]
    assert after.models[0].model == "model"  # its name, not its place
    with pytest.raises(ConfigurationError, match="give the same scene"):
        CliRunner().invoke(app, [*beside, "--set", "num_pixels=21"], catch_exceptions=False)
    same = CliRunner().invoke(app, [*beside, "--classes", "cdm", "--json"], catch_exceptions=False)
    assert same.exit_code == 0
    observed = CliRunner().invoke(
        app,
        ["limit", str(scene), "--measured", str(file), "--num-observed", "3", "--json"],
        catch_exceptions=False,
    )
    more = LimitResult.model_validate_json(observed.stdout)
    assert more.rows[0].num_observed == 3
    assert more.rows[0].marginalized == before.rows[0].marginalized
    for other in (["--classes", "axion"], ["--noise-factors", "3"], ["--seed", "9"]):
        key = other[0].removeprefix("--").replace("-", "_")
        with pytest.raises(ConfigurationError, match=f"was measured with {key} .*not"):
            CliRunner().invoke(app, [*beside, *other], catch_exceptions=False)
    file.write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        CliRunner().invoke(app, beside, catch_exceptions=False)


def test_models_keep_the_command_that_placed_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scene, model = small_scenes.write(tmp_path), suite_examples.write_model(tmp_path / "model")

    def run(name: str, *more: str) -> dict[str, Any]:
        words = ["limit", str(scene), "--results", ".", "--name", name, *more]
        monkeypatch.setattr("sys.argv", ["darkarcs", *words])
        CliRunner().invoke(app, words, catch_exceptions=False)
        return dict(json.loads(Path("limits", f"{name}.json").read_text()))

    small = [*SMALL, "--num-refitted", "0", "--classes", "cdm", "--model", str(model)]
    first = run("first", *small)
    (point,) = first["models"]
    assert point["command"] == first["command"]
    assert "--name first" in point["command"]
    made = {name: point.pop(name) for name in ("command", "version", "commit", "date")}
    assert made["version"] == first["version"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(made["date"])) < timedelta(minutes=10)
    Path("limits", "first.json").write_text(json.dumps(first))  # as older versions wrote it

    second = run("second", "--measured", "limits/first.json", "--model", str(model))
    assert second["command"] == first["command"]
    assert [one["command"] for one in second["models"]] == ["", beside(scene, model)]
    assert second["models"][1]["version"] == first["version"]
    third = run("third", "--measured", "limits/second.json", "--model", str(model))
    assert third["models"][:2] == second["models"]
    assert "--name third" in third["models"][2]["command"]
    assert third["rows"] == first["rows"]


def beside(scene: Path, model: Path) -> str:
    """What was typed to put a model beside the first limits."""
    measured = "--measured limits/first.json"
    return f"darkarcs limit {scene} --results . --name second {measured} --model {model}"
