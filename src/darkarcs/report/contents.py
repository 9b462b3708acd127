"""What a report is made of: the files of a run's folder, each of which may be missing.

=================== =======================================================================
file                content
=================== =======================================================================
``evaluation.json`` `darkarcs.evaluation.evaluate_predictions`, beside it any provenance:
                    ``model``, ``command``, ``version``, ``data``, ``machine``, ``training``
``predictions.csv`` `darkarcs.evaluation.write_predictions`
``history.csv``     a line an epoch: ``images_seen`` (or ``step``, or ``epoch``) and any of
                    ``train_loss``, ``validation_loss``, ``validation_auc``
``examples.npz``    `darkarcs.evaluation.examples.write_examples`
=================== =======================================================================
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import DataError
from darkarcs.evaluation import Predictions, evaluate_predictions, read_predictions
from darkarcs.evaluation.examples import EXAMPLES_FILE, Examples, read_examples

EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.csv"
HISTORY_FILE = "history.csv"

#: What the horizontal axis of a learning curve may be, the most telling first.
HISTORY_AXES: tuple[str, ...] = ("images_seen", "step", "epoch")


@dataclass(frozen=True)
class RunContents:
    """The parts of one run that are there.

    Parameters
    ----------
    name : str
        Of the run, for headings and links.
    evaluation : dict or None
        Content of ``evaluation.json``, or made from the predictions.
    predictions : Predictions or None
        Content of ``predictions.csv``.
    history : dict of str to NDArray of float64, or None
        Columns of ``history.csv``; a missing cell is NaN.
    examples : Examples or None
        Content of ``examples.npz``.
    """

    name: str
    evaluation: dict[str, Any] | None
    predictions: Predictions | None
    history: dict[str, NDArray[np.float64]] | None
    examples: Examples | None


def find_runs(directory: Path) -> list[Path]:
    """Find the folders of runs.

    Parameters
    ----------
    directory : pathlib.Path
        The folder of one run, or a folder that holds such folders at any depth.

    Returns
    -------
    list of pathlib.Path
        ``directory`` itself if it was evaluated, else all folders below it that were, else
        ``directory`` if it has a learning curve.

    Raises
    ------
    DataError
        If there is nothing to report.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory}: is not a folder; give the --out of 'darkarcs evaluate'")
    if _is_evaluated(directory):
        return [directory]
    below = sorted(path for path in directory.rglob("*") if path.is_dir() and _is_evaluated(path))
    if below:
        return below
    if (directory / HISTORY_FILE).is_file():
        return [directory]
    raise DataError(
        f"{directory}: holds neither {EVALUATION_FILE} nor {PREDICTIONS_FILE} nor {HISTORY_FILE};"
        " give the --out of 'darkarcs evaluate' or of 'darkarcs train'"
    )


def _is_evaluated(directory: Path) -> bool:
    return any((directory / name).is_file() for name in (EVALUATION_FILE, PREDICTIONS_FILE))


def read_run(directory: Path, name: str) -> RunContents:
    """Read what is there of a run.

    Parameters
    ----------
    directory : pathlib.Path
        From `find_runs`.
    name : str
        How to call the run.

    Returns
    -------
    RunContents
        Missing parts are None. Without ``evaluation.json``, labelled predictions are evaluated.

    Raises
    ------
    DataError
        If a part is there but damaged; it is named.
    """
    directory = Path(directory)
    parts = {
        part: directory / file
        for part, file in (
            ("evaluation", EVALUATION_FILE),
            ("predictions", PREDICTIONS_FILE),
            ("history", HISTORY_FILE),
            ("examples", EXAMPLES_FILE),
        )
        if (directory / file).is_file()
    }
    predictions = read_predictions(parts["predictions"]) if "predictions" in parts else None
    if "evaluation" in parts:
        evaluation: dict[str, Any] | None = _read_evaluation(parts["evaluation"])
    elif predictions is not None and predictions.labels is not None:
        evaluation = evaluate_predictions(predictions)
    else:
        evaluation = None
    return RunContents(
        name,
        evaluation,
        predictions,
        read_history(parts["history"]) if "history" in parts else None,
        read_examples(parts["examples"]) if "examples" in parts else None,
    )


def _read_evaluation(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise DataError(f"{path}: is not valid JSON; it may be cut short") from None
    needed = {"auc", "accuracy", "n", "classes", "confusion", "calibration", "thresholds"}
    missing = needed - set(content) if isinstance(content, dict) else needed
    if missing:
        raise DataError(f"{path}: is no evaluation: it has no '{sorted(missing)[0]}'")
    return dict(content)


def read_history(path: Path) -> dict[str, NDArray[np.float64]] | None:
    """Read the columns of a learning curve.

    Parameters
    ----------
    path : pathlib.Path
        A CSV file with a header; columns that are not numbers are left out.

    Returns
    -------
    dict of str to NDArray of float64, or None
        None if there is no line yet.

    Raises
    ------
    DataError
        If it is not a CSV file, or none of `HISTORY_AXES` is among its columns.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError):
        raise DataError(f"{path}: is not a CSV file") from None
    if not rows:
        return None
    columns = {
        name: np.array([_number(row[name]) for row in rows], dtype=np.float64)
        for name in rows[0]
        if name is not None
    }
    columns = {name: column for name, column in columns.items() if np.isfinite(column).any()}
    if not set(HISTORY_AXES) & set(columns):
        raise DataError(f"{path}: has none of the columns {', '.join(HISTORY_AXES)}")
    return columns


def _number(cell: str | None) -> float:
    try:
        return float(cell) if cell else float("nan")
    except ValueError:
        return float("nan")
