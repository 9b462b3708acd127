"""A registry of named factories that third parties can extend through entry points."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from darkarcs.errors import ConfigurationError


def nearest(name: str, names: Iterator[str] | list[str]) -> str:
    """Phrase a suggestion for a misspelt name.

    Parameters
    ----------
    name : str
        What was given.
    names : iterable of str
        What there is.

    Returns
    -------
    str
        `` (did you mean 'x'?)`` or the list of what there is.

    Examples
    --------
    >>> nearest("lerning_rate", ["learning_rate", "epochs"])
    "did you mean 'learning_rate'?"
    >>> nearest("xyz", ["b", "a"])
    'there are: a, b'
    """
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"


T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind, found by name, extended by entry points.

    Parameters
    ----------
    kind : str
        What is registered, for messages: "model", "objective".
    group : str
        Entry-point group whose members are loaded on first use; each entry point's name is
        the registered name and its object the thing registered.

    Examples
    --------
    >>> shapes: Registry[type] = Registry("shape", "example.shapes")
    >>> @shapes.register("square")
    ... class Square: ...
    >>> shapes["square"].__name__
    'Square'
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Register what is decorated under ``name``.

        Parameters
        ----------
        name : str
            A name not yet taken.

        Returns
        -------
        callable
            A decorator that returns its argument unchanged.

        Raises
        ------
        ConfigurationError
            If the name is taken.
        """

        def decorator(thing: T) -> T:
            if name in self._entries:
                raise ConfigurationError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = thing
            return thing

        return decorator

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            for entry in entry_points(group=self.group):
                if entry.name not in self._entries:
                    self._entries[entry.name] = entry.load()

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            self._load()
        try:
            return self._entries[name]
        except KeyError:
            raise ConfigurationError(
                f"no {self.kind} '{name}': {nearest(name, list(self._entries))}"
            ) from None

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._load()
        return len(self._entries)
