"""Result files: one JSON a run, strict, written once; and the log of every look at a test split."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.provenance import (
    command_line,
    describe_machine,
    git_commit,
    package_version,
)

TEST_LOG_COLUMNS: tuple[str, ...] = (
    "date",
    "model",
    "model_hash",
    "data_hash",
    "split",
    "n",
    "auc_macro",
    "command",
)


class LearningPoint(BaseModel):
    """One point of a learning curve.

    Parameters
    ----------
    images_seen : int
        Training images shown to the model so far, repeats counted.
    token_forwards : int, optional
        Tokens that passed through the model so far.
    train_loss, validation_loss, validation_auc : float, optional
        What was measured there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    images_seen: int = Field(ge=0)
    token_forwards: int | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    validation_auc: float | None = None


class Result(BaseModel):
    """What one run measured, on what, and how it can be run again.

    Parameters
    ----------
    schema_version : int
        Version of this layout.
    name : str
        Name of the file, without suffix: letters, digits, ``.``, ``_`` and ``-``.
    tables : tuple of str
        In which generated tables this result has a row.
    model : str
        Registered name, or ``zoo`` name.
    parameters : int, optional
        Number of the model's parameters.
    evaluation : dict
        From `evaluate_predictions`.
    data : str
        What the images are, in words, without a path of a machine.
    data_hash : str
        Content hash of the data set.
    split : str
        Evaluated part: ``"test"``, ``"out_of_fold"``.
    selection : str
        What chose the model and the settings, so that one can see what did not.
    command : str
        What to type to get this again.
    configuration : dict
        The resolved recipe.
    seed : int, optional
        Root seed.
    images_seen, token_forwards : int, optional
        Spent on training.
    wall_time_seconds : float, optional
        Of training.
    learning_curve : tuple of LearningPoint
        Possibly empty.
    converged : bool, optional
        Whether the validation AUC had stopped rising before the budget ended; None if unknown.
    model_hash : str
        Hash of the evaluated weights.
    machine : dict
        From `describe_machine`.
    version : str
        Of darkarcs.
    git_commit : str, optional
        Of the source tree.
    date : str
        UTC, ISO 8601.
    notes : str
        Anything a reader must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    tables: tuple[str, ...] = ()
    model: str
    parameters: int | None = None
    evaluation: dict[str, Any]
    data: str
    data_hash: str
    split: str
    selection: str
    command: str = Field(default_factory=command_line)
    configuration: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    images_seen: int | None = Field(default=None, ge=0)
    token_forwards: int | None = Field(default=None, ge=0)
    wall_time_seconds: float | None = Field(default=None, ge=0)
    learning_curve: tuple[LearningPoint, ...] = ()
    converged: bool | None = None
    model_hash: str = ""
    machine: dict[str, str | int] = Field(default_factory=describe_machine)
    version: str = Field(default_factory=package_version)
    git_commit: str | None = Field(default_factory=git_commit)
    date: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    notes: str = ""

    @field_validator("evaluation")
    @classmethod
    def _has_what_tables_show(cls, value: dict[str, Any]) -> dict[str, Any]:
        area = value.get("auc")
        missing = [key for key in ("n", "accuracy") if key not in value]
        if not isinstance(area, dict) or not {"macro", "interval"} <= set(area):
            missing.append("auc.macro, auc.interval")
        if missing:
            raise ValueError(f"has no {', '.join(missing)}; use evaluate_predictions")
        return value


def write_result(result: Result, folder: Path) -> Path:
    """Write a result under its name.

    Parameters
    ----------
    result : Result
        What was measured.
    folder : pathlib.Path
        Usually ``results``.

    Returns
    -------
    pathlib.Path
        The new file, ``<name>.json``.

    Raises
    ------
    OutputExistsError
        If a result of that name exists.
    """
    path = Path(folder) / f"{result.name}.json"
    text = json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    write_new(path, f"{text}\n".encode())
    return path


def read_result(path: Path) -> Result:
    """Read one result file.

    Parameters
    ----------
    path : pathlib.Path
        A file that `write_result` wrote.

    Returns
    -------
    Result
        Validated.

    Raises
    ------
    DataError
        If it is missing, not JSON, or not a result of this schema.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise DataError(f"{path}: is not valid JSON; it may be cut short") from None
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: is no result file: '{key}': {first['msg']}") from None


def read_results(folder: Path) -> list[Result]:
    """Read all results of a folder, without its sub-folders.

    Parameters
    ----------
    folder : pathlib.Path
        Usually ``results``.

    Returns
    -------
    list of Result
        Sorted by name.

    Raises
    ------
    DataError
        If the folder is missing or any JSON file in it is no result.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder of results")
    return [read_result(path) for path in sorted(folder.glob("*.json"))]


def append_test_log(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line to the log of evaluations of a test split; nothing is ever taken out.

    Parameters
    ----------
    path : pathlib.Path
        Usually ``results/test_log.csv``; made with its header if it is missing.
    row : mapping
        The values of `TEST_LOG_COLUMNS`; ``date`` (UTC) and ``command`` may be left out.

    Raises
    ------
    DataError
        If a value is missing or unknown, or the file has another header.
    """
    path = Path(path)
    full = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        **row,
    }
    wrong = set(full) ^ set(TEST_LOG_COLUMNS)
    if wrong:
        raise DataError(f"test log: missing or unknown: {', '.join(sorted(wrong))}")
    header = _csv_line(TEST_LOG_COLUMNS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size == 0:
            _append(path, header)
        with path.open(encoding="utf-8", newline="") as stream:
            if stream.readline() != header:
                raise DataError(f"{path}: has another header; it is no test log")
        _append(path, _csv_line([_one_line(full[name]) for name in TEST_LOG_COLUMNS]))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def _csv_line(cells: Any) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def _one_line(value: Any) -> str:
    text = " ".join(str(value).split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _append(path: Path, line: str) -> None:
    # One write to a file opened for appending: lines of two processes do not mix.
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, line.encode("utf-8", "surrogateescape"))
    finally:
        os.close(handle)
