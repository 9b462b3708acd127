"""What a card says of measured results: classes told apart, and substructure measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkarcs.errors import DataError
from darkarcs.evaluation.measurement_cells import map_cells, number_cells
from darkarcs.evaluation.results import Result, read_result
from darkarcs.evaluation.tables import Cells, format_with_interval


@dataclass(frozen=True)
class Measured:
    """A result file.

    Attributes
    ----------
    model_hash : str
        Of the model that was measured, with its head's where that measured; empty if the file does
        not tell.
    command : str
        That measured.
    evaluation : Result or None
        Of ``darkarcs evaluate``.
    measurement : dict or None
        Of ``darkarcs measure``.
    """

    model_hash: str
    command: str
    evaluation: Result | None = None
    measurement: dict[str, Any] | None = None


def read_measured(path: Path) -> Measured:
    """Read a result file of ``evaluate`` or of ``measure``.

    Parameters
    ----------
    path : pathlib.Path
        Below ``results``.

    Returns
    -------
    Measured
        Of either kind.

    Raises
    ------
    DataError
        If it is neither.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None  # told below, by the reader of results
    if isinstance(content, dict) and {"numbers", "map", "model_hash"} <= set(content):
        try:
            number_cells(content), map_cells(content)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: is no report of darkarcs measure ({error!r})") from None
        command = str(content.get("command", ""))
        return Measured(str(content["model_hash"]), command, measurement=content)
    result = read_result(path)
    found = result.model_hash or str(result.evaluation.get("model_hash", ""))
    return Measured(found, result.command, evaluation=result)


def results_section(measured: Sequence[Measured]) -> str:
    """Write the section of results.

    Parameters
    ----------
    measured : sequence of Measured
        Of this model.

    Returns
    -------
    str
        Markdown: tables, and the commands that measured.
    """
    if not measured:
        return "Not yet evaluated: nothing is claimed."
    parts = []
    evaluations = [one.evaluation for one in measured if one.evaluation is not None]
    if evaluations:
        parts.append(_table(_evaluation_cells(evaluations)))
    for one in measured:
        if one.measurement is not None:
            tables = (number_cells(one.measurement), map_cells(one.measurement))
            parts += [_table(cells) for cells in tables if cells[1]]
    commands = "\n".join(dict.fromkeys(one.command for one in measured))
    parts.append(f"Measured on the stored file, by\n\n```shell\n{commands}\n```")
    return "\n\n".join(parts)


def _evaluation_cells(results: Sequence[Result]) -> Cells:
    header = (
        *("data", "split", "images", "AUC [95 %]", "accuracy", "calibration error"),
        "selected by",
    )
    rows: list[tuple[str, ...]] = []
    for result in results:
        evaluation = result.evaluation
        area = evaluation["auc"]
        calibration = evaluation.get("calibration", {}).get("ece")
        rows.append(
            (
                result.data,
                result.split,
                f"{evaluation['n']:,}",
                format_with_interval(area["macro"], area["interval"]),
                f"{evaluation['accuracy']:.4f}",
                "" if calibration is None else f"{calibration:.4f}",
                result.selection,
            )
        )
    return header, rows


def _table(cells: Cells) -> str:
    header, rows = cells
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)
