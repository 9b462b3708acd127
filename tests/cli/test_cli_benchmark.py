"""``darkarcs benchmark`` from models and a suite to a page and entries."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from darkarcs.cli.main import main
from suite_examples import write_model, write_suite


def run(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["darkarcs", "benchmark", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    code = stop.value.code
    return (code if isinstance(code, int) else 0), captured.out, captured.err


def test_from_models_to_a_page_and_entries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path)
    for name in ("one", "other"):
        write_model(tmp_path / name, seed=len(name))
    models = ["one", "other", "--suite", "suite.yaml"]
    code, out, err = run([*models, "--out", "out", "--results", "results"], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert "| set | images | one | other |" in out
    assert Path("out/small.html").is_file()
    assert {path.name for path in Path("results/leaderboard/small").iterdir()} == {
        "one.json",
        "other.json",
    }
    assert len(Path("results/test_log.csv").read_text("utf-8").splitlines()) == 1 + 2 * 4
    code, _, err = run([*models, "--out", "again", "--results", "results"], capsys, monkeypatch)
    assert code == 1
    assert err.count("\n") == 1
    assert "one.json exists already" in err
    assert not Path("again").exists()


def test_a_trial_is_said_to_be_one_and_json_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path)
    write_model(tmp_path / "one")
    trial = ["one", "--suite", "suite.yaml", "--num", "12"]
    code, out, _ = run([*trial, "--out", "out", "--json"], capsys, monkeypatch)
    assert code == 0
    values = json.loads(out)
    assert values["shrunk"] is True
    assert values == json.loads(Path("out/small.json").read_text("utf-8"))
    code, _, err = run([*trial, "--out", "more", "--results", "r"], capsys, monkeypatch)
    assert code == 1
    assert "--num makes the sets smaller" in err
    code, _, err = run([*trial, "--out", "out"], capsys, monkeypatch)
    assert code == 1
    assert "exists already" in err


def test_a_suite_without_hashes_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = write_suite(tmp_path)
    suite.write_text(re.sub("parameters: .*", "parameters: ''", suite.read_text("utf-8")), "utf-8")
    write_model(tmp_path / "one")
    words = ["one", "--suite", "suite.yaml", "--out", "out", "--results", "results"]
    code, out, err = run(words, capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "set 'few' states no hash" in err
    assert not Path("out").exists()
    assert not Path("results").exists()
    run(["--write-hashes", "--suite", "suite.yaml"], capsys, monkeypatch)
    assert run(words, capsys, monkeypatch)[0] == 0


def test_suites_are_listed_and_hashes_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_suite(tmp_path)
    code, out, _ = run(["--list", "--suite", str(path)], capsys, monkeypatch)
    assert code == 0
    assert "fair" in out.splitlines()[0]
    assert "10 %, blurred" in out
    code, out, _ = run(["--write-hashes", "--suite", str(path)], capsys, monkeypatch)
    assert code == 0
    assert len(json.loads(out)) == 4
    code, _, err = run(["--suite", str(path)], capsys, monkeypatch)
    assert code == 2
    assert "at least one model" in err
