"""Strict, frozen configurations, read from YAML, with overrides and errors that teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from darkarcs.errors import ConfigurationError
from darkarcs.registry import nearest


class Configuration(BaseModel):
    """Base of every configuration: frozen, and an unknown key is an error.

    Examples
    --------
    >>> class Optimizer(Configuration):
    ...     learning_rate: float = 1e-3
    >>> Optimizer.parse({"rate": 1.0}, "here")
    Traceback (most recent call last):
        ...
    darkarcs.errors.ConfigurationError: here: unknown key 'rate': there are: learning_rate
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def parse(
        cls, values: Mapping[str, Any], source: str, options: Mapping[str, str] | None = None
    ) -> Self:
        """Validate a mapping and explain the first thing that is wrong in one line.

        Parameters
        ----------
        values : mapping
            Keys and values, nested.
        source : str
            Where they come from, for the message.
        options : mapping of str to str, optional
            Command-line options by the dotted keys that they set; the message names these.

        Returns
        -------
        Configuration
            The validated configuration.

        Raises
        ------
        ConfigurationError
            Names the key, what is wrong, and the nearest key that exists.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            option = (options or {}).get(".".join(str(part) for part in first["loc"]))
            if option is not None:
                raise ConfigurationError(f"{option} {first['input']}: {first['msg']}") from None
            raise ConfigurationError(f"{source}: {_explain(cls, error)}") from None


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}': {nearest(location[-1], _keys_at(model, location[:-1]))}"
    if first["type"] == "missing":
        return f"missing key '{key}'"
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"'{key}' = {first['input']!r}: {message}" if key else message


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    current: Any = model
    for part in path:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:  # a discriminator tag inside a union, or a list index
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        tagged = [c for c in models if part in path and _tag(c) in path]
        current = (tagged or models or [current])[0]
    return list(getattr(current, "model_fields", {}))


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return str(field.default) if field is not None else None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    ConfigurationError
        If the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        where = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        raise ConfigurationError(f"{path}: is not valid YAML: {what}{where}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: must hold a mapping of keys to values")
    return content


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply ``a.b=c`` overrides, each value read as YAML.

    Parameters
    ----------
    values : mapping
        Nested keys and values; not changed.
    overrides : sequence of str
        Each ``"dotted.key=value"``.

    Returns
    -------
    dict
        A deep copy with the overrides applied.

    Raises
    ------
    ConfigurationError
        If an override has no ``=`` or passes through something that is not a mapping.

    Examples
    --------
    >>> apply_overrides({"training": {"epochs": 3}}, ["training.epochs=5", "seed=1e-3"])
    {'training': {'epochs': 5}, 'seed': 0.001}
    """
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(values)))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"--set {override}: must read key=value, for example seed=1")
        *parents, last = key.split(".")
        target = result
        for part in parents:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigurationError(f"--set {override}: '{part}' is not a group of keys")
        try:
            target[last] = _scalar(text)
        except (yaml.YAMLError, ValueError) as error:
            line = str(error).splitlines()[0]
            raise ConfigurationError(f"--set {override}: is not valid YAML ({line})") from None
    return result


def _scalar(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as a string
        try:
            return float(value)
        except ValueError:
            return value
    return value
