"""`open`: from any path to `LensImages`, with everything that is wrong reported at once."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from darkarcs.data.lens_images import LensImages, pixel_identity
from darkarcs.data.readers.assembly import Sample, assemble
from darkarcs.data.readers.containers import (
    MAX_MEMBER_BYTES,
    Entry,
    container_kind,
    entries,
    is_hidden,
    is_side_file,
)
from darkarcs.data.readers.decoding import (
    FORMATS,
    HEAD_BYTES,
    BadFileError,
    Decoded,
    Format,
    find_format,
)
from darkarcs.data.schemes import open_scheme, scheme_of
from darkarcs.data.store import is_store, load
from darkarcs.errors import DataError

_MAX_WORKERS = 8


@dataclass(frozen=True)
class _FileResult:
    """What became of one file: its good images, and the reasons of the bad ones."""

    samples: list[Sample]
    bad: list[tuple[str, str]]
    ignored: bool = False


def open(uri: str | Path, skip_bad: bool = False, labelled: bool | None = None) -> LensImages:
    """Open lens images wherever they are and however they are laid out.

    The layout is found by looking: a folder of class folders (nested as you like), the same in
    a tar or zip archive that is read in place, a single file, an HDF5 store of `save`, an HDF5
    or ``.npz`` file with a stack of images, or a ``scheme:rest`` that is registered. Files are
    told apart by their first bytes, not by their suffix: JPEG, PNG, TIFF, ``.npy`` (the axion
    files' pickled ``[image, mass]`` too, which is not unpickled), ``.npz``, FITS, HDF5.
    Pixels are not scaled: 8-bit pictures keep 0 to 255. Images come sorted by name, so that a
    folder and its archive open alike.

    Parameters
    ----------
    uri : str or pathlib.Path
        What to open.
    skip_bad : bool, default False
        Go on without the files that cannot be used and list them in ``manifest["skipped"]``.
    labelled : bool, optional
        True demands class labels, False throws them away, None takes what there is.

    Returns
    -------
    LensImages
        ``manifest["ignored"]`` counts hidden files and files like ``README.txt``.

    Raises
    ------
    DataError
        If there is nothing to open, or, without ``skip_bad``, if any file cannot be used:
        damaged, no image, not finite, constant, refused, or of another shape than most. The
        message names them all, one a line.
    """
    text = str(uri)
    path = Path(uri)
    if not os.path.exists(path):  # a reference may be longer than any file name
        if scheme_of(text) is not None:
            return _with_labels(open_scheme(text), labelled, text)
        raise DataError(f"{text}: there is no such file or folder")
    kind = container_kind(path)
    if kind == "file" and is_store(path):
        return _with_labels(load(path), labelled, text)
    samples: list[Sample] = []
    bad: list[tuple[str, str]] = []
    num_ignored = 0
    for result in _with_progress(_read_all(path, kind), f"Reading {path.name}"):
        samples.extend(result.samples)
        bad.extend(result.bad)
        num_ignored += result.ignored
    lenses = assemble(samples, bad, source=text, container=kind, skip_bad=skip_bad)
    lenses.manifest["ignored"] = num_ignored
    return _with_labels(lenses, labelled, text)


def _with_labels(lenses: LensImages, labelled: bool | None, source: str) -> LensImages:
    if labelled and lenses.labels is None:
        raise DataError(
            f"{source}: no classes found: put the images of each class into a folder of its name "
            "(no_sub, sub, cdm, axion or their aliases)"
        )
    if labelled is False and lenses.labels is not None:
        return LensImages.from_arrays(
            lenses.images, None, (), lenses.metadata, lenses.pixel_scale, lenses.manifest
        )
    return lenses


def _read_all(path: Path, kind: str) -> Iterator[_FileResult]:
    """Decode all files in a few threads (the decoders release Python's lock), in order."""
    workers = min(_MAX_WORKERS, os.cpu_count() or 1)
    pending: deque[Future[_FileResult]] = deque()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for entry in entries(path, kind):
            if is_hidden(entry.name):
                yield _FileResult([], [], ignored=True)
                continue
            pending.append(pool.submit(_read_entry, entry))
            # A bounded window: an archive's undecoded content must not pile up in memory.
            while len(pending) > 32 * workers or (pending and pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _read_entry(entry: Entry) -> _FileResult:
    try:
        found, decoded = _decode(entry)
    except BadFileError as error:
        return _FileResult([], [(entry.name, str(error))])
    if found is None or decoded is None:
        return _FileResult([], [], ignored=True)
    samples, bad = [], []
    for position, image in enumerate(decoded.images):
        name = entry.name if len(decoded.images) == 1 else f"{entry.name}#{position}"
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, reported below
            pixels = np.ascontiguousarray(image, dtype=np.float32)
        reason = _flaw(pixels)
        if reason:
            bad.append((name, reason))
            continue
        samples.append(
            Sample(
                name=name,
                image=image,
                identity=pixel_identity(pixels),
                dtype=decoded.dtype,
                format=found.name,
                label=decoded.label_names[position] if decoded.label_names else None,
                columns={key: column[position] for key, column in decoded.columns.items()},
                pixel_scale=decoded.pixel_scale,
                position=position,
            )
        )
    return _FileResult(samples, bad)


def _decode(entry: Entry) -> tuple[Format | None, Decoded | None]:
    try:
        with entry.open() as stream:
            head = stream.read(HEAD_BYTES)
            stream.seek(0)
            if head.startswith(b"\x1f\x8b"):
                stream = _decompressed(stream)
                head = stream.read(HEAD_BYTES)
                stream.seek(0)
            found = find_format(head)
            if found is not None:
                return found, found.decode(stream)
    except BadFileError:
        raise
    except OSError as error:
        raise BadFileError(f"cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise BadFileError("does not fit into memory") from None
    except Exception as error:  # one damaged file must not hide what is wrong with the others
        raise BadFileError(f"cannot be decoded ({type(error).__name__}: {error})") from None
    if is_side_file(entry.name):
        return None, None
    if not head:
        raise BadFileError("is empty (0 bytes)")
    known = ", ".join(FORMATS)
    if head.startswith((b"PK", b"BZh", b"\xfd7zXZ", b"7z")) or head[257:262] == b"ustar":
        raise BadFileError("is an archive inside the set: open it by itself, or unpack it")
    raise BadFileError(f"is not an image (known are: {known}; it begins with {head[:8]!r})")


def _decompressed(stream: BinaryIO) -> BinaryIO:
    """Undo gzip, as of ``.fits.gz``."""
    try:
        with gzip.GzipFile(fileobj=stream) as file:
            content = file.read(MAX_MEMBER_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadFileError(f"is a truncated or damaged gzip file ({error})") from None
    if len(content) > MAX_MEMBER_BYTES:
        raise BadFileError("is too large")
    return io.BytesIO(content)


def _flaw(pixels: NDArray[np.float32]) -> str | None:
    """Tell what is wrong with the values of one image, None if nothing."""
    low, high = float(pixels.min()), float(pixels.max())  # NaN and infinities show here
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = int(pixels.size - np.isfinite(pixels).sum())
        return f"{wrong} of its {pixels.size} values are NaN or infinite"
    if low == high:
        return f"is constant: every value is {low:g}"
    return None


def _with_progress(results: Iterable[_FileResult], title: str) -> Iterator[_FileResult]:
    console = Console(stderr=True)
    columns: list[Any] = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    ]  # fmt: skip
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(title, total=None)
        for result in results:
            yield result
            progress.advance(task)
