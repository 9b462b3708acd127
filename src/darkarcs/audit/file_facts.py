"""What the files of a set are, apart from the pixels in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from darkarcs.audit.feature_table import FeatureTable
from darkarcs.data.readers.containers import Entry, container_kind, entries, is_hidden
from darkarcs.data.readers.decoding import HEAD_BYTES, BadFileError, find_format
from darkarcs.data.readers.numpy_array import read_header

_GZIP = b"\x1f\x8b"

# Formats whose size follows from shape and dtype alone, unless they are gzipped.
_UNCOMPRESSED = {"npy", "fits"}


@dataclass(frozen=True)
class FileFacts:
    """Facts of the files that images lie in.

    Parameters
    ----------
    container : FeatureTable
        Format, gzip, dtype or picture mode (numbered in alphabetical order of their names), JPEG
        tables, and the size of files that are not compressed: none of it depends on the sky.
    compressed_size : FeatureTable or None
        Bytes of compressed files (JPEG, PNG, gzip). What is in a picture decides them, so this
        is a summary of the content, as total flux is. None where no file is compressed.
    kinds : dict of str to int
        How many files of each format, dtype and compression.
    """

    container: FeatureTable
    compressed_size: FeatureTable | None
    kinds: dict[str, int]


@dataclass(frozen=True)
class _Facts:
    size: int
    format: str
    dtype: str
    gzipped: bool
    jpeg_tables: float

    @property
    def compressed(self) -> bool:
        return self.gzipped or self.format not in _UNCOMPRESSED

    @property
    def kind(self) -> str:
        return f"{self.format} {self.dtype}{' gzip' if self.gzipped else ''}"


def file_facts(path: str | Path, names: Sequence[str]) -> FileFacts | None:
    """Look at the files of a set without decoding them.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder or archive that was opened.
    names : sequence of str
        Paths inside the set, as the readers put them into the metadata column ``"name"``.

    Returns
    -------
    FileFacts or None
        One row a name. None where files tell nothing of single images: a scene, a store, or
        stacks of several images a file.
    """
    path = Path(path)
    if not path.exists():
        return None
    kind = container_kind(path)
    if kind == "file":
        return None
    wanted = set(names)
    found: dict[str, _Facts] = {}
    for entry in entries(path, kind):
        if entry.name in wanted and not is_hidden(entry.name):
            facts = _look_at(entry)
            if facts is not None:
                found[entry.name] = facts
    if len(found) < len(wanted):
        return None
    return _as_features([found[name] for name in names])


def _look_at(entry: Entry) -> _Facts | None:
    try:
        with entry.open() as stream:
            head = stream.read(HEAD_BYTES)
            size = stream.seek(0, 2)
            stream.seek(0)
            found = find_format(head)
            if head.startswith(_GZIP) or found is None:
                return _Facts(size, "gzip", "", True, 0.0)
            dtype, tables = found.name, 0.0
            if found.name == "npy":
                dtype = read_header(stream)[0]
            elif found.name == "picture":
                # Opening reads the header alone; pixels are not decoded.
                with Image.open(stream) as picture:
                    dtype = f"{picture.format} {picture.mode}"
                    quantization = getattr(picture, "quantization", {})
                    tables = float(sum(sum(table) for table in quantization.values()))
            return _Facts(size, found.name, dtype, False, tables)
    except (BadFileError, UnidentifiedImageError, OSError):
        return None


def _as_features(facts: Sequence[_Facts]) -> FileFacts:
    formats = sorted({fact.format for fact in facts})
    dtypes = sorted({fact.dtype for fact in facts})
    names = (
        f"file format ({', '.join(formats)})",
        f"stored type ({', '.join(dtypes)})",
        "whether gzipped",
        "sum of the JPEG quantisation tables",
        "file size (bytes)",
    )
    rows = [
        [
            formats.index(fact.format),
            dtypes.index(fact.dtype),
            fact.gzipped,
            fact.jpeg_tables,
            np.nan if fact.compressed else fact.size,
        ]
        for fact in facts
    ]
    container = FeatureTable(names, np.array(rows, dtype=np.float64))
    sizes = np.array([[fact.size if fact.compressed else np.nan] for fact in facts])
    any_compressed = any(fact.compressed for fact in facts)
    kinds: dict[str, int] = {}
    for fact in facts:
        kinds[fact.kind] = kinds.get(fact.kind, 0) + 1
    return FileFacts(
        container,
        FeatureTable(("file size (bytes)",), sizes) if any_compressed else None,
        dict(sorted(kinds.items())),
    )
