"""The images beside a result: confident mistakes, doubtful ones and some that are right."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import DataError
from darkarcs.evaluation.evaluate import require_labels
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.predictions import Predictions

#: Name of the file in a folder that `darkarcs evaluate` wrote.
EXAMPLES_FILE = "examples.npz"

#: Kinds of example, in the order in which a page shows them.
KINDS: tuple[str, ...] = ("mistake", "doubtful", "right")


@dataclass(frozen=True)
class Examples:
    """Images chosen for a report.

    Parameters
    ----------
    images : NDArray of float32, shape (M, C, H, W)
        As the model saw them, or as they were read.
    attention : NDArray of float32, shape (M, g, g), or None
        Attention of the class token to each patch; None for a model without attention.
    identity, name : NDArray of str, shape (M,)
        Which images.
    label, predicted : NDArray of str, shape (M,)
        Names of the true class and of the class called.
    probability : NDArray of float64, shape (M,)
        Given to the class called.
    kind : NDArray of str, shape (M,)
        One of `KINDS`.

    Raises
    ------
    DataError
        If lengths or shapes do not belong together.
    """

    images: NDArray[np.float32]
    attention: NDArray[np.float32] | None
    identity: NDArray[np.str_]
    name: NDArray[np.str_]
    label: NDArray[np.str_]
    predicted: NDArray[np.str_]
    probability: NDArray[np.float64]
    kind: NDArray[np.str_]

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.images.ndim != 4:
            raise DataError(f"examples: images have shape {self.images.shape}, not (M, C, H, W)")
        if self.attention is not None and (
            self.attention.ndim != 3 or len(self.attention) != count
        ):
            raise DataError(f"examples: attention has shape {self.attention.shape}, not (M, g, g)")
        for field in ("identity", "name", "label", "predicted", "probability", "kind"):
            if getattr(self, field).shape != (count,):
                raise DataError(f"examples: '{field}' has not one value an image")
        unknown = set(self.kind.tolist()) - set(KINDS)
        if unknown:
            raise DataError(f"examples: kind '{sorted(unknown)[0]}' is none of {', '.join(KINDS)}")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Choice:
    """Why an image is shown.

    Parameters
    ----------
    index : int
        Row of the predictions.
    kind : str
        One of `KINDS`.
    """

    index: int
    kind: str


def choose_examples(
    predictions: Predictions, *, mistakes: int = 12, doubtful: int = 4, right: int = 8
) -> list[Choice]:
    """Choose which images a report shows, without looking at any image.

    Parameters
    ----------
    predictions : Predictions
        Labelled.
    mistakes : int, default 12
        At most so many wrongly called, the most confident first.
    doubtful : int, default 4
        Rightly called with the least confidence.
    right : int, default 8
        Rightly called; the median confidence of each class, in turn, so that they are typical.

    Returns
    -------
    list of Choice
        In the order of `KINDS`; equal predictions give equal choices.
    """
    labels = require_labels(predictions)
    # The margin orders what probabilities, rounded to 1, would leave tied.
    ordered = np.sort(predictions.logits, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    called = predictions.logits.argmax(axis=1)
    by_margin = np.argsort(margin, kind="stable")
    is_wrong = called[by_margin] != labels[by_margin]
    wrong, correct = by_margin[is_wrong][::-1][:mistakes], by_margin[~is_wrong]
    unsure, rest = correct[:doubtful], correct[doubtful:]
    present = [k for k in range(len(predictions.class_names)) if (labels[rest] == k).any()]
    typical: list[int] = []
    for place, k in enumerate(present):
        share = right // len(present) + (place < right % len(present))
        own = rest[labels[rest] == k]
        start = max(0, (len(own) - share) // 2)
        typical.extend(own[start : start + share].tolist())
    chosen = zip(KINDS, (wrong.tolist(), unsure.tolist(), typical), strict=True)
    return [Choice(index, kind) for kind, indices in chosen for index in indices]


def write_examples(
    path: Path,
    predictions: Predictions,
    choices: Sequence[Choice],
    images: NDArray[np.float32],
    attention: NDArray[np.float32] | None = None,
) -> None:
    """Write the chosen images, and what was predicted of them, without pickles.

    Parameters
    ----------
    path : pathlib.Path
        A new file; the report looks for `EXAMPLES_FILE`.
    predictions : Predictions
        Labelled.
    choices : sequence of Choice
        From `choose_examples`.
    images : NDArray of float32, shape (M, C, H, W)
        Of those rows, in that order.
    attention : NDArray of float32, shape (M, g, g), optional
        Of those rows, for example from `darkarcs.explain.attention.class_attention`.

    Raises
    ------
    OutputExistsError
        If the file exists.
    DataError
        If shapes do not belong together.
    """
    labels = require_labels(predictions)
    rows = np.array([choice.index for choice in choices], dtype=np.int64)
    names = np.array(predictions.class_names)
    called = predictions.logits[rows].argmax(axis=1)
    examples = Examples(
        np.asarray(images, dtype=np.float32),
        None if attention is None else np.asarray(attention, dtype=np.float32),
        predictions.identities[rows],
        predictions.names[rows],
        names[labels[rows]],
        names[called],
        predictions.probabilities[rows, called],
        np.array([choice.kind for choice in choices], dtype=np.str_),
    )
    arrays = {name: value for name, value in vars(examples).items() if value is not None}
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    write_new(Path(path), stream.getvalue())


def read_examples(path: Path) -> Examples:
    """Read what `write_examples` wrote.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    Examples
        Checked.

    Raises
    ------
    DataError
        If it is missing, damaged, lacks an array, or holds a pickle.
    """
    path = Path(path)
    fields: Sequence[str] = list(Examples.__dataclass_fields__)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in fields if name in archive.files}
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is no examples file ({error})") from None
    missing = [name for name in fields if name not in arrays and name != "attention"]
    if missing:
        raise DataError(f"{path}: is no examples file: it has no array '{missing[0]}'")
    return Examples(**({"attention": None} | arrays))
