"""The HDF5 store: lens images on disk, complete and exact.

One file holds ``/images`` (N, C, H, W) float32 chunked by image, ``/labels`` (N,) int64 unless
unlabelled, ``/metadata/<column>`` each (N,), where each image has a list
``/lists/<name>/columns/<column>`` each (M,) with ``/lists/<name>/offsets`` (N + 1,), and
``/manifest`` (JSON text, a dataset because an attribute is limited to 64 KiB). The root's
attributes are ``format``, ``format_version``, ``class_names`` (JSON text) and, where known,
``pixel_scale`` in arcsec. Chunks of one image and no compression let any worker read any image by
one seek.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from darkarcs.data.lens_images import LensImages
from darkarcs.data.ragged import RaggedTable
from darkarcs.errors import DataError, OutputExistsError

FORMAT = "darkarcs-lens-images"
FORMAT_VERSION = 1


def save(
    lens_images: LensImages, path: str | Path, compression: Literal["gzip", "lzf"] | None = None
) -> Path:
    """Write lens images to a new HDF5 store.

    Parameters
    ----------
    lens_images : LensImages
        What to write; `load` gives back exactly this.
    path : str or pathlib.Path
        The file to make; its folder is made if need be.
    compression : {"gzip", "lzf"}, optional
        Smaller files, slower reading; by default none.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    OutputExistsError
        If the path exists.
    DataError
        If it cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise OutputExistsError(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(partial, "w") as file:
            _write(file, lens_images, compression)
        if path.exists():
            raise OutputExistsError(path)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        partial.unlink(missing_ok=True)
    return path


def _write(file: h5py.File, lenses: LensImages, compression: str | None) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["class_names"] = json.dumps(list(lenses.class_names))
    if lenses.pixel_scale is not None:
        file.attrs["pixel_scale"] = float(lenses.pixel_scale)
    shape = lenses.images.shape
    file.create_dataset(
        "images",
        data=lenses.images,
        chunks=(1, *shape[1:]) if lenses.images.size else None,
        compression=compression if lenses.images.size else None,
    )
    if lenses.labels is not None:
        file.create_dataset("labels", data=lenses.labels)
    columns = file.create_group("metadata")
    for name, values in lenses.metadata.items():
        if values.dtype.kind == "U":
            texts = values.astype(object)
            columns.create_dataset(name, data=texts, dtype=h5py.string_dtype("utf-8"))
            columns[name].attrs["width"] = values.dtype.itemsize // 4
        else:
            columns.create_dataset(name, data=values)
    for name, table in lenses.lists.items():
        group = file.create_group(f"lists/{name}")
        group.create_dataset("offsets", data=table.offsets)
        for column, values in table.columns.items():
            group.create_dataset(f"columns/{column}", data=values)
    text = json.dumps(lenses.manifest, sort_keys=True)
    file.create_dataset("manifest", data=text, dtype=h5py.string_dtype("utf-8"))


def is_store(path: str | Path) -> bool:
    """Tell whether a file is a store that `save` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
        Any file.

    Returns
    -------
    bool
        False for other HDF5 files and for anything else.
    """
    try:
        if not h5py.is_hdf5(path):
            return False
        with h5py.File(path, "r", locking=False) as file:
            return is_store_file(file)
    except OSError:
        return False


def is_store_file(file: h5py.File) -> bool:
    """Tell whether an open HDF5 file is a store.

    Parameters
    ----------
    file : h5py.File
        Any open HDF5 file.

    Returns
    -------
    bool
        True if its ``format`` attribute says so.
    """
    return bool(file.attrs.get("format") == FORMAT)


def load(path: str | Path) -> LensImages:
    """Read a whole store into memory.

    Parameters
    ----------
    path : str or pathlib.Path
        A file of `save`.

    Returns
    -------
    LensImages
        What was saved.

    Raises
    ------
    DataError
        If it is damaged, no store, or of a newer format.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            return read_store_file(file, str(path))
    except (OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: is a damaged store ({reason})") from None


def read_store_file(file: h5py.File, source: str) -> LensImages:
    """Read a store from an open HDF5 file.

    Parameters
    ----------
    file : h5py.File
        The open file.
    source : str
        Its name, for messages.

    Returns
    -------
    LensImages
        What was saved.

    Raises
    ------
    DataError
        If it is no store, or of a newer format.
    """
    if not is_store_file(file):
        raise DataError(f"{source}: is not a darkarcs store; convert it by 'darkarcs data convert'")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise DataError(f"{source}: is of store format {version}; this darkarcs reads up to 1")
    scale = file.attrs.get("pixel_scale")
    return LensImages(
        images=file["images"][...],
        labels=file["labels"][...] if "labels" in file else None,
        class_names=tuple(json.loads(file.attrs["class_names"])),
        metadata={name: _read_column(column) for name, column in file["metadata"].items()},
        pixel_scale=None if scale is None else float(scale),
        manifest=json.loads(file["manifest"].asstr()[()]),
        lists={
            name: RaggedTable(
                {column: np.asarray(values[...]) for column, values in group["columns"].items()},
                np.asarray(group["offsets"][...]),
            )
            for name, group in file.get("lists", {}).items()
        },
    )


def _read_column(column: h5py.Dataset) -> NDArray[Any]:
    if h5py.check_string_dtype(column.dtype) is None:
        return np.asarray(column[...])
    return np.asarray(column.asstr()[...]).astype(f"U{int(column.attrs['width'])}")


class StoreReader:
    """Reads single images of a store without loading it; may be sent to any worker process.

    Each process opens the file for itself on first use, since an HDF5 handle must not cross a
    fork.

    Parameters
    ----------
    path : str or pathlib.Path
        A file of `save`.

    Raises
    ------
    DataError
        If it is not a store.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not is_store(self.path):
            raise DataError(f"{self.path}: is not a darkarcs store")
        self._file: h5py.File | None = None
        self._process = -1
        self._length = int(self._open()["images"].shape[0])

    def _open(self) -> h5py.File:
        if self._file is None or self._process != os.getpid():
            self._file = h5py.File(self.path, "r", locking=False)
            self._process = os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_length": self._length, "_file": None, "_process": -1}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Read image ``index``, shape (C, H, W)."""
        if not -self._length <= index < self._length:
            raise IndexError(index)
        image: NDArray[np.float32] = self._open()["images"][index % self._length]
        return image

    def close(self) -> None:
        """Close this process's handle."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None
