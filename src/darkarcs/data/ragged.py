"""Lists of different lengths beside images: the subhalos of each lens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import DataError


@dataclass(frozen=True, eq=False)
class RaggedTable:
    """One list of rows for each of N images.

    Attributes
    ----------
    columns : dict of str to ndarray, each of shape (M,)
        All rows, image after image.
    offsets : ndarray of int64, shape (N + 1,)
        The rows of image i are those from ``offsets[i]`` up to ``offsets[i + 1]``.

    Raises
    ------
    DataError
        If columns and offsets do not fit.

    Examples
    --------
    >>> table = RaggedTable({"mass": np.array([1.0, 2.0, 3.0])}, np.array([0, 2, 2, 3]))
    >>> len(table), table[0]["mass"].tolist(), table[1]["mass"].tolist()
    (3, [1.0, 2.0], [])
    """

    columns: dict[str, NDArray[Any]]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        rows = int(self.offsets[-1]) if len(self.offsets) else -1
        ordered = bool((np.diff(self.offsets) >= 0).all()) and len(self.offsets) > 0
        if not ordered or self.offsets[0] != 0:
            raise DataError("offsets of a ragged table must start at 0 and never fall")
        for name, values in self.columns.items():
            if values.shape != (rows,):
                raise DataError(f"ragged column '{name}' has shape {values.shape}, not ({rows},)")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        """Give the rows of one image; negative positions count from the end."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return {name: values[rows] for name, values in self.columns.items()}

    def select(self, indices: NDArray[np.int64]) -> RaggedTable:
        """Take the lists of some images.

        Parameters
        ----------
        indices : ndarray of int64
            Which images.

        Returns
        -------
        RaggedTable
            In the order asked for.
        """
        lengths = np.diff(self.offsets)[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        starts = np.repeat(self.offsets[:-1][indices] - offsets[:-1], lengths)
        rows = starts + np.arange(int(offsets[-1]))
        return RaggedTable({name: values[rows] for name, values in self.columns.items()}, offsets)


def from_padded(columns: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> RaggedTable:
    """Drop the padding of rectangular columns.

    Parameters
    ----------
    columns : mapping of str to ndarray, each of shape (N, S)
        With padding.
    present : ndarray of bool, shape (N, S)
        False where there is padding.

    Returns
    -------
    RaggedTable
        Of N images.

    Examples
    --------
    >>> mass = np.array([[3.0, 0.0], [1.0, 2.0]])
    >>> from_padded({"mass": mass}, mass > 0).columns["mass"].tolist()
    [3.0, 1.0, 2.0]
    """
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int64)
    return RaggedTable({name: values[present] for name, values in columns.items()}, offsets)


def concatenate(tables: Sequence[RaggedTable]) -> RaggedTable:
    """Put the lists of several batches of images one after the other.

    Parameters
    ----------
    tables : sequence of RaggedTable
        At least one, all with the same columns.

    Returns
    -------
    RaggedTable
        Of all images.
    """
    names = list(tables[0].columns)
    columns = {name: np.concatenate([table.columns[name] for table in tables]) for name in names}
    lengths = np.concatenate([np.diff(table.offsets) for table in tables])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return RaggedTable(columns, offsets)
