"""Labels that contradict each other and classes that their files tell are warned of."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkarcs import data
from darkarcs.training.giveaways import warn_of_giveaways


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("other", "seeds", "told"),
    [
        (".png", (0, 1, 2, 3), []),
        (
            ".png",
            (0, 1, 2, 0),
            ["an image lies in more than one class, such as cdm/1.png and no_sub/0.png"],
        ),
        (".npy", (0, 1, 2, 3), ["a file format of its own (cdm: .npy, no_sub: .png)"]),
    ],
)
def test_warnings(
    other: str,
    seeds: tuple[int, ...],
    told: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number, seed in enumerate(seeds):
        folder, ending = ("no_sub", ".png") if number < 2 else ("cdm", other)
        write(tmp_path / folder / f"{number % 2}{ending}", seed)
    images = data.open(tmp_path)
    with caplog.at_level(logging.WARNING, logger="darkarcs"):
        warn_of_giveaways(images, "set")
    assert len(caplog.records) == bool(told)
    for words in told:
        assert words in caplog.text


def test_images_without_files_or_labels_are_silent(caplog: pytest.LogCaptureFixture) -> None:
    pixels = np.zeros((4, 1, 8, 8), dtype=np.float32)
    with caplog.at_level(logging.WARNING, logger="darkarcs"):
        warn_of_giveaways(data.LensImages.from_arrays(pixels), "set")
    assert not caplog.records
