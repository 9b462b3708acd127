"""Result files, the log of looks at a test split, and the tables made from them."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation import Predictions, evaluate_predictions
from darkarcs.evaluation.provenance import describe_machine, git_commit, package_version
from darkarcs.evaluation.results import (
    TEST_LOG_COLUMNS,
    LearningPoint,
    Result,
    append_test_log,
    read_result,
    read_results,
    write_result,
)
from darkarcs.evaluation.tables import format_with_interval, refresh_tables, results_table


def make(name: str = "compact-seed0", separation: float = 2.0, **changes) -> Result:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    identities = np.arange(80).astype(str)
    logits = rng.normal(size=(80, 2)) + separation * np.eye(2)[labels]
    p = Predictions(
        identities, identities, identities, labels, logits, ("no_sub", "sub"), "test", "0f"
    )
    fields = {
        "name": name,
        "tables": ("main",),
        "model": "compact_vit_small",
        "parameters": 640_000,
        "evaluation": evaluate_predictions(p, num_bootstrap=20),
        "data": "two-class simulations",
        "data_hash": "ab12",
        "split": "test",
        "selection": "validation split",
        "command": "darkarcs evaluate model data",
        "seed": 0,
        "images_seen": 280_000,
        "wall_time_seconds": 1805.0,
        "learning_curve": (LearningPoint(images_seen=0, validation_auc=0.5),),
        "converged": True,
    }
    return Result(**(fields | changes))


def test_a_result_comes_back(tmp_path: Path) -> None:
    path = write_result(make(), tmp_path / "results")
    assert path.name == "compact-seed0.json"
    assert read_result(path) == make(date=read_result(path).date)
    assert [r.name for r in read_results(path.parent)] == ["compact-seed0"]
    content = json.loads(path.read_text())
    for key in ("command", "configuration", "seed", "version", "git_commit", "data_hash", "split"):
        assert key in content
    with pytest.raises(OutputExistsError):
        write_result(make(), path.parent)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../escape"},
        {"name": ""},
        {"evaluation": {"auc": {"macro": 1.0}}},
        {"images_seen": -1},
        {"wall_time_seconds": float("nan")},
        {"surprise": 1},
    ],
)
def test_a_result_is_strict(changes: dict) -> None:
    with pytest.raises(ValidationError):
        make(**changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not valid JSON"), ("[]", "no result file"), ('{"schema_version": 2}', "no result")],
)
def test_a_file_that_is_no_result_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_results(tmp_path)
    assert "x.json" in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path / "absent.json")
    with pytest.raises(DataError, match="not a folder"):
        read_results(tmp_path / "absent")


def test_the_log_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "results" / "test_log.csv"
    row = {
        "model": "compact",
        "model_hash": "0f",
        "data_hash": "ab",
        "split": "test",
        "n": 1600,
        "auc_macro": 0.99912345678901,
    }
    append_test_log(path, row)
    first = path.read_text()
    append_test_log(path, {**row, "model": "=cmd()\nsecond line"})
    assert path.read_text().startswith(first)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(TEST_LOG_COLUMNS)
    assert float(rows[0]["auc_macro"]) == 0.99912345678901
    assert rows[0]["date"].endswith("+00:00")
    assert rows[1]["model"] == "'=cmd() second line"


def test_the_log_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "test_log.csv"
    with pytest.raises(DataError, match="missing or unknown: auc_macro, data_hash"):
        append_test_log(path, {"model": "m", "model_hash": "", "split": "test", "n": 1})
    assert not path.exists()
    path.write_text("something,else\n")
    row = dict.fromkeys(TEST_LOG_COLUMNS, "x")
    with pytest.raises(DataError, match="another header"):
        append_test_log(path, row)
    assert path.read_text() == "something,else\n"


def test_tables_are_refreshed_once(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_result(make("a", 1.0), results)
    write_result(make("b", 3.0, tables=("main", "other"), converged=False), results)
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n<!-- table:main -->\nold\n<!-- /table -->\nbetween\n"
        "<!-- table:other --><!-- /table -->\nend\n"
    )
    assert refresh_tables(page, results)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("# Title\n")
    assert text.endswith("<!-- /table -->\nend\n")
    main, other = text.split("between")
    assert main.index("`b`") < main.index("`a`")
    assert "`a`" not in other
    assert "280k *" in other
    assert not refresh_tables(page, results)
    assert page.read_text() == text


def test_a_page_that_cannot_be_refreshed_is_left_alone(tmp_path: Path) -> None:
    write_result(make(), tmp_path / "results")
    page = tmp_path / "page.md"
    for text, message in (
        ("<!-- table:main --> open", "has no <!-- /table -->"),
        ("<!-- table:absent --><!-- /table -->", "is of table 'absent'"),
    ):
        page.write_text(text)
        with pytest.raises(DataError, match=message):
            refresh_tables(page, tmp_path / "results")
        assert page.read_text() == text
    with pytest.raises(DataError, match="no results"):
        results_table([])


def test_numbers_carry_the_digits_that_their_interval_supports() -> None:
    assert format_with_interval(0.55, (0.4, 0.8)) == "0.55 [0.40, 0.80]"
    assert format_with_interval(0.9999, (0.9992, 1.0)) == "0.99990 [0.99920, 1]"
    assert format_with_interval(1.0, (0.9954, 1.0)) == "1 [0.9954, 1]"


def test_a_table_does_not_break_on_a_bar() -> None:
    lines = results_table([make(model="a|b")]).splitlines()
    assert lines[2].count("|") - lines[2].count("\\|") == lines[0].count("|")


def test_provenance_describes_without_torch() -> None:
    machine = describe_machine(threads=3)
    assert machine["threads"] == 3
    assert machine["cpu"]
    assert machine["torch"] == package_version("torch")


def test_no_commit_outside_a_repository(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None


def test_measurements_do_not_make_a_tree_dirty(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    for name in ("source.py", "results/log.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one\n")
    git("init")
    git("add", ".")
    git("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-m", "first")
    (tmp_path / "results" / "log.csv").write_text("two\n")
    commit = git_commit(tmp_path)
    assert commit is not None
    assert not commit.endswith("-dirty")
    (tmp_path / "source.py").write_text("two\n")
    assert git_commit(tmp_path) == f"{commit}-dirty"
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "inner.py").write_text("one\n")
    git("add", ".")
    assert git_commit(tmp_path / "src") == f"{commit}-dirty"
