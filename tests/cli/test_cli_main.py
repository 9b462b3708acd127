"""The command line end to end: JSON on standard output, one line on errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from darkarcs.cli.main import main

TINY = {
    "name": "tiny",
    "preprocessing": {"size": 16},
    "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 2}},
    "training": {"epochs": 2, "batch_size": 8, "precision": "32"},
}


def run(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Call the command in this process; give exit code, standard output and error."""
    monkeypatch.setattr(sys, "argv", ["darkarcs", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    code = stop.value.code
    return (code if isinstance(code, int) else 0), captured.out, captured.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of class folders with 60 PNG rings, and a recipe beside it."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:20, :20] - 9.5
    for index in range(60):
        name, radius = (("no_sub", 4.0), ("sub", 6.0))[index % 2]
        ring = np.exp(-((np.hypot(x, y) - radius) ** 2)) + 0.05 * generator.random((20, 20))
        path = tmp_path / "lenses" / name / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((240 * np.clip(ring, 0, 1)).astype(np.uint8)).save(path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    return tmp_path


def test_version_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(["--version"], capsys, monkeypatch)
    assert (code, out, err) == (0, f"darkarcs {version('darkarcs')}\n", "")


def test_from_a_folder_of_images_to_a_report(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    code, out, err = run(
        ["train", "tiny.yaml", "--data", "lenses", "--out", "run", "--set", "training.epochs=6"],
        capsys,
        monkeypatch,
    )
    assert code == 0, err
    assert out.splitlines()[-1] == str(Path("run/model"))

    arguments = ["evaluate", "run", "lenses", "--split", "test", "--out", "test", "--json"]
    code, out, err = run(arguments, capsys, monkeypatch)
    assert code == 0, err
    report = json.loads(out)
    assert report["n"] == 12
    assert set(report["auc"]["per_class"]) == {"no_sub", "sub"}
    assert len(report["auc"]["interval"]) == 2

    code, out, err = run(["evaluate", *arguments[1:-1]], capsys, monkeypatch)
    assert code == 1
    assert err.strip() == (
        "darkarcs: test exists already and is not overwritten: "
        "choose another --out (or --results, --name)"
    )

    code, out, err = run(["evaluate", "run", "lenses", "--out", "all"], capsys, monkeypatch)
    assert "macro" in out
    assert "warning: 42 of 60 images are ones that the model was trained on" in err

    image = "lenses/no_sub/0.png"
    code, out, err = run(["classify", "run", image, "--json"], capsys, monkeypatch)
    [record] = json.loads(out)
    assert record["path"] == image
    assert set(record["probabilities"]) == {"no_sub", "sub"}

    code, out, err = run(["report", "test"], capsys, monkeypatch)
    assert code == 0, err
    page = (folder / "test" / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["train", "tiny.yaml", "--data", "nowhere", "--out", "run"],
            "darkarcs: nowhere: there is no such file or folder",
        ),
        (
            ["train", "demoo", "--data", "lenses", "--out", "run"],
            "darkarcs: demoo: neither a file nor a packaged recipe; did you mean 'demo'?",
        ),
        (
            [
                *["train", "tiny.yaml", "--data", "lenses", "--out", "run"],
                *["--set", "training.epoch=3"],
            ],
            "darkarcs: tiny.yaml: unknown key 'training.epoch': did you mean 'epochs'?",
        ),
        (
            ["classify", "lenses", "lenses/sub/1.png"],
            "darkarcs: lenses: is no model folder (it holds no model.json)",
        ),
    ],
)
def test_errors_are_one_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(folder)
    code, out, err = run(arguments, capsys, monkeypatch)
    assert code == 1
    assert err.strip() == line
    assert out == ""
    assert not (folder / "run").exists()


def test_bad_files_are_named_together_and_can_be_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "lenses" / "sub" / "bad.png").write_bytes(b"no image at all")
    np.save(folder / "lenses" / "no_sub" / "flat.npy", np.ones((20, 20)))
    arguments = ["train", "tiny.yaml", "--data", "lenses", "--out", "run"]
    code, _, err = run(arguments, capsys, monkeypatch)
    assert code == 1
    assert "bad.png" in err
    assert "flat.npy" in err
    assert "--skip-bad" in err
    code, _, err = run([*arguments, "--skip-bad"], capsys, monkeypatch)
    assert code == 0, err


def test_usage_error_exits_with_two(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(["train"], capsys, monkeypatch)
    assert code == 2
    assert "Missing argument 'recipe'" in err


def test_models_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(["models", "--json"], capsys, monkeypatch)
    assert code == 0
    names = {row["name"] for row in json.loads(out)}
    assert {"vit_ti16", "compact_vit_1m", "resnet18", "d4_cnn"} <= names


def test_demo_trains_evaluates_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("darkarcs.cli.demo.DEMO_OVERRIDES", ("training.epochs=1",))
    code, out, err = run(["demo", "--out", "demo", "--num-per-class", "40"], capsys, monkeypatch)
    assert code == 0, err
    assert "macro" in out
    assert out.splitlines()[-1] == f"report: {Path('demo/report.html')}"
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000


def test_help_is_for_everyone_and_every_verb_is_described() -> None:
    command = [sys.executable, "-m", "darkarcs.cli.main", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for verb in ("train", "evaluate", "classify", "compare", "report", "data", "zoo", "bench"):
        assert verb in shown


@pytest.mark.slow
def test_a_killed_training_goes_on_as_if_nothing_had_happened(folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "darkarcs.cli.main", "train", "tiny.yaml", "--data", "lenses"]
    command += ["--set", "training.epochs=40", "--set", "training.threads=1"]

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    whole = start("--out", "whole")
    cut = start("--out", "cut")
    history = folder / "cut" / "history.csv"
    while cut.poll() is None:
        if history.exists() and len(history.read_text(encoding="utf-8").splitlines()) > 4:
            cut.kill()  # SIGKILL: nothing can be tidied up
            break
        time.sleep(0.002)
    assert cut.wait() != 0, "the run ended before it could be killed"
    assert start("--out", "cut", "--resume").wait() == 0
    assert whole.wait() == 0
    first, second = (
        (folder / run / "model" / "model.safetensors").read_bytes() for run in ("whole", "cut")
    )
    assert first == second
