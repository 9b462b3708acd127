"""Which images a report shows, and the file that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation import Predictions
from darkarcs.evaluation.examples import Choice, choose_examples, read_examples, write_examples


def make(margins: list[float]) -> Predictions:
    """Two classes in turn; the margin is that of the true class over the other."""
    labels = np.arange(len(margins)) % 2
    logits = np.zeros((len(margins), 2))
    logits[np.arange(len(margins)), labels] = margins
    names = np.array([f"{k}.npy" for k in range(len(margins))])
    return Predictions(names, names, names, labels, logits, ("no_sub", "sub"), "test", "0f")


def test_mistakes_come_by_confidence_then_doubts_then_typical_ones() -> None:
    p = make([5, -1, 6, -9, 7, 0.1, 8, 3, 9, 4])
    chosen = choose_examples(p, mistakes=1, doubtful=1, right=2)
    assert chosen == [
        Choice(3, "mistake"),
        Choice(5, "doubtful"),
        Choice(4, "right"),
        Choice(7, "right"),
    ]
    assert choose_examples(p, mistakes=5, doubtful=0, right=0) == [
        Choice(3, "mistake"),
        Choice(1, "mistake"),
    ]


def test_confidence_is_told_apart_where_probabilities_are_one() -> None:
    p = make([-60, -80, -70, 1])
    assert [choice.index for choice in choose_examples(p, doubtful=0, right=0)] == [1, 2, 0]


def test_a_set_smaller_than_asked_for_is_shown_whole() -> None:
    chosen = choose_examples(make([1, 2, 3, 4]))
    assert sorted(choice.index for choice in chosen) == [0, 1, 2, 3]


@pytest.mark.parametrize("attention", [True, False])
def test_examples_come_back(tmp_path: Path, attention: bool) -> None:
    p = make([1, -2, 3, 4])
    chosen = choose_examples(p)
    images = np.random.default_rng(0).random((4, 1, 6, 6)).astype(np.float32)
    maps = np.ones((4, 2, 2), dtype=np.float32) if attention else None
    path = tmp_path / "examples.npz"
    write_examples(path, p, chosen, images, maps)
    back = read_examples(path)
    np.testing.assert_array_equal(back.images, images)
    assert (back.attention is None) != attention
    assert back.kind.tolist() == [choice.kind for choice in chosen]
    assert (back.label[0], back.predicted[0]) == ("sub", "no_sub")
    assert back.probability[0] == pytest.approx(1 / (1 + np.exp(-2)))
    with pytest.raises(OutputExistsError):
        write_examples(path, p, chosen, images, maps)


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    p = make([1, 2])
    chosen = choose_examples(p)
    for images, maps in (
        (np.zeros((2, 6, 6)), None),
        (np.zeros((2, 1, 6, 6)), np.zeros((1, 2, 2))),
        (np.zeros((1, 1, 6, 6)), None),
    ):
        with pytest.raises(DataError):
            write_examples(tmp_path / "x.npz", p, chosen, images, maps)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "examples.npz"
    np.savez(path, images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="is no examples file"):
        read_examples(path)
    np.savez(tmp_path / "lacks.npz", images=np.zeros((1, 1, 2, 2)))
    with pytest.raises(DataError, match="no array 'identity'"):
        read_examples(tmp_path / "lacks.npz")
    with pytest.raises(DataError, match="does not exist"):
        read_examples(tmp_path / "absent.npz")
