"""Where files lie: a folder, one file, or a tar or zip archive that is read in place."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from darkarcs.data.readers.decoding import HEAD_BYTES, BadFileError
from darkarcs.errors import DataError

#: A member of an archive larger than this is refused: it would not fit into memory.
MAX_MEMBER_BYTES = 8 * 2**30

_SIDE_SUFFIXES = {
    ".txt", ".md", ".rst", ".csv", ".json", ".yaml", ".yml", ".html", ".log", ".py", ".ipynb",
    ".sh", ".pdf", ".toml", ".ini", ".xml", ".db",
}  # fmt: skip
_SIDE_STEMS = {"readme", "license", "licence", "copying", "citation", "changes", "makefile"}
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


@dataclass(frozen=True)
class Entry:
    """One file inside a container.

    Parameters
    ----------
    name : str
        Path inside the container, with forward slashes.
    open : callable
        Returns a seekable binary stream of its content; raises `BadFileError` if it cannot.
    """

    name: str
    open: Callable[[], BinaryIO]


def is_hidden(name: str) -> bool:
    """Tell whether a path is one that people never mean: hidden, or left by an archiver.

    Parameters
    ----------
    name : str
        Path inside a container.

    Returns
    -------
    bool
        True for ``.DS_Store``, ``._x.jpg``, ``__MACOSX/...`` and the like.
    """
    parts = PurePosixPath(name).parts
    return any(
        part in ("__MACOSX", "__pycache__") or (part.startswith(".") and part != "..")
        for part in parts
    )


def is_side_file(name: str) -> bool:
    """Tell whether a file that is no image lies there by custom, to be passed over in silence.

    Parameters
    ----------
    name : str
        Path inside a container.

    Returns
    -------
    bool
        True for ``README.txt``, ``labels.csv``, ``LICENSE`` and the like.

    Examples
    --------
    >>> is_side_file("lenses/README"), is_side_file("lenses/image.jpg")
    (True, False)
    """
    path = PurePosixPath(name)
    return path.suffix.lower() in _SIDE_SUFFIXES or path.stem.lower() in _SIDE_STEMS


def container_kind(path: Path) -> str:
    """Find out what a path is, by looking.

    Parameters
    ----------
    path : pathlib.Path
        An existing file or folder.

    Returns
    -------
    str
        ``"folder"``, ``"tar"``, ``"zip"`` or ``"file"``. A zip of nothing but ``.npy`` files
        at its top is NumPy's own ``.npz``, hence a file.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if path.is_dir():
        return "folder"
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            if head.startswith(b"PK"):
                return "file" if is_npz(stream) else "zip"
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if head[257:262] == b"ustar" or (head.startswith(_COMPRESSED) and _is_tar(path)):
        return "tar"
    return "file"


def is_npz(stream: BinaryIO) -> bool:
    """Tell NumPy's ``.npz`` from an archive of images.

    Parameters
    ----------
    stream : binary file
        A zip file; left at its start.

    Returns
    -------
    bool
        True if all its members are ``.npy`` files without a folder, as NumPy writes them, and
        at least one is named like an argument of `numpy.savez` rather than like a file of a
        set: ``image``, ``images``, ``data``, ``arr_0``.
    """
    try:
        names = zipfile.ZipFile(stream).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    finally:
        stream.seek(0)
    stems = {name.removesuffix(".npy") for name in names if name.endswith(".npy")}
    flat = len(stems) == len(names) and not any("/" in name for name in names)
    return flat and bool(stems & {"image", "images", "data", "x", "X", "arr_0", "img"})


def _is_tar(path: Path) -> bool:
    try:
        with tarfile.open(path, "r:*") as archive:
            archive.next()
        return True
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        return False


def entries(path: Path, kind: str) -> Iterator[Entry]:
    """List the files of a container, in its own order.

    Parameters
    ----------
    path : pathlib.Path
        The container.
    kind : str
        From `container_kind`.

    Yields
    ------
    Entry
        One a file, hidden ones included. If an archive ends early, the last entry carries the
        archive's own name and raises `BadFileError` when opened.
    """
    if kind == "folder":
        yield from _folder_entries(path)
    elif kind == "tar":
        yield from _tar_entries(path)
    elif kind == "zip":
        yield from _zip_entries(path)
    else:
        yield Entry(path.name, _opener(path))


def _opener(path: Path) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        try:
            return path.open("rb")
        except OSError as error:
            raise BadFileError(f"cannot be read ({error.strerror})") from None

    return opened


def _memory_opener(content: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(content)


def _broken(reason: str) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        raise BadFileError(reason)

    return opened


def _folder_entries(path: Path) -> Iterator[Entry]:
    seen: set[tuple[int, int]] = set()
    failed: list[OSError] = []
    for folder, subfolders, files in os.walk(path, followlinks=True, onerror=failed.append):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders.sort()
        for file in sorted(files):
            full = Path(folder, file)
            yield Entry(full.relative_to(path).as_posix(), _opener(full))
    for error in failed:
        name = Path(error.filename).relative_to(path).as_posix()
        yield Entry(f"{name}/", _broken(f"is a folder that cannot be read ({error.strerror})"))


def _tar_entries(path: Path) -> Iterator[Entry]:
    # Streamed once from start to end ("r|*"): nothing is extracted, no name touches the disk.
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                if member.size > MAX_MEMBER_BYTES:
                    yield Entry(member.name, _broken(f"is too large ({member.size} bytes)"))
                    continue
                file = archive.extractfile(member)
                content = file.read() if file is not None else b""
                yield Entry(_clean(member.name), _memory_opener(content))
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = f"is a truncated or damaged archive ({str(error) or type(error).__name__})"
        yield Entry(path.name, _broken(reason))


def _zip_entries(path: Path) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                if member.file_size > MAX_MEMBER_BYTES:
                    reason = f"is too large ({member.file_size} bytes)"
                    yield Entry(_clean(member.filename), _broken(reason))
                    continue
                yield Entry(_clean(member.filename), _zip_opener(archive, member))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        yield Entry(path.name, _broken(f"is a truncated or damaged archive ({error})"))


def _zip_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    # Read at once, in the thread that walks the archive: a ZipFile is not for many threads.
    try:
        content = archive.read(member)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError) as error:
        return _broken(f"cannot be read from the archive ({error})")
    except RuntimeError:
        return _broken("is encrypted")
    return _memory_opener(content)


def _clean(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./").lstrip("/")
