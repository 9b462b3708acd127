"""HDF5: stacks of images as others lay them out (Galaxy10: ``images`` and ``ans``), and ours."""

from __future__ import annotations

from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from darkarcs.data.readers.decoding import FORMATS, BadFileError, Decoded, Format
from darkarcs.data.readers.tables import IMAGE_KEYS, decode_table
from darkarcs.data.store import is_store_file, read_store_file
from darkarcs.errors import DataError


def _decode(stream: BinaryIO) -> Decoded:
    try:
        with h5py.File(stream, "r") as file:
            return _from_store(file) if is_store_file(file) else _from_arrays(file)
    except DataError as error:
        raise BadFileError(str(error)) from None
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadFileError(f"is a truncated or damaged HDF5 file ({reason})") from None


def _from_store(file: h5py.File) -> Decoded:
    lenses = read_store_file(file, "it")
    columns = {
        name: values
        for name, values in lenses.metadata.items()
        if name not in ("identity", "group", "name")
    }
    labels = None if lenses.labels is None else [str(name) for name in lenses.label_names]
    return Decoded(lenses.images, "float32", labels, columns, lenses.pixel_scale)


def _from_arrays(file: h5py.File) -> Decoded:
    datasets: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 1:
            # Datasets in groups count by their own name unless one outside has it already.
            datasets.setdefault(name.rsplit("/", 1)[-1] if "/" in name else name, item)

    file.visititems(visit)
    arrays: dict[str, NDArray[Any]] = {}
    for name, dataset in datasets.items():
        # Of large arrays only the images are read.
        if name in IMAGE_KEYS or dataset.ndim < 3:
            arrays[name] = np.asarray(dataset[...])
    if not set(arrays) & set(IMAGE_KEYS):
        stacks = [name for name, dataset in datasets.items() if dataset.ndim >= 3]
        if len(stacks) == 1:
            arrays["images"] = np.asarray(datasets[stacks[0]][...])
    if "class_names" in file.attrs:
        arrays["class_names"] = np.atleast_1d(np.asarray(file.attrs["class_names"]))
    return decode_table(arrays)


_MAGIC = b"\x89HDF\r\n\x1a\n"
FORMATS.register("hdf5")(Format("hdf5", lambda head: head.startswith(_MAGIC), _decode))
