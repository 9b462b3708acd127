"""One vocabulary for the classes, and the aliases that published folders use for them."""

from __future__ import annotations

from collections.abc import Iterable

#: The classes of the field in their canonical order. ``sub`` is the positive class of the
#: binary task (any substructure); it is not used beside ``cdm`` and ``axion``.
CLASSES: tuple[str, ...] = ("no_sub", "sub", "cdm", "axion")

_ALIASES: dict[str, str] = {
    "no_sub": "no_sub",
    "nosub": "no_sub",
    "no": "no_sub",
    "none": "no_sub",
    "smooth": "no_sub",
    "no_substructure": "no_sub",
    "without_substructure": "no_sub",
    "sub": "sub",
    "substructure": "sub",
    "with_substructure": "sub",
    "cdm": "cdm",
    "sphere": "cdm",
    "spherical": "cdm",
    "subhalo": "cdm",
    "subhalos": "cdm",
    "axion": "axion",
    "vortex": "axion",
    "vort": "axion",
}


def canonical_class(name: str) -> str:
    """Map a folder's or file's class name to the vocabulary.

    Parameters
    ----------
    name : str
        Any spelling, for example ``"No_Substructure"`` or ``"vort"``.

    Returns
    -------
    str
        The canonical name; a name outside the vocabulary is returned unchanged, so that
        users can classify things this package does not know.

    Examples
    --------
    >>> canonical_class("No_Substructure"), canonical_class("vort"), canonical_class("ring")
    ('no_sub', 'axion', 'ring')
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    return _ALIASES.get(key, name)


def is_known_class(name: str) -> bool:
    """Tell whether a name is in the vocabulary or one of its aliases.

    Parameters
    ----------
    name : str
        A class name, any spelling.

    Returns
    -------
    bool
        True if `canonical_class` maps it to a member of `CLASSES`.

    Examples
    --------
    >>> is_known_class("sphere"), is_known_class("thumbnails")
    (True, False)
    """
    return canonical_class(name) in CLASSES


def order_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Sort distinct class names: the vocabulary first in its order, others alphabetically.

    Parameters
    ----------
    names : iterable of str
        Canonical class names, repeats allowed.

    Returns
    -------
    tuple of str
        Each name once.

    Examples
    --------
    >>> order_classes(["axion", "no_sub", "ring", "axion"])
    ('no_sub', 'axion', 'ring')
    """
    return tuple(
        sorted(
            set(names),
            key=lambda name: (CLASSES.index(name) if name in CLASSES else len(CLASSES), name),
        )
    )
