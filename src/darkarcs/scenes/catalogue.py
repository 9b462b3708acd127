"""Scenes by name or by file, changed by dotted keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkarcs.configuration import apply_overrides, read_yaml
from darkarcs.errors import ConfigurationError
from darkarcs.instrument import load_instrument
from darkarcs.registry import nearest
from darkarcs.scenes.scene import Scene

_LIBRARY = Path(__file__).parent / "library"


def list_scenes() -> list[str]:
    """List the scenes that come with the package.

    Returns
    -------
    list of str
        Names for `load_scene`.

    Examples
    --------
    >>> {"deeplense-1", "fair-euclid"} <= set(list_scenes())
    True
    """
    return sorted(path.stem for path in _LIBRARY.glob("*.yaml"))


def load_scene(name: str | Path, overrides: Sequence[str] = ()) -> Scene:
    """Load a scene.

    Parameters
    ----------
    name : str or pathlib.Path
        One of `list_scenes`, or a YAML file. A file may say ``extends: NAME`` and give only the
        keys that differ.
    overrides : sequence of str
        Each ``"a.b=c"``, as in ``"classes.cdm.mass_fraction=0.01"``.

    Returns
    -------
    Scene
        Validated.

    Raises
    ------
    ConfigurationError
        If there is no such scene, or a key is wrong.

    Examples
    --------
    >>> load_scene("fair-euclid", ["classes.cdm.mass_fraction=0.03"]).classes["cdm"].mass_fraction
    0.03
    """
    path = _find(name)
    values = apply_overrides(_read(path, ()), overrides)
    values["folder"] = str(path.resolve().parent)
    return Scene.parse(values, str(name))


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    if str(name) not in list_scenes():
        raise ConfigurationError(
            f"no scene '{name}': {nearest(str(name), list_scenes())} (or give a .yaml file)"
        )
    return _LIBRARY / f"{name}.yaml"


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    place = path.resolve()
    if place in seen:
        raise ConfigurationError(f"{path}: extends itself")
    values = read_yaml(path)
    instrument = values.get("instrument")
    if isinstance(instrument, str):  # by its keys, so that single ones can be overridden
        beside = path.parent / instrument
        named = load_instrument(beside if beside.is_file() else instrument)
        values["instrument"] = named.model_dump(mode="json")
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigurationError(f"{path}: 'extends' = {base!r}: must be one scene's name or file")
    beside = path.parent / base
    return _merged(_read(beside if beside.is_file() else _find(base), (*seen, place)), values)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested keys; a distribution, or a group whose ``kind`` changes, is replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and _merges(old, value):
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged


def _merges(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    is_distribution = bool({"uniform", "log_uniform", "normal", "choice"} & set(new))
    return not is_distribution and ("kind" not in new or new["kind"] == old.get("kind"))
