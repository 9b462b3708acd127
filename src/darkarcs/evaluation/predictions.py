"""What a model said about each image, in memory and as the CSV file all evaluation starts from."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new

COLUMNS: tuple[str, ...] = ("identity", "group", "name", "label", "split", "model_hash")
LOGIT_PREFIX = "logit_"

# A spreadsheet runs a cell that begins with one of these as a formula (OWASP, "CSV Injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Predictions:
    """The logits of one model for one split.

    Parameters
    ----------
    identities : NDArray of str, shape (N,)
        Hash of each image's decoded pixels; a repeated image repeats its identity.
    groups : NDArray of str, shape (N,)
        What must not be cut by a split; the unit of resampling where groups repeat.
    names : NDArray of str, shape (N,)
        Path of each image inside its data set.
    labels : NDArray of int64, shape (N,), or None
        Index into ``class_names``; None where the truth is unknown.
    logits : NDArray of float64, shape (N, K)
        Before softmax. Single precision is widened, which is exact.
    class_names : tuple of str
        K different names, at least two.
    split : str
        Which part of the data this is, for example ``"test"``.
    model_hash : str
        Hash of the model's weights.

    Raises
    ------
    DataError
        If lengths differ, a logit is not finite or a label is outside the classes.

    Examples
    --------
    >>> p = Predictions(["a", "b"], ["a", "b"], ["x.npy", "y.npy"], [0, 1],
    ...                 [[2.0, 0.0], [0.0, 0.0]], ("no_sub", "sub"), "test", "0f3a")
    >>> p.probabilities.round(3).tolist()
    [[0.881, 0.119], [0.5, 0.5]]
    """

    identities: NDArray[np.str_]
    groups: NDArray[np.str_]
    names: NDArray[np.str_]
    labels: NDArray[np.int64] | None
    logits: NDArray[np.float64]
    class_names: tuple[str, ...]
    split: str
    model_hash: str

    def __post_init__(self) -> None:
        for field in ("identities", "groups", "names"):
            object.__setattr__(self, field, np.asarray(getattr(self, field), dtype=np.str_))
        object.__setattr__(self, "logits", np.asarray(self.logits, dtype=np.float64))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if self.labels is not None:
            object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))
        self._check()

    def _check(self) -> None:
        count, classes = len(self.identities), len(self.class_names)
        if classes < 2 or len(set(self.class_names)) != classes:
            raise DataError(f"predictions need two or more different classes: {self.class_names}")
        if self.logits.shape != (count, classes):
            raise DataError(
                f"predictions: logits have shape {self.logits.shape}, not ({count}, {classes})"
            )
        columns = {"group": self.groups, "name": self.names, "label": self.labels}
        for name, column in columns.items():
            if column is not None and column.shape != (count,):
                raise DataError(f"predictions: {len(column)} {name}s for {count} identities")
        if not np.isfinite(self.logits).all():
            row = int(np.flatnonzero(~np.isfinite(self.logits).all(axis=1))[0])
            raise DataError(f"predictions: a logit of '{self.names[row]}' is not finite")
        if self.labels is not None and ((self.labels < 0) | (self.labels >= classes)).any():
            raise DataError(f"predictions: a label lies outside 0..{classes - 1}")

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, shape (N, K)."""
        probabilities: NDArray[np.float64] = softmax(self.logits, axis=1)
        return probabilities

    def select(self, indices: NDArray[Any]) -> Predictions:
        """Take some rows.

        Parameters
        ----------
        indices : NDArray of int or bool
            Which rows, in which order.

        Returns
        -------
        Predictions
            Those rows.
        """
        return Predictions(
            self.identities[indices],
            self.groups[indices],
            self.names[indices],
            None if self.labels is None else self.labels[indices],
            self.logits[indices],
            self.class_names,
            self.split,
            self.model_hash,
        )


def join_predictions(parts: Sequence[Predictions], split: str = "out_of_fold") -> Predictions:
    """Put the held-out predictions of several folds after one another.

    Parameters
    ----------
    parts : sequence of Predictions
        One a fold, with the same classes and no image in common.
    split : str, default "out_of_fold"
        Name of the whole.

    Returns
    -------
    Predictions
        All rows; the model hash is the folds' hashes joined by ``+``.

    Raises
    ------
    DataError
        If there are no parts, classes differ, some are unlabelled, or an image is in two parts.
    """
    if not parts:
        raise DataError("there are no predictions to join")
    classes = parts[0].class_names
    seen: set[str] = set()
    labels = []
    for part in parts:
        if part.class_names != classes:
            raise DataError(f"cannot join predictions of {classes} and {part.class_names}")
        if part.labels is None:
            raise DataError("cannot join predictions without labels")
        own = set(part.identities.tolist())
        if seen & own:
            raise DataError(f"{len(seen & own)} images are in two of the predictions to join")
        seen |= own
        labels.append(part.labels)
    return Predictions(
        np.concatenate([part.identities for part in parts]),
        np.concatenate([part.groups for part in parts]),
        np.concatenate([part.names for part in parts]),
        np.concatenate(labels),
        np.concatenate([part.logits for part in parts]),
        classes,
        split,
        "+".join(part.model_hash for part in parts),
    )


def _protect(text: str) -> str:
    return f"'{text}" if text.startswith((*_FORMULA_STARTS, "'")) else text


def _expose(text: str) -> str:
    return text[1:] if text.startswith("'") else text


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write the CSV file of a run.

    Labels are written by name, so that the file does not depend on an order of classes. Each
    logit is written with as many digits as give the same number back. Text that a spreadsheet
    would run as a formula is quoted by an apostrophe, which reading removes.

    Parameters
    ----------
    predictions : Predictions
        What to write.
    path : pathlib.Path
        A new file.

    Raises
    ------
    OutputExistsError
        If the file exists.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    # Before Python 3.13 a lone carriage return is not quoted by itself, and reading would fail.
    quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow([*COLUMNS, *(f"{LOGIT_PREFIX}{name}" for name in predictions.class_names)])
    for row in range(len(predictions)):
        labels = predictions.labels
        text = (
            str(predictions.identities[row]),
            str(predictions.groups[row]),
            str(predictions.names[row]),
            "" if labels is None else predictions.class_names[labels[row]],
            predictions.split,
            predictions.model_hash,
        )
        logits = [repr(float(logit)) for logit in predictions.logits[row]]
        chosen = quoting if "\r" in "".join(text) else writer
        chosen.writerow([*map(_protect, text), *logits])
    # A file name that is no valid UTF-8 reaches Python as surrogates; it must come back as it was.
    write_new(Path(path), stream.getvalue().encode("utf-8", "surrogateescape"))


def read_predictions(path: Path) -> Predictions:
    """Read the CSV file of a run.

    Parameters
    ----------
    path : pathlib.Path
        A file that `write_predictions` wrote, or one like it; further columns are ignored.

    Returns
    -------
    Predictions
        The logits are double precision and equal to what was written.

    Raises
    ------
    DataError
        Names the file, the line and what is wrong: a missing column, a logit that is not a
        finite number, a label that is not among the classes, rows of two splits or models.
    """
    path = Path(path)
    header, rows = _read_rows(path)
    if len(set(header)) != len(header):
        repeated = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}: has two columns '{repeated}'")
    logit_columns = [name for name in header if name.startswith(LOGIT_PREFIX)]
    class_names = tuple(name.removeprefix(LOGIT_PREFIX) for name in logit_columns)
    if len(class_names) < 2:
        raise DataError(f"{path}: needs two or more columns named logit_<class>")
    if not rows:
        raise DataError(f"{path}: holds no predictions")
    at = {name: header.index(name) for name in header}
    text = {name: [_expose(cells[at[name]]) for _, cells in rows] for name in COLUMNS}
    logits = np.array(
        [[_logit(path, line, cells[at[c]], c) for c in logit_columns] for line, cells in rows]
    )
    for name in ("split", "model_hash"):
        if len(set(text[name])) > 1:
            raise DataError(f"{path}: holds rows of more than one {name}; evaluate them apart")
    return Predictions(
        np.array(text["identity"]),
        np.array(text["group"]),
        np.array(text["name"]),
        _labels(path, [line for line, _ in rows], text["label"], class_names),
        logits,
        class_names,
        text["split"][0],
        text["model_hash"][0],
    )


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise DataError(
                    f"{path}: has no column '{missing[0]}'; is this a predictions file?"
                )
            rows = []
            for cells in reader:
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: has {len(cells)} cells, the header"
                        f" {len(header)}; the file may be cut short"
                    )
                rows.append((reader.line_num, cells))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except csv.Error as error:
        raise DataError(f"{path}: is not a CSV file ({error})") from None
    return header, rows


def _logit(path: Path, line: int, cell: str, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{path}, line {line}: '{column}' is '{cell[:40]}', not a finite number")
    return value


def _labels(
    path: Path, lines: Sequence[int], names: Sequence[str], class_names: tuple[str, ...]
) -> NDArray[np.int64] | None:
    empty = [line for line, name in zip(lines, names, strict=True) if name == ""]
    if len(empty) == len(lines):
        return None
    if empty:
        raise DataError(
            f"{path}, line {empty[0]}: has no label while other rows have one"
            f" ({len(empty)} of {len(lines)} are without)"
        )
    index = {name: position for position, name in enumerate(class_names)}
    for line, name in zip(lines, names, strict=True):
        if name not in index:
            known = ", ".join(class_names)
            raise DataError(f"{path}, line {line}: label '{name[:40]}' is none of {known}")
    return np.array([index[name] for name in names], dtype=np.int64)
