"""The HDF5 store gives back exactly what was saved."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from darkarcs import data
from darkarcs.data import LensImages, StoreReader
from darkarcs.errors import DataError, OutputExistsError


def assert_equal(a: LensImages, b: LensImages) -> None:
    assert np.array_equal(a.images, b.images)
    assert a.images.dtype == b.images.dtype
    assert a.class_names == b.class_names
    assert a.pixel_scale == b.pixel_scale
    assert a.manifest == b.manifest
    assert (a.labels is None) == (b.labels is None)
    if a.labels is not None:
        assert np.array_equal(a.labels, b.labels)
    assert set(a.metadata) == set(b.metadata)
    for name, column in a.metadata.items():
        assert column.dtype == b.metadata[name].dtype
        np.testing.assert_array_equal(column, b.metadata[name])


@pytest.fixture
def lenses() -> LensImages:
    pixels = np.random.default_rng(1).normal(size=(5, 2, 6, 7)).astype(np.float32)
    columns = {
        "name": np.array(["a/é.npy", "b", "", "d", "e"]),
        "axion_mass": np.array([1e-23, np.nan, 0, 1, 2]),
        "redshift_index": np.arange(5, dtype=np.int16),
        "flag": np.array([True, False, True, True, False]),
    }
    manifest = {"skipped": [{"name": "x" * 70_000, "reason": "is empty"}]}  # beyond an attribute
    return LensImages.from_arrays(
        pixels, [0, 1, 1, 0, 1], ("no_sub", "cdm"), columns, 0.05, manifest
    )


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_round_trip_is_exact(lenses: LensImages, tmp_path: Path, compression: None) -> None:
    path = data.save(lenses, tmp_path / "new" / "lenses.h5", compression=compression)
    assert_equal(data.open(path), lenses)
    assert_equal(data.load(path), lenses)


def test_round_trip_without_labels_or_scale(tmp_path: Path) -> None:
    unlabelled = LensImages.from_arrays(np.random.default_rng(0).normal(size=(2, 1, 4, 4)))
    assert_equal(data.open(data.save(unlabelled, tmp_path / "a.h5")), unlabelled)


def test_images_are_chunked_one_by_one_and_uncompressed(lenses: LensImages, tmp_path: Path) -> None:
    with h5py.File(data.save(lenses, tmp_path / "a.h5")) as file:
        assert file["images"].chunks == (1, 2, 6, 7)
        assert file["images"].compression is None


def test_nothing_is_overwritten_and_nothing_is_left_behind(
    lenses: LensImages, tmp_path: Path
) -> None:
    path = data.save(lenses, tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        data.save(lenses, path)
    assert path.read_bytes() == before
    broken = LensImages.from_arrays(lenses.images, manifest={"unserializable": object()})
    with pytest.raises(TypeError):
        data.save(broken, tmp_path / "b.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_truncated_store_and_a_newer_one_are_refused(lenses: LensImages, tmp_path: Path) -> None:
    path = data.save(lenses, tmp_path / "a.h5")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cut\.h5"):
        data.open(cut)
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(DataError, match="store format 99"):
        data.open(path)


def test_a_reader_can_be_sent_to_a_worker(lenses: LensImages, tmp_path: Path) -> None:
    reader = StoreReader(data.save(lenses, tmp_path / "a.h5"))
    first = reader[0]
    copy = pickle.loads(pickle.dumps(reader))
    assert len(copy) == len(lenses)
    assert np.array_equal(copy[0], first)
    assert np.array_equal(copy[-1], lenses.images[-1])
    with pytest.raises(IndexError):
        copy[5]
    reader.close()
    copy.close()


def test_a_store_inside_an_archive_or_a_folder_keeps_labels(
    lenses: LensImages, tmp_path: Path
) -> None:
    data.save(lenses, tmp_path / "set" / "part.h5")
    opened = data.open(tmp_path / "set")
    assert np.array_equal(opened.images, lenses.images)
    assert opened.label_names.tolist() == lenses.label_names.tolist()
    assert opened.pixel_scale == lenses.pixel_scale
    np.testing.assert_array_equal(opened.metadata["axion_mass"], lenses.metadata["axion_mass"])
