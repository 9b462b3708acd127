"""Files that appear whole or not at all, and never replace another."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from darkarcs.errors import DataError, OutputExistsError


def write_new(path: Path, content: bytes) -> None:
    """Write a file in one step, refusing to replace what is there.

    The content goes to a temporary file in the same folder, which is then linked under the
    final name: a link fails where a name is taken, so two writers cannot both win, and a
    reader never sees half a file.

    Parameters
    ----------
    path : pathlib.Path
        The new file; its folder is made if it is missing.
    content : bytes
        What it will hold.

    Raises
    ------
    OutputExistsError
        If the path exists.
    DataError
        If the folder cannot be written to.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        raise OutputExistsError(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; results are meant to be read by others.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        _publish(Path(temporary), path)
    except FileExistsError:
        raise OutputExistsError(path) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _publish(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        temporary.rename(path)
