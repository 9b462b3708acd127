"""Errors that a user can act on.

Every error that darkarcs raises on purpose derives from `DarkarcsError`. The command line
prints its message as one line, without a traceback, and exits with status 1. A message says
which file or key, what is wrong and what to do.
"""

from __future__ import annotations

from pathlib import Path


class DarkarcsError(Exception):
    """Root of all errors raised on purpose."""


class DataError(DarkarcsError):
    """Something is wrong with a file or a set of lens images."""


class ConfigurationError(DarkarcsError):
    """A recipe, an override or a setting is not valid."""


class ModelError(DarkarcsError):
    """A model, a checkpoint or a model folder cannot be used as asked."""


class MissingExtraError(DarkarcsError):
    """An optional dependency is not installed.

    Parameters
    ----------
    feature : str
        What the user asked for.
    extra : str
        The extra of this package that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'darkarcs[{extra}]'")


class OutputExistsError(DarkarcsError):
    """An output path exists already; nothing is ever overwritten.

    Parameters
    ----------
    path : pathlib.Path
        The path that exists.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} exists already and is not overwritten: "
            "choose another --out (or --results, --name)"
        )


def require_new(path: Path) -> Path:
    """Return ``path`` if nothing is there yet, or an empty folder.

    Parameters
    ----------
    path : pathlib.Path
        Where output is to be written.

    Returns
    -------
    pathlib.Path
        The same path.

    Raises
    ------
    OutputExistsError
        If the path is a file or a folder that holds anything.
    """
    path = Path(path)
    if path.is_dir() and not any(path.iterdir()):
        return path
    if path.exists():
        raise OutputExistsError(path)
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise OutputExistsError(parent)
    return path
