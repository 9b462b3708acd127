"""Named columns of numbers, one row an image, and the families that make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import DataError

Images = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of images.

    Parameters
    ----------
    names : tuple of str
        What each column is, in words that a report prints.
    values : NDArray of float64, shape (N, F)
        NaN where an image has no value.

    Raises
    ------
    DataError
        If names and columns differ in number.

    Examples
    --------
    >>> table = FeatureTable(("flux", "peak"), np.array([[4.0, 2.0], [9.0, 3.0]]))
    >>> len(table), table.varies()
    (2, True)
    """

    names: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise DataError(f"{len(self.names)} features in an array of {self.values.shape}")

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def varies(self) -> bool:
        """Tell whether any column has two values.

        Returns
        -------
        bool
            False where nothing can be learned from the table.
        """
        first = self.values[:1]
        same = (self.values == first) | (np.isnan(self.values) & np.isnan(first))
        return not bool(same.all())


def join_columns(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Set tables of the same images side by side.

    Parameters
    ----------
    tables : sequence of FeatureTable
        One or more, of equal length.

    Returns
    -------
    FeatureTable
        All columns, in order.
    """
    names = tuple(name for table in tables for name in table.names)
    return FeatureTable(names, np.concatenate([table.values for table in tables], axis=1))


def join_rows(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Set tables of the same columns below each other.

    Parameters
    ----------
    tables : sequence of FeatureTable
        One or more, with equal names.

    Returns
    -------
    FeatureTable
        All rows, in order.
    """
    return FeatureTable(tables[0].names, np.concatenate([table.values for table in tables]))


@dataclass(frozen=True)
class Family:
    """Plain features that belong together and are judged together.

    Parameters
    ----------
    name : str
        As the table prints it.
    kind : {"content", "artefact"}
        Whether the sky may have a say in it. Content (light) may differ between classes for
        physical reasons; an artefact (noise, files) may not.
    meaning : str
        What is measured, in one line.
    measure : callable
        From images, shape (N, C, H, W), to a table of N rows; each image by itself.
    """

    name: str
    kind: Literal["content", "artefact"]
    meaning: str
    measure: Callable[[Images], FeatureTable]


def by_channel(
    images: Images, names: Sequence[str], columns: Callable[[Images], Floats]
) -> FeatureTable:
    """Measure each channel by itself.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images.
    names : sequence of str
        Of the columns of one channel; with several channels each gets its number.
    columns : callable
        From one channel, shape (N, H, W), to its columns, shape (N, F).

    Returns
    -------
    FeatureTable
        C times F columns.
    """
    channels = images.shape[1]
    suffixes = [""] if channels == 1 else [f", channel {index}" for index in range(channels)]
    return FeatureTable(
        tuple(f"{name}{suffix}" for suffix in suffixes for name in names),
        np.concatenate([columns(images[:, index]) for index in range(channels)], axis=1),
    )
