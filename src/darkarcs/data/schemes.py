"""Sources of lens images that are no path: ``scheme:rest``, found through a registry.

The simulator lives floors above and registers itself here (``scene:``), so that the data room
opens simulated sets without knowing the simulator.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from darkarcs.data.lens_images import LensImages
from darkarcs.errors import DataError
from darkarcs.registry import Registry, nearest

#: Name of a scheme to the function that opens a whole URI of it.
SCHEMES: Registry[Callable[[str], LensImages]] = Registry("scheme", "darkarcs.schemes")

_SCHEME = re.compile(r"([a-z][a-z0-9_+.-]+):")

OpenScheme = Callable[[str], LensImages]


def register_scheme(name: str) -> Callable[[OpenScheme], OpenScheme]:
    """Register the function that opens URIs of a scheme.

    Third parties can do the same through the entry-point group ``darkarcs.schemes``.

    Parameters
    ----------
    name : str
        The scheme, without the colon.

    Returns
    -------
    callable
        A decorator of a function that takes the whole URI and returns `LensImages`.

    Raises
    ------
    ConfigurationError
        If the name is taken.
    """
    return SCHEMES.register(name)


def scheme_of(uri: str) -> str | None:
    """Tell the scheme of a URI.

    Parameters
    ----------
    uri : str
        What the user gave.

    Returns
    -------
    str or None
        None for a path.

    Examples
    --------
    >>> scheme_of("scene:two-class?seed=1"), scheme_of("data/lenses.tgz"), scheme_of("C:/lenses")
    ('scene', None, None)
    """
    match = _SCHEME.match(uri)
    return match.group(1) if match else None


def open_scheme(uri: str) -> LensImages:
    """Open a URI whose scheme is registered.

    Parameters
    ----------
    uri : str
        ``scheme:rest``.

    Returns
    -------
    LensImages
        What the scheme's function returns.

    Raises
    ------
    DataError
        If no such scheme is registered.
    """
    scheme = scheme_of(uri) or ""
    if scheme not in SCHEMES:
        hint = nearest(scheme, list(SCHEMES)) if len(SCHEMES) else "none is installed"
        raise DataError(f"{uri}: there is no such file, and no scheme '{scheme}': {hint}")
    return SCHEMES[scheme](uri)
