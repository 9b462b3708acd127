"""The history of a run: columns that come and go, and what a resumed run takes up."""

from __future__ import annotations

import csv
from pathlib import Path

from darkarcs.training.callbacks import HISTORY_COLUMNS, Selection


def line(epoch: int, **parts: float) -> dict[str, float | None]:
    return {**dict.fromkeys(HISTORY_COLUMNS, 0.5), "epoch": epoch, **parts}


def test_the_columns_are_those_of_any_epoch(tmp_path: Path) -> None:
    before = Selection(tmp_path)
    before._remember(line(0, train_labels=0.7))
    resumed = Selection(tmp_path)
    resumed.load_state_dict(before.state_dict())
    resumed._remember(line(1, train_labels=0.6, train_answers=0.3))
    resumed._remember(line(2, train_answers=0.2))
    resumed._write_history()
    with (tmp_path / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*HISTORY_COLUMNS, "train_labels", "train_answers"]
    assert [row["train_labels"] for row in rows] == ["0.7", "0.6", ""]
    assert [row["train_answers"] for row in rows] == ["", "0.3", "0.2"]
    # the model folder keeps the same lines, and other files are written from their order
    assert len({tuple(row) for row in resumed.history}) == 1
