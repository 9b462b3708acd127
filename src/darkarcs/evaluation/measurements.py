"""Files of measurements: a table of numbers with their intervals, and maps beside it.

All evaluation of measurements starts from these files, as that of classes does from predictions.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new

Floats = NDArray[np.float64]

_FIXED = ("identity", "group", "name", "class")


@dataclass(frozen=True)
class MeasuredNumber:
    """One number of each lens, as a model measured it.

    Attributes
    ----------
    transform : str
        What was done to it: ``"log10"`` or ``"none"``; all figures are of the transformed number.
    truth : ndarray, shape (N,)
        NaN where unknown.
    median : ndarray, shape (N,)
        What is measured.
    lower, upper : ndarray, shape (N, L)
        Calibrated bounds.
    levels : tuple of float, length L
        Of the intervals.
    """

    transform: str
    truth: Floats
    median: Floats
    lower: Floats
    upper: Floats
    levels: tuple[float, ...]


@dataclass(frozen=True)
class Measurements:
    """What was measured of a set of lenses.

    Attributes
    ----------
    identities, groups, names, classes : ndarray of str, shape (N,)
        As in the metadata; the class's name, empty where unknown.
    numbers : dict of str to MeasuredNumber
        By column.
    split : str
        Which part of the data this is.
    model_hash : str
        Of the weights of backbone and head.
    """

    identities: NDArray[np.str_]
    groups: NDArray[np.str_]
    names: NDArray[np.str_]
    classes: NDArray[np.str_]
    numbers: dict[str, MeasuredNumber] = field(default_factory=dict)
    split: str = "all"
    model_hash: str = ""

    def __len__(self) -> int:
        return len(self.identities)


def write_measurements(measurements: Measurements, path: Path) -> Path:
    """Write measurements as CSV, numbers to nine digits.

    Parameters
    ----------
    measurements : Measurements
        The table.
    path : pathlib.Path
        A new file.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    OutputExistsError
        If it is there already.
    """
    columns: dict[str, NDArray[np.generic]] = {
        "identity": measurements.identities,
        "group": measurements.groups,
        "name": measurements.names,
        "class": measurements.classes,
    }
    for name, number in measurements.numbers.items():
        shown = f"log10({name})" if number.transform == "log10" else name
        columns |= {f"{shown}:truth": number.truth, f"{shown}:median": number.median}
        for index, level in enumerate(number.levels):
            columns[f"{shown}:lower_{level:g}"] = number.lower[:, index]
            columns[f"{shown}:upper_{level:g}"] = number.upper[:, index]
    stream = io.StringIO()
    stream.write(f"# split={measurements.split} model={measurements.model_hash}\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    write_new(Path(path), stream.getvalue().encode())
    return Path(path)


def read_measurements(path: Path) -> Measurements:
    """Read what `write_measurements` wrote.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    Measurements
        The table.

    Raises
    ------
    DataError
        If it is no such table.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    first, _, rest = text.partition("\n")
    notes = dict(part.partition("=")[::2] for part in first.removeprefix("# ").split(" "))
    rows = list(csv.reader(io.StringIO(rest)))
    if not first.startswith("# split=") or not rows or tuple(rows[0][:4]) != _FIXED:
        raise DataError(f"{path}: is no table of measurements")
    header, body = rows[0], rows[1:]
    if any(len(row) != len(header) for row in body):
        raise DataError(f"{path}: a line is cut short")
    columns = {name: [row[index] for row in body] for index, name in enumerate(header)}
    try:
        numbers = _numbers({name: columns[name] for name in header[4:]})
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error})") from None
    identities, groups, names, classes = (np.array(columns[name], dtype=np.str_) for name in _FIXED)
    return Measurements(
        identities, groups, names, classes, numbers, notes["split"], notes.get("model", "")
    )


def _numbers(columns: Mapping[str, list[str]]) -> dict[str, MeasuredNumber]:
    numbers = {}
    for shown in dict.fromkeys(name.rpartition(":")[0] for name in columns):
        values = {
            name.rpartition(":")[2]: np.array([float(cell or "nan") for cell in cells])
            for name, cells in columns.items()
            if name.rpartition(":")[0] == shown
        }
        levels = [name.removeprefix("lower_") for name in values if name.startswith("lower_")]
        is_log = shown.startswith("log10(")
        name = shown.removeprefix("log10(").removesuffix(")") if is_log else shown
        numbers[name] = MeasuredNumber(
            transform="log10" if is_log else "none",
            truth=values["truth"],
            median=values["median"],
            lower=np.stack([values[f"lower_{level}"] for level in levels], axis=1),
            upper=np.stack([values[f"upper_{level}"] for level in levels], axis=1),
            levels=tuple(float(level) for level in levels),
        )
    return numbers


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.9g}"
    return str(value)
