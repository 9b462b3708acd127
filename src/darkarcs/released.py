"""Which released models there are, where they lie, and whether they are what was released.

A released model is a model folder (``model.json``, ``model.safetensors``) with a ``card.md``
whose front matter records what was released: the name, the task, the classes, the number of
parameters, the licence and the SHA-256 of the two files. Released models are looked for

1. in the folders named by the environment variable ``DARKARCS_WEIGHTS``,
2. inside the installed package (the compact two-class model travels there),
3. in ``weights/`` of a source checkout.

The first of a name wins.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from darkarcs.errors import ModelError
from darkarcs.registry import nearest

CARD_FILE = "card.md"
MODEL_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
#: Optional: what flags images unlike the training set (`darkarcs.trust`, slow to import).
TRUST_FILE = "trust.safetensors"

#: Environment variable that lists further folders of released models, separated like ``PATH``.
WEIGHTS_VARIABLE = "DARKARCS_WEIGHTS"

_PACKAGED = Path(__file__).resolve().parent / "zoo" / "weights"
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ReleasedModel:
    """What the catalogue knows of one released model.

    Attributes
    ----------
    name : str
        Name by which every command takes it.
    task : str
        What it decides between: ``"two-class"``, ``"three-class"``.
    classes : tuple of str
        Class names in the order of the logits.
    parameters : int
        Number of trained numbers.
    path : pathlib.Path
        The model folder.
    packaged : bool
        Whether it travels inside the installed package.
    sha256 : str
        Hash of the weights file, as recorded in the card.
    license : str
        SPDX name of the licence of the weights.
    model_sha256 : str
        Hash of ``model.json``, as recorded in the card.
    further_sha256 : dict of str to str
        Hashes of further files that the card records: what judges images, what measures them.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    parameters: int
    path: Path
    packaged: bool
    sha256: str
    license: str
    model_sha256: str
    further_sha256: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the record that ``darkarcs zoo list --json`` prints.

        Returns
        -------
        dict
            All fields, with plain types.
        """
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "parameters": self.parameters,
            "path": str(self.path),
            "packaged": self.packaged,
            "sha256": self.sha256,
            "license": self.license,
        }


def list_released() -> list[ReleasedModel]:
    """List the released models that this installation can find.

    Returns
    -------
    list of ReleasedModel
        Sorted by name.

    Raises
    ------
    ModelError
        If a card cannot be read, or ``DARKARCS_WEIGHTS`` names a folder that does not exist.
    """
    found: dict[str, ReleasedModel] = {}
    for folder, packaged in _folders():
        for card in sorted(folder.glob(f"*/{CARD_FILE}")):
            model = read_released(card.parent, packaged=packaged)
            found.setdefault(model.name, model)
    return sorted(found.values(), key=lambda model: model.name)


def resolve(name_or_path: str | Path) -> Path:
    """Turn what a user wrote for a model into a model folder.

    Parameters
    ----------
    name_or_path : str or pathlib.Path
        A model folder, a run folder that holds one as ``model/``, or the name of a released
        model. A folder that exists wins over a name.

    Returns
    -------
    pathlib.Path
        The model folder. For a released model its two files have been checked against the
        hashes in its card.

    Raises
    ------
    ModelError
        If there is no such folder and no such name (the nearest name is suggested), if the
        folder holds no model, or if a released file was changed.
    """
    path = Path(name_or_path)
    if path.is_dir():
        for folder in (path, path / "model"):
            if (folder / MODEL_FILE).is_file():
                return folder
        raise ModelError(f"{path}: is no model folder (it holds no {MODEL_FILE})")
    models = {model.name: model for model in list_released()}
    if str(name_or_path) in models:
        verify(models[str(name_or_path)])
        return models[str(name_or_path)].path
    hint = nearest(str(name_or_path), list(models)) if models else "none is released here"
    raise ModelError(f"{name_or_path}: neither a model folder nor a released model; {hint}")


def verify(model: ReleasedModel) -> None:
    """Check a released model's files against the hashes in its card.

    Parameters
    ----------
    model : ReleasedModel
        The model.

    Raises
    ------
    ModelError
        If a file is missing or differs from what was released.
    """
    files = {WEIGHTS_FILE: model.sha256, MODEL_FILE: model.model_sha256, **model.further_sha256}
    for file, recorded in files.items():
        path = model.path / file
        if not path.is_file():
            raise ModelError(f"{path}: is missing from the released model '{model.name}'")
        if file_sha256(path) != recorded:
            raise ModelError(
                f"{path}: is not the file that was released as '{model.name}' (its SHA-256 differs"
                f" from the card's): restore it, or give the folder itself to use it as it is"
            )


def read_released(folder: Path, *, packaged: bool = False) -> ReleasedModel:
    """Read the record of one released model from its card.

    Parameters
    ----------
    folder : pathlib.Path
        The model folder.
    packaged : bool, default False
        Whether the folder lies inside the installed package.

    Returns
    -------
    ReleasedModel
        The record; the files are not checked, see `verify`.

    Raises
    ------
    ModelError
        If the card has no front matter or lacks a field.
    """
    card = Path(folder) / CARD_FILE
    values = read_front_matter(card)
    try:
        files = {str(file): str(digest) for file, digest in values["files"].items()}
        return ReleasedModel(
            name=str(values["name"]),
            task=str(values["task"]),
            classes=tuple(str(name) for name in values["classes"]),
            parameters=int(values["parameters"]),
            path=Path(folder),
            packaged=packaged,
            sha256=files.pop(WEIGHTS_FILE),
            license=str(values["license"]),
            model_sha256=files.pop(MODEL_FILE),
            further_sha256=files,
        )
    except KeyError as error:
        raise ModelError(f"{card}: its front matter lacks the key {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{card}: its front matter is not valid ({error})") from None


def read_front_matter(card: Path) -> dict[str, Any]:
    """Read the YAML between the two ``---`` lines at the head of a card.

    Parameters
    ----------
    card : pathlib.Path
        The card.

    Returns
    -------
    dict
        Its keys and values.

    Raises
    ------
    ModelError
        If the card cannot be read or has no front matter.
    """
    try:
        text = Path(card).read_text(encoding="utf-8")
        opening, front_matter, _ = text.split("---\n", 2)
        values = yaml.safe_load(front_matter)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError):
        raise ModelError(f"{card}: has no readable front matter") from None
    if opening.strip() or not isinstance(values, dict):
        raise ModelError(f"{card}: has no readable front matter")
    return values


def file_sha256(path: Path) -> str:
    """Hash a file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _folders() -> Iterator[tuple[Path, bool]]:
    for text in filter(None, os.environ.get(WEIGHTS_VARIABLE, "").split(os.pathsep)):
        if not Path(text).is_dir():
            raise ModelError(f"{WEIGHTS_VARIABLE}: there is no folder {text}")
        yield Path(text), False
    yield _PACKAGED, True
    if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "src" / "darkarcs").is_dir():
        yield _CHECKOUT / "weights", False
