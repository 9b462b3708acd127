"""The leaderboard: what it takes, what it refuses, and that all its files are in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkarcs.benchmark.leaderboard import (
    LEADERBOARD,
    Entry,
    add_entries,
    check_entry,
    check_images,
    entry_path,
    require_new_entries,
)
from darkarcs.benchmark.suite import Suite, load_suite
from darkarcs.benchmark.suite_results import SuiteResult
from darkarcs.benchmark.suite_run import run_suite
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.report.benchmark_table import leaderboard_table, shortcut_table
from darkarcs.report.suite_overview import conditions_table, overview_table
from suite_examples import small_suite, write_model

REPOSITORY = Path(__file__).resolve().parents[2]
ENTRIES = sorted((REPOSITORY / "results" / LEADERBOARD).rglob("*.json"))


@pytest.mark.parametrize("path", ENTRIES, ids=[f"{p.parent.name}/{p.stem}" for p in ENTRIES])
def test_every_entry_is_of_the_suite_as_it_is(path: Path) -> None:
    check_entry(path, load_suite(path.parent.name))


def test_all_entries_of_a_suite_are_of_the_same_images() -> None:
    for suite in {path.parent for path in ENTRIES}:
        check_images({path: Entry.read(path) for path in ENTRIES if path.parent == suite})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overlap": 3}, "trained or selected on 3"),
        ({"interval": [0.0, 0.001]}, "its own interval"),
        ({"interval": None}, "has no interval"),
        ({"auc": None, "interval": None, "problem": ""}, "no problem that says why"),
    ],
)
def test_entries_that_contradict_themselves_are_refused(
    changes: dict[str, Any],
    message: str,
    measured: tuple[Suite, SuiteResult],
    tmp_path: Path,
) -> None:
    suite, result = measured
    path = add_entries(result, suite, tmp_path)[0]
    content = json.loads(path.read_text())
    content["scores"][next(iter(suite.sets))] |= changes
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=message):
        check_entry(path, suite)


def test_entries_of_other_images_are_refused(
    measured: tuple[Suite, SuiteResult], tmp_path: Path
) -> None:
    suite, result = measured
    entries = {path: Entry.read(path) for path in add_entries(result, suite, tmp_path)}
    check_images(entries)
    (one, other), name = entries, next(iter(suite.sets))
    changed = entries[other].sets[name].model_copy(update={"images_hash": "0" * 64})
    sets = {**entries[other].sets, name: changed}
    entries[other] = entries[other].model_copy(update={"sets": sets})
    with pytest.raises(ConfigurationError, match=f"'{name}' has other images than in .*{one.name}"):
        check_images(entries)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, SuiteResult]:
    folder = tmp_path_factory.mktemp("leaderboard")
    suite = small_suite(folder)
    models = [write_model(folder / "three"), write_model(folder / "two", ("no_sub", "sub"), seed=1)]
    return suite, run_suite(suite, models, folder / "out")


def test_entries_are_added_and_pass_the_check(
    measured: tuple[Suite, SuiteResult], tmp_path: Path
) -> None:
    suite, result = measured
    paths = add_entries(result, suite, tmp_path)
    assert paths == [entry_path(tmp_path, suite, name) for name in ("three", "two")]
    assert paths[0] == tmp_path / "leaderboard" / "small" / "three.json"
    entry = check_entry(paths[1], suite)
    first = {(s.model, s.set): s for s in result.scores}
    for name, score in entry.scores.items():
        assert score.auc == first["two", name].auc
        assert score.roc is None
    with pytest.raises(OutputExistsError):
        add_entries(result, suite, tmp_path)
    with pytest.raises(OutputExistsError):
        require_new_entries(tmp_path, suite, ["four", "two"], None)
    require_new_entries(tmp_path, suite, ["four"], None)


def test_what_is_not_the_whole_suite_is_refused(
    measured: tuple[Suite, SuiteResult], tmp_path: Path
) -> None:
    suite, result = measured
    with pytest.raises(ConfigurationError, match="--num"):
        require_new_entries(tmp_path, suite, ["three"], 100)
    with pytest.raises(ConfigurationError, match="smaller"):
        add_entries(result.model_copy(update={"shrunk": True}), suite, tmp_path)
    for change in ({"as_pinned": False}, {"problem": "no galaxies"}):
        sets = (result.sets[0].model_copy(update=change), *result.sets[1:])
        with pytest.raises(ConfigurationError, match="set 'few' is missing or drew other lenses"):
            add_entries(result.model_copy(update={"sets": sets}), suite, tmp_path)
    scores = (result.scores[0].model_copy(update={"overlap": 3}), *result.scores[1:])
    with pytest.raises(ConfigurationError, match="'three' was trained or selected on 3 images"):
        add_entries(result.model_copy(update={"scores": scores}), suite, tmp_path)
    newer = suite.model_copy(update={"version": 2})
    with pytest.raises(ConfigurationError, match="another 'small' suite"):
        add_entries(result, newer, tmp_path)
    assert not (tmp_path / "leaderboard").exists()


def changed(suite: Suite, **changes: object) -> Suite:
    """The suite with another set 'few'."""
    few = suite.sets["few"].model_copy(update=changes)
    return suite.model_copy(update={"sets": {**suite.sets, "few": few}})


def test_sets_that_are_not_as_stated_are_refused_before_the_work(
    measured: tuple[Suite, SuiteResult], tmp_path: Path
) -> None:
    suite, _ = measured
    with pytest.raises(ConfigurationError, match=r"'few' states no hash .* --write-hashes"):
        require_new_entries(tmp_path, changed(suite, parameters=""), ["three"], None)
    with pytest.raises(ConfigurationError, match=r"'few' drew other lenses .* not 00000") as told:
        require_new_entries(tmp_path, changed(suite, parameters="0" * 64), ["three"], None)
    assert "\n" not in str(told.value)


def test_sets_that_cannot_be_drawn_are_refused_before_the_work(
    measured: tuple[Suite, SuiteResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_galaxies(_: object) -> str:
        raise DataError("galaxies: cannot be read")

    monkeypatch.setattr("darkarcs.benchmark.leaderboard.parameters_hash", no_galaxies)
    suite, _ = measured
    few = changed(suite.model_copy(update={"sets": {"few": suite.sets["few"]}}))
    with pytest.raises(ConfigurationError, match="'few' cannot be drawn: galaxies"):
        require_new_entries(tmp_path, few, ["three"], None)
    require_new_entries(tmp_path, changed(few, needs="galaxies"), ["three"], None)


def test_a_set_that_needs_files_may_be_left_out(
    measured: tuple[Suite, SuiteResult], tmp_path: Path
) -> None:
    suite, result = measured
    needy = suite.sets["few"].model_copy(update={"needs": "galaxies"})
    suite = suite.model_copy(update={"sets": {**suite.sets, "few": needy}})
    sets = (result.sets[0].model_copy(update={"problem": "no galaxies"}), *result.sets[1:])
    scores = tuple(score for score in result.scores if score.set != "few")
    partial = result.model_copy(update={"sets": sets, "scores": scores})
    [path, _] = add_entries(partial, suite, tmp_path)
    assert check_entry(path, suite).left_out == {"few": "no galaxies"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite_version": 2}, "version 2, not of small version 1"),
        ({"suite_hash": "0"}, "other sets"),
        ({"model": {"name": "best"}}, "of the model 'best'"),
        ({"sets": {"few": {"num": 12}}}, "lacks set 'few'"),
        ({"sets": {"few": {"parameters": "0"}}}, "lacks set 'few'"),
    ],
)
def test_an_entry_that_was_tampered_with_fails_the_check(
    measured: tuple[Suite, SuiteResult],
    tmp_path: Path,
    change: dict[str, dict[str, dict[str, object]]],
    message: str,
) -> None:
    suite, result = measured
    path = add_entries(result, suite, tmp_path)[0]
    values = json.loads(path.read_text("utf-8"))
    for key, value in change.items():
        if key == "sets":
            values["sets"]["few"] |= value["few"]
        elif key == "model":
            values["model"] |= value
        else:
            values[key] = value
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        check_entry(path, suite)


def test_a_missing_score_and_an_unknown_key_are_named(
    measured: tuple[Suite, SuiteResult], tmp_path: Path
) -> None:
    suite, result = measured
    path = add_entries(result, suite, tmp_path)[0]
    values = json.loads(path.read_text("utf-8"))
    del values["scores"]["few"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no score on set 'few'"):
        check_entry(path, suite)
    path.write_text(json.dumps(values | {"place": 1}), encoding="utf-8")
    with pytest.raises(DataError, match="'place'"):
        check_entry(path, suite)


def test_a_name_that_is_no_file_name_is_refused(measured: tuple[Suite, SuiteResult]) -> None:
    with pytest.raises(ConfigurationError, match="for the leaderboard"):
        entry_path(Path(), measured[0], "../best")


def test_the_table_has_the_best_first_and_null_sets_do_not_count(
    measured: tuple[Suite, SuiteResult], tmp_path: Path
) -> None:
    suite, result = measured
    entries = []
    for path in add_entries(result, suite, tmp_path):
        entry = Entry.read(path).model_dump(mode="json")
        good = 0.9 if path.stem == "two" else 0.6
        for name, score in entry["scores"].items():
            score["auc"] = 0.5 if name == "three" and path.stem == "two" else good
            score["interval"] = [score["auc"] - 0.01, score["auc"] + 0.01]
        entries.append(entry)
    lines = leaderboard_table({"entries": entries}).splitlines()
    assert lines[0].startswith("| model | trained on | mean | 2 % | 10 % |")
    assert lines[2].startswith("| `two` |")
    assert "| 0.900 | 0.900 ± 0.010" in lines[2]
    assert lines[2].rstrip().endswith("0.500 ± 0.010 |")
    old = {**entries[0], "suite_version": 0}
    assert leaderboard_table({"entries": [*entries, old]}).splitlines() == lines


def test_published_skill_stands_beside_what_is_left_of_it() -> None:
    def entry(suite: str, areas: dict[str, float]) -> dict[str, object]:
        scores = {
            name: {"auc": area, "interval": [area - 0.01, area + 0.01], "notes": []}
            for name, area in areas.items()
        }
        return {"suite": suite, "suite_version": 1, "model": {"name": "m"}, "scores": scores}

    leaky = entry("deeplense", {"model-1": 0.98, "model-1-smooth": 0.8})
    fair = entry("fair", {"hst-0.01": 0.5, "hst-0.1": 0.52, "euclid-0.1": 0.51, "jwst-0.1": 0.5})
    lines = shortcut_table({"entries": [leaky, fair]}).splitlines()
    assert lines[2].startswith("| `m` | 0.980 ± 0.010 | 0.800 ± 0.010 | 0.500 ± 0.010 |")
    alone = shortcut_table({"entries": [leaky]}).splitlines()
    assert len(alone) == len(lines)
    assert "fair" not in alone[0]
    assert shortcut_table({"entries": [fair]}) == "There is no entry yet."
    assert leaderboard_table({"entries": []}) == "There is no entry yet."


def test_conditions_are_set_beside_their_reference() -> None:
    change = {"difference": -0.1, "interval": [-0.12, -0.08]}
    scores = {
        "plain": {"auc": 0.9, "interval": [0.88, 0.92], "to_reference": None},
        "blurred": {"auc": 0.8, "interval": [0.77, 0.83], "to_reference": change},
        "other": {"auc": None, "interval": None, "to_reference": None},
    }
    entry = {
        "suite_version": 1,
        "model": {"name": "one"},
        "sets": {name: {"title": name.title()} for name in scores},
        "scores": scores,
    }
    lines = conditions_table({"entries": [entry]}).splitlines()
    assert lines[0] == "| set | `one` | change |"
    assert lines[2:] == [
        "| Plain | 0.900 ± 0.020 |  |",
        "| Blurred | 0.800 ± 0.030 | -0.100 [-0.120, -0.080] |",
    ]
    second = {**entry, "model": {"name": "two"}, "scores": {"other": scores["plain"]}}
    lines = conditions_table({"entries": [second, entry]}).splitlines()
    assert lines[4] == "| Other | cannot read |  | 0.900 ± 0.020 |  |"
    alone = {**entry, "scores": {"plain": scores["plain"]}}  # a suite without references
    lines = conditions_table({"entries": [alone]}).splitlines()
    assert lines[0] == "| set | `one` |"
    assert lines[2:] == ["| Plain | 0.900 ± 0.020 |"]


def test_an_overview_has_models_by_suites() -> None:
    def entry(model: str, suite: str, areas: list[float | None], version: int = 1) -> Any:
        names = [str(number) for number in range(len(areas))]
        return {
            "suite": suite,
            "suite_version": version,
            "model": {"name": model},
            "sets": {name: {"is_null": name == "2"} for name in names},
            "scores": {
                name: {"auc": area, "interval": area and [area - 0.02, area + 0.04]}
                for name, area in zip(names, areas, strict=True)
            },
        }

    entries = [
        entry("one", "fair", [0.6, 0.8, 0.1]),  # the last is a null set
        entry("one", "shift", [0.9, None, 0.1]),
        entry("two", "fair", [None, None, 0.5]),
        entry("two", "shift", [0.9, 0.9, 0.9], version=0),
    ]
    lines = overview_table({"entries": entries}).splitlines()
    assert lines[0] == "| model | `fair` | `shift` |"
    assert lines[2] == "| `one` | 0.700 ± 0.030 (2 sets) | 0.900 ± 0.030 (1 of 2) |"
    assert lines[3] == "| `two` | none of 2 sets |  |"
    assert overview_table({"entries": []}) == "There is no entry yet."
