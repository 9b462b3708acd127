"""Cutting images into patches, putting them together, drawing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkarcs.data.patches import assemble_patches, draw_patches, extract_patches
from darkarcs.errors import DataError, OutputExistsError


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 3, 8, 12), 4), ((1, 1, 6, 6), 1), ((1, 1, 9, 9), 9)]
)
def test_assembling_undoes_extracting(shape: tuple[int, ...], size: int) -> None:
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    patches = extract_patches(images, size)
    assert patches.shape == (shape[0], shape[2] * shape[3] // size**2, shape[1], size, size)
    assert (assemble_patches(patches, *shape[2:]) == images).all()


def test_patches_are_read_row_by_row() -> None:
    images = np.random.default_rng(1).random((1, 2, 6, 9), dtype=np.float32)
    patches = extract_patches(images, 3)
    for number in range(6):
        row, column = 3 * (number // 3), 3 * (number % 3)
        expected = images[0, :, row : row + 3, column : column + 3]
        assert (patches[0, number] == expected).all()


@pytest.mark.parametrize("size", [0, 7, 150])
def test_patches_that_do_not_fill_name_those_that_do(size: int) -> None:
    with pytest.raises(DataError, match=r"2, 4, 8, 16, 32, 64 would"):
        extract_patches(np.zeros((1, 1, 64, 64), dtype=np.float32), size)


def test_patches_of_another_image_are_refused() -> None:
    patches = np.zeros((1, 6, 1, 3, 3), dtype=np.float32)
    for height, width in ((9, 9), (7, 9)):
        with pytest.raises(DataError, match="do not make an image"):
            assemble_patches(patches, height, width)


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 32, 64), (2, 48, 16), (1, 128, 128)])
def test_figure_is_drawn_and_never_overwritten(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(2).random(shape, dtype=np.float32)
    path = draw_patches(image, 4, tmp_path / "patches.png")
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    with pytest.raises(OutputExistsError):
        draw_patches(image, 4, path)


def test_figure_needs_one_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\(C, H, W\)"):
        draw_patches(np.zeros((8, 8), dtype=np.float32), 4, tmp_path / "patches.png")
    assert not list(tmp_path.iterdir())
