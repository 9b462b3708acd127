"""Sets put together: nothing lost, nothing mixed that differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from darkarcs import data
from darkarcs.cli.main import app
from darkarcs.data.lens_images import LensImages
from darkarcs.data.ragged import RaggedTable
from darkarcs.errors import DataError, OutputExistsError


def some(first: int, count: int = 3, **changes: object) -> LensImages:
    """Images that differ, with a class each and a column of their own."""
    pixels = np.arange(first, first + count, dtype=np.float32)[:, None, None, None]
    keys: dict[str, object] = {
        "labels": np.arange(count) % 2,
        "class_names": ("no_sub", "sub"),
        "pixel_scale": 0.1,
        "metadata": {"number": np.arange(first, first + count)},
        **changes,
    }
    return LensImages.from_arrays(pixels * np.ones((1, 1, 4, 4)), **keys)  # type: ignore[arg-type]


def test_all_are_there_in_order() -> None:
    subhalos = RaggedTable({"mass": np.array([1.0, 2.0])}, np.array([0, 2, 2, 2]))
    whole = data.join([some(0, lists={"subhalos": subhalos}), some(3)], {"source": "both"})
    assert whole.metadata["number"].tolist() == [0, 1, 2, 3, 4, 5]
    assert whole.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert whole.class_counts() == {"no_sub": 4, "sub": 2}
    assert whole.lists["subhalos"].offsets.tolist() == [0, 2, 2, 2, 2, 2, 2]
    assert whole.manifest["num_images"] == 6


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"class_names": ("no_sub", "cdm")}, "classes"),
        ({"pixel_scale": 0.2}, "pixel scale"),
        ({"manifest": {"smooth_fit": {"version": 1}}}, "smooth_fit"),
    ],
)
def test_what_differs_is_not_joined(changes: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        data.join([some(0), some(3, **changes)], {})


def test_command(tmp_path: Path) -> None:
    one, two, out = (tmp_path / name for name in ("one.h5", "two.h5", "both.h5"))
    data.save(some(0), one)
    data.save(some(3), two)
    arguments = ["data", "join", str(one), str(two), "--out", str(out)]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "6 images" in shown.stdout
    assert len(data.load(out)) == 6
    with pytest.raises(OutputExistsError):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    again = ["data", "join", str(one), str(one), "--out", str(tmp_path / "twice.h5")]
    with pytest.raises(DataError, match="3 images are there twice"):
        CliRunner().invoke(app, again, catch_exceptions=False)
    assert not (tmp_path / "twice.h5").exists()
