"""The leaderboard: one file a suite and model, which anyone can add by a pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from darkarcs.benchmark.suite import NAME, Suite, SuiteSet, parameters_hash
from darkarcs.benchmark.suite_results import ModelRow, Score, StrictResult, SuiteResult
from darkarcs.errors import ConfigurationError, DarkarcsError, OutputExistsError

#: Folder of entries within the folder of results.
LEADERBOARD = "leaderboard"


class EntrySet(StrictResult):
    """What an entry says of a set, apart from the score: enough to make it again.

    Attributes
    ----------
    uri : str
        The set.
    title, line : str
        For the table.
    num : int
        Images.
    is_null : bool
        No substructure acts in it.
    images_hash, parameters : str
        Which images these were, and which lenses.
    """

    uri: str
    title: str
    line: str = ""
    num: int
    is_null: bool = False
    images_hash: str
    parameters: str


class Entry(StrictResult):
    """One model on one suite.

    Attributes
    ----------
    schema_version : 1
        Of this layout.
    suite, suite_version, suite_hash
        Which suite.
    model : ModelRow
        Which model.
    sets : dict of str to EntrySet
        What it was measured on.
    scores : dict of str to Score
        By set, without curves.
    left_out : dict of str to str
        Sets that could not be made, and why: only those that need files of their own.
    command, version, git_commit, machine, date
        How and when.
    """

    schema_version: Literal[1] = 1
    suite: str
    suite_version: int
    suite_hash: str
    model: ModelRow
    sets: dict[str, EntrySet]
    scores: dict[str, Score]
    left_out: dict[str, str] = {}
    command: str
    version: str
    git_commit: str | None
    machine: dict[str, Any]
    date: str


def entry_path(results: Path, suite: Suite, model: str) -> Path:
    """Where a model's entry lies.

    Parameters
    ----------
    results : pathlib.Path
        Folder of results.
    suite : Suite
        Which.
    model : str
        Name of the model.

    Returns
    -------
    pathlib.Path
        ``results/leaderboard/SUITE/MODEL.json``.

    Raises
    ------
    ConfigurationError
        If the model's name is no name for a file.
    """
    if not re.match(NAME, model):
        raise ConfigurationError(f"'{model}': for the leaderboard use letters, digits, '.', '_', -")
    return Path(results) / LEADERBOARD / suite.name / f"{model}.json"


def require_new_entries(results: Path, suite: Suite, models: list[str], num: int | None) -> None:
    """Check, before hours of work, that entries could be added.

    Parameters
    ----------
    results : pathlib.Path
        Folder of results.
    suite : Suite
        Which.
    models : list of str
        Names of models.
    num : int or None
        To how many images the sets are shrunk.

    Raises
    ------
    ConfigurationError
        If the sets are shrunk, or one states no hash of its parameters, draws other lenses than it
        states, or cannot be drawn although it needs nothing.
    OutputExistsError
        If a model has an entry.
    """
    if num is not None:
        raise ConfigurationError(
            "--num makes the sets smaller, which the leaderboard does not take: leave --results "
            "or --num away"
        )
    for model in models:
        path = entry_path(results, suite, model)
        if path.exists():
            raise OutputExistsError(path)
    for name, one in suite.sets.items():
        _require_pinned(name, one)


def _require_pinned(name: str, one: SuiteSet) -> None:
    where = f"no entry for the leaderboard: set '{name}'"
    try:
        drawn = parameters_hash(one.request)
    except DarkarcsError as error:
        if one.needs:  # it will be left out
            return
        raise ConfigurationError(f"{where} cannot be drawn: {error}") from None
    if not one.parameters:
        raise ConfigurationError(
            f"{where} states no hash of its parameters: give each set a key 'parameters:' and run "
            "darkarcs benchmark --suite FILE --write-hashes, or leave --results away"
        )
    if drawn != one.parameters:
        raise ConfigurationError(
            f"{where} drew other lenses than the suite states (parameters {drawn[:16]}, not "
            f"{one.parameters[:16]}): use the scene as it was, or raise the suite's version and "
            "run darkarcs benchmark --suite FILE --write-hashes"
        )


def add_entries(result: SuiteResult, suite: Suite, results: Path) -> list[Path]:
    """Add an entry for each model of a result.

    Parameters
    ----------
    result : SuiteResult
        Of the whole suite.
    suite : Suite
        Which.
    results : pathlib.Path
        Folder of results.

    Returns
    -------
    list of pathlib.Path
        The new files.

    Raises
    ------
    ConfigurationError
        If sets were shrunk, drew other lenses than the suite states, were left out although
        they need nothing, or a model has seen their images.
    OutputExistsError
        If a model has an entry.
    """
    if result.suite_hash != suite.content_hash:
        raise ConfigurationError(f"the result is of another '{suite.name}' suite than this one")
    left_out = {row.name: row.problem for row in result.sets if row.problem}
    refused = [name for name in left_out if not suite.sets[name].needs]
    others = [row.name for row in result.sets if not row.problem and not row.as_pinned]
    if result.shrunk or refused or others:
        why = (
            "its sets are smaller than the suite's"
            if result.shrunk
            else f"set '{(refused + others)[0]}' is missing or drew other lenses"
        )
        raise ConfigurationError(f"no entry for the leaderboard: {why}")
    known = [score for score in result.scores if score.overlap]
    if known:
        raise ConfigurationError(
            f"no entry for the leaderboard: '{known[0].model}' was trained or selected on "
            f"{known[0].overlap} images of set '{known[0].set}'"
        )
    paths = [entry_path(results, suite, model.name) for model in result.models]
    for path in paths:
        if path.exists():
            raise OutputExistsError(path)
    return [
        _entry(result, model, left_out).write(path)
        for model, path in zip(result.models, paths, strict=True)
    ]


def _entry(result: SuiteResult, model: ModelRow, left_out: dict[str, str]) -> Entry:
    shared = {"uri", "title", "line", "num", "is_null", "images_hash", "parameters"}
    return Entry(
        suite=result.suite,
        suite_version=result.suite_version,
        suite_hash=result.suite_hash,
        model=model,
        sets={
            row.name: EntrySet(**row.model_dump(include=shared))
            for row in result.sets
            if not row.problem
        },
        scores={
            score.set: score.model_copy(update={"roc": None})
            for score in result.scores
            if score.model == model.name
        },
        left_out=left_out,
        command=result.command,
        version=result.version,
        git_commit=result.git_commit,
        machine=result.machine,
        date=result.date,
    )


def check_entry(path: Path, suite: Suite) -> Entry:
    """Check that a file is an entry of a suite as it is now: what a pull request is tested by.

    Parameters
    ----------
    path : pathlib.Path
        ``SUITE/MODEL.json``.
    suite : Suite
        Which.

    Returns
    -------
    Entry
        Validated.

    Raises
    ------
    DataError
        If it is no entry.
    ConfigurationError
        If it is of another suite or version, of another name than its file, lacks a set, its
        sets are not the suite's, the model was trained or selected on some of their images, an
        AUC does not lie in its own interval, or one is missing and no problem says why.
    """
    entry = Entry.read(path)
    if (entry.suite, entry.suite_version) != (suite.name, suite.version):
        raise ConfigurationError(
            f"{path}: is of {entry.suite} version {entry.suite_version}, not of {suite.name} "
            f"version {suite.version}: remove it and measure again"
        )
    if entry.suite_hash != suite.content_hash:
        raise ConfigurationError(f"{path}: was measured on other sets than the suite's")
    if entry.model.name != path.stem:
        raise ConfigurationError(f"{path}: is of the model '{entry.model.name}'")
    for name, one in suite.sets.items():
        if name in entry.left_out and one.needs:
            continue
        known = entry.sets.get(name)
        full = one.request.num
        if known is None or (known.uri, known.parameters, known.num) != (
            *(one.uri, one.parameters),
            full,
        ):
            raise ConfigurationError(f"{path}: lacks set '{name}', or has another one")
        if name not in entry.scores:
            raise ConfigurationError(f"{path}: has no score on set '{name}'")
        _check_score(path, name, entry.scores[name])
    return entry


def _check_score(path: Path, name: str, score: Score) -> None:
    if score.overlap:
        raise ConfigurationError(
            f"{path}: the model was trained or selected on {score.overlap} images of set '{name}'"
        )
    if score.auc is None:
        if not score.problem:
            raise ConfigurationError(
                f"{path}: on set '{name}' there is no AUC, and no problem that says why"
            )
        return
    if score.interval is None:
        raise ConfigurationError(f"{path}: on set '{name}' an AUC has no interval: measure again")
    low, high = score.interval
    if not 0 <= low <= score.auc <= high <= 1:
        raise ConfigurationError(
            f"{path}: on set '{name}' an AUC of {score.auc:g} does not lie in its own interval, "
            f"{low:g} to {high:g}"
        )


def check_images(entries: Mapping[Path, Entry]) -> None:
    """Check that entries of a suite were measured on the same images.

    Parameters
    ----------
    entries : mapping of pathlib.Path to Entry
        Of one suite, by file.

    Raises
    ------
    ConfigurationError
        If two of them name other images for a set that both could read.
    """
    known: dict[str, tuple[str, Path]] = {}
    for path, entry in entries.items():
        for name, one in entry.sets.items():
            if not one.images_hash:
                continue
            first, where = known.setdefault(name, (one.images_hash, path))
            if first != one.images_hash:
                raise ConfigurationError(f"{path}: set '{name}' has other images than in {where}")
