"""The files that say what a run is made from, and that let it go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import yaml

from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, OutputExistsError
from darkarcs.evaluation.provenance import command_line
from darkarcs.model_folder import DESCRIPTION
from darkarcs.training.recipe import Recipe
from darkarcs.training.teaching_plan import TeachingPlan


def open_run(recipe: Recipe, out: Path) -> Path | None:
    """Check that a run can go on, and find its last checkpoint.

    Parameters
    ----------
    recipe : Recipe
        Must be the one it was begun with.
    out : pathlib.Path
        The run's folder.

    Returns
    -------
    pathlib.Path or None
        None if it was cut off before the first.

    Raises
    ------
    ConfigurationError
        If there is no run, or it was begun with another recipe.
    OutputExistsError
        If it is finished.
    """
    file = out / "recipe.yaml"
    if not file.is_file() or not (out / "run.json").is_file():
        raise ConfigurationError(f"{out}: there is no run to resume; leave --resume away")
    if (out / "model" / DESCRIPTION).exists():
        raise OutputExistsError(out / "model")
    if Recipe.parse(yaml.safe_load(file.read_text(encoding="utf-8")), str(file)) != recipe:
        raise ConfigurationError(
            f"{out}: was begun with another recipe; resume with {file} and without --set"
        )
    checkpoints = sorted((out / "checkpoints").glob("epoch=*.ckpt"), key=_epoch, reverse=True)
    return next((path for path in checkpoints if _is_whole(path)), None)


def _is_whole(checkpoint: Path) -> bool:
    """Tell whether a kill cut the file short: checkpoints are zip archives with checksums."""
    try:
        with ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (BadZipFile, OSError):
        return False


def _epoch(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("epoch="))


def describe_run(
    uri: str,
    images: LensImages,
    unlabelled_uri: str | None = None,
    further: LensImages | None = None,
    plan: TeachingPlan | None = None,
) -> dict[str, Any]:
    """Say what a run is made from.

    Parameters
    ----------
    uri : str
        Of the labelled images.
    images : LensImages
        All of them.
    unlabelled_uri : str, optional
        Of the unlabelled images.
    further : LensImages, optional
        All of them.
    plan : TeachingPlan, optional
        The teachers.

    Returns
    -------
    dict
        Command, sources and hashes.
    """
    record: dict[str, Any] = {
        "command": command_line(),
        "data": uri,
        "data_hash": images.content_hash,
    }
    if further is not None:
        record |= {"unlabelled": unlabelled_uri, "unlabelled_hash": further.content_hash}
    if plan is not None:
        record["teachers"] = [teacher.folder.model_hash for teacher in plan.teachers]
    return record


def record_run(recipe: Recipe, out: Path, record: dict[str, Any], resume: bool) -> None:
    """Write a run's first files, or check that a resumed one is made from the same.

    Parameters
    ----------
    recipe : Recipe
        As resolved.
    out : pathlib.Path
        The run's folder.
    record : dict
        From `describe_run`.
    resume : bool
        Whether the files are there.

    Raises
    ------
    ConfigurationError
        If the run began with other images or teachers.
    """
    file = out / "run.json"
    if resume:
        recorded = json.loads(file.read_text(encoding="utf-8"))
        for key, meaning in (
            ("data_hash", "other images"),
            ("unlabelled_hash", "other unlabelled images"),
            ("teachers", "other teachers"),
        ):
            if recorded.get(key) != record.get(key):
                raise ConfigurationError(
                    f"{out}: the run began with {meaning} than {record['data']} and the command "
                    "give now; resume with the same or start anew"
                )
        return
    out.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (out / "recipe.yaml").write_text(text, encoding="utf-8")
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
