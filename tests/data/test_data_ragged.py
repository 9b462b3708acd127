"""Lists of different lengths beside images: choosing, joining, and bad tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkarcs import data
from darkarcs.data.ragged import RaggedTable, concatenate, from_padded
from darkarcs.errors import DataError

rows = st.lists(st.lists(st.integers(0, 99), max_size=4), max_size=6)


def table_of(lists: list[list[int]]) -> RaggedTable:
    flat = np.array([value for row in lists for value in row], dtype=np.float64)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    return RaggedTable({"mass": flat, "half": flat / 2}, offsets)


def lists_of(table: RaggedTable, name: str = "mass") -> list[list[float]]:
    return [table[i][name].tolist() for i in range(len(table))]


@given(lists=rows, seed=st.integers(0, 99))
def test_select_takes_the_rows_of_the_images(lists: list[list[int]], seed: int) -> None:
    table = table_of(lists)
    assert len(table) == len(lists)
    assert lists_of(table) == lists
    indices = np.random.default_rng(seed).integers(0, max(len(lists), 1), 5 if lists else 0)
    chosen = table.select(indices)
    assert lists_of(chosen) == [lists[i] for i in indices]
    assert lists_of(chosen, "half") == [[v / 2 for v in lists[i]] for i in indices]
    assert chosen.offsets.dtype == np.int64


@given(one=rows, other=rows)
def test_joining_puts_images_one_after_the_other(
    one: list[list[int]], other: list[list[int]]
) -> None:
    assert lists_of(concatenate([table_of(one), table_of(other)])) == one + other


def test_padding_is_dropped() -> None:
    mass = np.array([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 5.0]])
    table = from_padded({"mass": mass, "x": -mass}, mass > 0)
    assert lists_of(table) == [[3.0, 1.0], [], [1.0, 2.0, 5.0]]
    assert lists_of(table, "x") == [[-3.0, -1.0], [], [-1.0, -2.0, -5.0]]


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2, 1, 3], [0, 2], [0, 4]])
def test_offsets_that_do_not_fit_are_refused(offsets: list[int]) -> None:
    with pytest.raises(DataError, match="ragged"):
        RaggedTable({"mass": np.ones(3)}, np.array(offsets, dtype=np.int64))


def test_a_column_of_two_dimensions_is_refused() -> None:
    with pytest.raises(DataError, match="'x'"):
        RaggedTable({"x": np.ones((3, 1))}, np.array([0, 3]))


def test_negative_positions_count_from_the_end() -> None:
    table = table_of([[1], [2, 3], []])
    assert table[-2]["mass"].tolist() == [2.0, 3.0]
    assert lists_of(table.select(np.array([-2, 0]))) == [[2.0, 3.0], [1.0]]
    with pytest.raises(IndexError):
        table[3]


def test_lists_go_through_the_store(tmp_path: Path) -> None:
    table = table_of([[1, 2], [], [5]])
    lenses = data.LensImages.from_arrays(
        np.arange(12.0).reshape(3, 1, 2, 2), lists={"subhalos": table}
    )
    again = data.open(data.save(lenses, tmp_path / "lists.h5"))
    assert lists_of(again.lists["subhalos"]) == [[1.0, 2.0], [], [5.0]]
    assert lists_of(again.select([2, 0]).lists["subhalos"], "half") == [[2.5], [0.5, 1.0]]
    mask = np.array([False, True, True])
    assert lists_of(again.select(mask).lists["subhalos"]) == [[], [5.0]]


def test_lists_must_be_of_all_images() -> None:
    with pytest.raises(DataError, match="'subhalos' are of 3 images, not 2"):
        data.LensImages.from_arrays(
            np.ones((2, 1, 2, 2)), lists={"subhalos": table_of([[1], [], []])}
        )
