"""The page of a suite: complete, self-contained, and safe against what names hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from darkarcs.benchmark.suite_results import SuiteResult
from darkarcs.benchmark.suite_run import run_suite
from darkarcs.errors import DataError, OutputExistsError
from darkarcs.report import benchmark_figures
from darkarcs.report.benchmark_page import render_benchmark_page, write_benchmark_page
from darkarcs.report.benchmark_table import benchmark_tables
from suite_examples import small_suite, write_model


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("page")
    models = [
        write_model(folder / "three"),
        write_model(folder / "two", ("no_sub", "sub"), seed=1),
        write_model(folder / "colour", ("no_sub", "sub"), channels=3),
    ]
    result = run_suite(small_suite(folder), models, folder / "out", num=30)
    return SuiteResult.model_validate(result).model_dump(mode="json")


def test_the_page_holds_all_numbers_and_needs_nothing(content: dict[str, Any]) -> None:
    page = render_benchmark_page(content)
    for score in content["scores"]:
        if score["auc"] is not None:
            assert f"{score['auc']:.3f}" in page
    assert "cannot read: images have 1 channels" in page
    assert "a trial, not for the leaderboard" in page
    assert "<script" not in page
    assert 'src="http' not in page
    # one figure a line, one of all sets, a curve a set
    assert page.count("<svg") == 1 + 1 + len(content["sets"])
    assert page == render_benchmark_page(content)


def painted(monkeypatch: pytest.MonkeyPatch) -> Axes:
    """Axes on which the next figure is painted."""
    axes = Figure().add_subplot()

    def draw(name: str, paint: Callable[[Axes], None], **_: float) -> str:
        paint(axes)
        return name

    monkeypatch.setattr(benchmark_figures, "draw", draw)
    return axes


def test_each_point_stands_beside_the_title_of_its_set(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = painted(monkeypatch)
    benchmark_figures.set_figure("x", content)
    titles = [label.get_text() for label in axes.get_yticklabels()]
    ticks = axes.get_yticks()
    areas = {(s["model"], s["set"]): s["auc"] for s in content["scores"]}
    for model, container in zip(("three", "two"), axes.containers, strict=True):
        points = np.asarray(container[0].get_xydata())
        for one in content["sets"]:
            row = ticks[titles.index(one["title"])]
            [near] = points[np.abs(points[:, 1] - row) < 0.5]
            assert near[0] == areas[model, one["name"]]


def test_along_the_axis_each_set_stands_at_its_place(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = painted(monkeypatch)
    benchmark_figures.line_figure("x", content, "small")
    areas = {(s["model"], s["set"]): s["auc"] for s in content["scores"]}
    points = np.asarray(axes.containers[0][0].get_xydata())
    assert points.tolist() == [[2, areas["three", "few"]], [10, areas["three", "many"]]]
    assert axes.get_xscale() == "log"


def test_names_cannot_break_out_of_the_page(content: dict[str, Any]) -> None:
    hostile = json.loads(json.dumps(content).replace('"two"', '"<script>$_x"'))
    page = render_benchmark_page(hostile)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_suite_without_axis_or_curves_has_a_page(content: dict[str, Any]) -> None:
    bare = {**content, "axis": None, "comparisons": []}
    bare["scores"] = [{**score, "roc": None} for score in content["scores"]]
    page = render_benchmark_page(bare)
    assert "Along the axis" not in page
    assert "ROC curves" not in page


def test_where_no_model_can_read_a_set_there_is_no_legend(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = painted(monkeypatch)
    benchmark_figures.set_figure("x", content)
    assert axes.get_legend() is not None
    nothing = {"auc": None, "interval": None, "roc": None, "problem": "cannot read: a test"}
    blind = {**content, "scores": [{**score, **nothing} for score in content["scores"]]}
    axes = painted(monkeypatch)
    benchmark_figures.set_figure("x", blind)  # a warning of matplotlib's would be an error here
    assert axes.get_legend() is None
    assert len(axes.get_yticks()) == len(content["sets"])


def test_the_table_on_the_terminal_says_what_to_know(content: dict[str, Any]) -> None:
    text = benchmark_tables(content)
    assert "| set | images | three | two | colour |" in text
    assert "Macro AUC" in text
    assert "Holm" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4 + 2 + 1  # all sets, and the one with three classes
    assert "colour cannot read 4 sets, the first because: images have 1 channels" in text
    assert not any("channels" in line for line in table)


def test_only_results_of_suites_become_pages(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    write_benchmark_page(path, tmp_path / "small.html")
    with pytest.raises(OutputExistsError):
        write_benchmark_page(path, tmp_path / "small.html")
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="no result of"):
        write_benchmark_page(path, tmp_path / "other.html")
    with pytest.raises(DataError, match="cannot be read"):
        write_benchmark_page(tmp_path / "none.json", tmp_path / "other.html")
