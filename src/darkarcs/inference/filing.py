"""Where a measured figure is kept: a result file, and a line in the log of test evaluations."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkarcs.evaluation import Predictions
from darkarcs.evaluation.results import LearningPoint, Result, append_test_log, write_result
from darkarcs.model_folder import ModelDescription

TEST_LOG = "test_log.csv"
SELECTION = "validation split of the training data"


@dataclass(frozen=True)
class Filing:
    """How a result is to be kept.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of result files and of ``test_log.csv``.
    name : str, optional
        Name of the result file; the model's by default.
    tables : tuple of str
        Generated tables in which the result has a row.
    notes : str
        Anything a reader must know.
    """

    folder: Path
    name: str | None = None
    tables: tuple[str, ...] = ()
    notes: str = ""


def file_result(
    filing: Filing,
    evaluation: dict[str, Any],
    predictions: Predictions,
    models: Sequence[ModelDescription],
) -> Path:
    """Write a result file and, unless the split is one that training used, a log line.

    Parameters
    ----------
    filing : Filing
        Where, under which name.
    evaluation : dict
        From `darkarcs.evaluation.evaluate_predictions`.
    predictions : Predictions
        What was evaluated.
    models : sequence of ModelDescription
        The evaluated model, or one a fold; their costs are added up.

    Returns
    -------
    pathlib.Path
        The result file.

    Raises
    ------
    OutputExistsError
        If there is a result of that name already; the log keeps the evaluation all the same.
    """
    first, provenance = models[0], [model.provenance for model in models]
    name = filing.name or first.name
    log = filing.folder / TEST_LOG
    earlier = _earlier(log, name, evaluation["images_hash"], predictions.model_hash)
    selection = SELECTION
    if earlier:
        shown = ", ".join(f"{float(area):.5f}" for area in earlier)
        selection += (
            f"; {len(earlier)} earlier models of this name were evaluated on these test images "
            f"(AUC {shown}; see {TEST_LOG})"
        )
    data_hash = str(first.data.get("content_hash", ""))
    log_evaluation(log, name, evaluation, predictions)
    keys = tuple(LearningPoint.model_fields)
    training = provenance[0]
    return write_result(
        Result(
            name=name,
            tables=filing.tables,
            model=first.architecture.name,
            parameters=training.get("num_parameters"),
            evaluation=evaluation,
            data=f"{first.task}, {len(predictions)} images",
            data_hash=data_hash,
            split=predictions.split,
            selection=selection,
            configuration={**training.get("recipe", {}), "command": training.get("command")},
            seed=training.get("seed"),
            images_seen=sum(p.get("images_seen", 0) for p in provenance),
            token_forwards=sum(p.get("token_forwards", 0) for p in provenance),
            wall_time_seconds=sum(p.get("wall_time", 0.0) for p in provenance),
            learning_curve=tuple(
                LearningPoint(**{key: row[key] for key in keys if key in row})
                for row in training.get("learning_curve", [])
            ),
            converged=all(p.get("converged", True) for p in provenance),
            model_hash=predictions.model_hash,
            notes=filing.notes,
        ),
        filing.folder,
    )


def log_evaluation(
    log: Path, name: str, evaluation: dict[str, Any], predictions: Predictions
) -> None:
    """Add a line to the log of test evaluations, unless training used the split.

    Parameters
    ----------
    log : pathlib.Path
        The log; made if it is not there.
    name : str
        What the model is called.
    evaluation : dict
        From `darkarcs.evaluation.evaluate_predictions`.
    predictions : Predictions
        What was evaluated.
    """
    if predictions.split in ("train", "validation"):
        return
    append_test_log(
        log,
        {
            "model": name,
            "model_hash": predictions.model_hash,
            "data_hash": evaluation["images_hash"],
            "split": predictions.split,
            "n": len(predictions),
            "auc_macro": evaluation["auc"]["macro"],
        },
    )


def _earlier(log: Path, name: str, images_hash: str, model_hash: str) -> list[str]:
    """Find the AUCs of other models of this name on these images: looks at a test split."""
    if not log.is_file():
        return []
    with log.open(newline="", encoding="utf-8") as file:
        return [
            row["auc_macro"]
            for row in csv.DictReader(file)
            if row["model"] == name
            and row["data_hash"] == images_hash
            and row["model_hash"] != model_hash
        ]
