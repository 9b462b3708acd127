"""Figures of sweeps: what they gather, what they show, and from what they are drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from darkarcs.cli.main import app
from darkarcs.errors import DataError, OutputExistsError
from darkarcs.report.sweep_frontier import draw_frontier, unbeaten
from darkarcs.report.sweeps import draw_sweep, read_sweep, shown_range, sweep_arms

ARMS = {"plain": 0.80, "_$new$": 0.84, "small": 0.78}


def sweep(
    seeds: int = 3, labels: tuple[int | None, ...] = (100, None), converged: bool = True
) -> dict[str, Any]:
    rows = [
        {
            "arm": arm,
            "num_per_class": number,
            "seed": seed,
            "auc": auc + 0.01 * seed + (0.1 if number is None else 0.0),
            "auc_interval": [auc - 0.03, auc + 0.05],
            "num_images": 300,
            "converged": converged or seed > 0,
        }
        for number in labels
        for arm, auc in ARMS.items()
        for seed in range(seeds)
    ]
    named = {"name": "tiny", "arms": dict.fromkeys(ARMS, ()), "measured_on": "test"}
    return {"configuration": named, "rows": rows}


def speeds() -> dict[str, Any]:
    rows = {"plain": (1_000_000, 400.0), "_$new$": (1_000_000, 390.0), "small": (250_000, 1500.0)}
    return {
        "batch_size": 64,
        "threads": 1,
        "models": {
            f"tiny-{arm}": {"parameters": size, "float32": {"throughput": rate}}
            for arm, (size, rate) in rows.items()
        },
    }


def test_arms_by_hand() -> None:
    found = sweep_arms(sweep())
    assert list(found) == [100, None]
    plain, new, _ = found[100]
    assert (plain.name, new.name) == ("plain", "_$new$")
    assert plain.mean == pytest.approx(0.81)
    # 0.80, 0.81, 0.82: standard error 0.01 / sqrt(3), Student's t of two degrees 4.303
    half = 4.30265 * 0.01 / 3**0.5
    assert plain.interval == pytest.approx((0.81 - half, 0.81 + half), abs=1e-5)
    (only, *_) = sweep_arms(sweep(seeds=1))[100]
    assert only.interval == (pytest.approx(0.77), pytest.approx(0.85))


def test_an_interval_ends_at_one() -> None:
    content = sweep(seeds=2)
    for row in content["rows"]:
        row["auc"] = 0.99 + 0.009 * row["seed"]
    assert sweep_arms(content)[100][0].interval[1] == 1.0


def test_wide_intervals_of_few_seeds_are_cut_and_of_images_shown() -> None:
    (plain, *_) = sweep_arms(sweep(seeds=2))[100]  # 0.80 and 0.81; the interval is 0.13 wide
    low, high = shown_range([plain])
    assert plain.interval[0] < low < min(plain.areas)
    assert max(plain.areas) < high < plain.interval[1]
    single = sweep_arms(sweep(seeds=1))[100]
    assert shown_range(single) == (pytest.approx(0.75), pytest.approx(0.89))


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("seeds", [1, 2])
def test_figures_are_drawn_once(tmp_path: Path, seeds: int, kind: str) -> None:
    content = sweep(seeds=seeds, converged=False)
    drawn = draw_sweep(content, tmp_path / f"a.{kind}")
    frontier = draw_frontier(content, speeds(), tmp_path / f"b.{kind}")
    for path in (drawn, frontier):
        if kind == "png":
            with Image.open(path) as picture:
                assert picture.width > 500
        else:
            assert path.read_text(encoding="utf-8").lstrip().startswith("<?xml")
    with pytest.raises(OutputExistsError):
        draw_sweep(content, drawn)


def test_arms_that_had_not_levelled_off_look_different(tmp_path: Path) -> None:
    pictures = [
        draw_sweep(sweep(converged=converged), tmp_path / f"{converged}.png").read_bytes()
        for converged in (True, False)
    ]
    assert pictures[0] != pictures[1]


def test_only_unbeaten_arms_are_joined() -> None:
    assert unbeaten([(3.0, 0.9), (2.0, 0.9), (2.0, 0.95), (1.0, 0.99)]) == [0, 2, 3]
    assert unbeaten([(1.0, 0.5), (1.0, 0.5)]) == [0, 1]


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="no result of 'darkarcs sweep'"):
        read_sweep(tmp_path / "other.json")
    with pytest.raises(DataError, match=r"ends in \.png"):
        draw_sweep(sweep(), tmp_path / "figure.txt")
    others = {**speeds(), "models": {"teacher": {}}}
    with pytest.raises(DataError, match="no run of the sweep 'tiny' is among teacher"):
        draw_frontier(sweep(), others, tmp_path / "figure.png")


def test_the_verb_draws_both(tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(sweep()), encoding="utf-8")
    (tmp_path / "speeds.json").write_text(json.dumps(speeds()), encoding="utf-8")
    runner, file = CliRunner(), str(tmp_path / "tiny.json")
    plain = runner.invoke(app, ["report", file])
    assert plain.output.strip().endswith("tiny.png")
    out = str(tmp_path / "figures.svg")
    both = runner.invoke(app, ["report", file, "--speeds", str(tmp_path / "speeds.json")])
    assert both.output.strip().endswith("tiny-frontier.png")
    assert runner.invoke(app, ["report", file, "--out", out]).exit_code == 0
    assert Path(out).is_file()
