"""Every public docstring against numpydoc, with the checks that pyproject.toml names.

numpydoc's own hook reads the source alone, so it does not know that a dataclass has a signature
or that a property returns; here the objects are imported and looked at.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate
from pydantic import BaseModel

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src"
SETTINGS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "numpydoc_validation"
]
EXCLUDED = re.compile("|".join(SETTINGS["exclude"]))

#: An override says what it does differently; its parameters are documented where it is declared.
OF_THE_DECLARATION = {"GL08", "PR01", "RT01"}


def _modules() -> Iterator[str]:
    for file in sorted((SOURCE / "darkarcs").rglob("*.py")):
        name = ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        if not EXCLUDED.search(name):
            yield name


def _members(module: str) -> Iterator[tuple[str, Any, type | None]]:
    """Yield dotted name, object and owning class of all that is public in a module."""
    for name, thing in vars(importlib.import_module(module)).items():
        if getattr(thing, "__module__", None) != module or not callable(thing):
            continue
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        yield f"{module}.{name}", thing, None
        if inspect.isclass(thing):
            for inner, member in vars(thing).items():
                if isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(
                    member
                ):
                    yield f"{module}.{name}.{inner}", member, thing


def _is_override(owner: type | None, name: str) -> bool:
    return owner is not None and any(name in vars(base) for base in owner.__mro__[1:-1])


def _is_record(thing: Any) -> bool:
    return isinstance(thing, type) and (
        issubclass(thing, BaseModel) or dataclasses.is_dataclass(thing)
    )


def _undocumented_fields(record: type) -> set[str]:
    """Name the fields that stand neither under Parameters nor under Attributes."""
    sections = NumpyDocString(inspect.getdoc(record) or "")
    documented = {
        name.strip()
        for section in ("Parameters", "Attributes")
        for parameter in sections[section]
        for name in parameter.name.split(",")
    }
    if issubclass(record, BaseModel):
        fields = set(record.model_fields)
    else:
        fields = {field.name for field in dataclasses.fields(record) if field.init}
    own = set(vars(record).get("__annotations__", {})) & fields
    return {name for name in own if not name.startswith("_")} - documented


@pytest.mark.parametrize("module", list(_modules()))
def test_docstrings(module: str) -> None:
    wrong = []
    if not inspect.getdoc(importlib.import_module(module)):
        wrong.append(f"{module}: has no docstring")
    for name, thing, owner in _members(module):
        if EXCLUDED.search(name):
            continue
        checks = set(SETTINGS["checks"])
        if _is_record(thing):
            checks -= {"PR01", "PR02", "PR03"}
            wrong += [f"{name}: field '{field}'" for field in sorted(_undocumented_fields(thing))]
        if inspect.isclass(thing) and "__init__" not in vars(thing):
            checks -= {"PR01"}  # the constructor is inherited, and documented where it is declared
        if _is_override(owner, name.rpartition(".")[2]):
            checks -= OF_THE_DECLARATION
        errors = validate(name)["errors"]
        wrong += [f"{name}: {code} {text}" for code, text in errors if code in checks]
    assert not wrong, "\n".join(["", *wrong])
