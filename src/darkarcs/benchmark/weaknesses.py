"""Where a model is weak and strong on a set: attributes, sub-populations, worst mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from darkarcs import data
from darkarcs.benchmark.weaknesses_images import image_attributes, metadata_attributes
from darkarcs.benchmark.weaknesses_scene import scene_attributes
from darkarcs.data import LensImages
from darkarcs.errors import DataError, require_new
from darkarcs.evaluation import (
    Predictions,
    evaluate_predictions,
    read_predictions,
    write_predictions,
)
from darkarcs.evaluation.evaluate import require_labels
from darkarcs.evaluation.examples import EXAMPLES_FILE, Choice, choose_examples, write_examples
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.provenance import (
    command_line,
    describe_machine,
    git_commit,
    package_version,
)
from darkarcs.evaluation.subpopulation_groups import SubpopulationSettings
from darkarcs.evaluation.subpopulation_trees import find_interactions
from darkarcs.evaluation.subpopulations import find_subpopulations
from darkarcs.inference import Predictor
from darkarcs.inference.evaluate import seen_warnings, select_split
from darkarcs.inference.filing import log_evaluation

WEAKNESSES_FILE = "weaknesses.json"
# The log needs the area alone; its interval is taken by `darkarcs evaluate`.
_NUM_BOOTSTRAP_OF_LOG = 100


def weaknesses(
    subject: Path,
    data_uri: str,
    out: Path,
    *,
    split: str = "all",
    settings: SubpopulationSettings | None = None,
    num_mistakes: int = 24,
    skip_bad: bool = False,
    test_log: Path | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:
    """Find the sub-populations of a set on which a model fares worst and best.

    Writes ``weaknesses.json``, ``examples.npz`` (the most confident mistakes) and, where a model
    predicted, ``predictions.csv``; `darkarcs.report.write_weaknesses` makes a page of them.

    Parameters
    ----------
    subject : pathlib.Path
        A predictions file, or a model folder that predicts first.
    data_uri : str
        The images, labelled if a model is to predict. Sets of a scene get physical attributes
        (`scene_attributes`), others measured ones (`image_attributes`); columns of metadata are
        attributes of both.
    out : pathlib.Path
        A new folder.
    split : {"all", "train", "validation", "test"}, default "all"
        For a model: as for `darkarcs.inference.evaluate`.
    settings : SubpopulationSettings, optional
        How to look.
    num_mistakes : int, default 24
        At most so many mistakes are kept, the most confident first.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    test_log : pathlib.Path, optional
        Log that gets a line if a model predicts something else than ``train`` or
        ``validation``.
    device : str, default "cpu"
        Where the model runs.
    progress : bool, default False
        Show progress bars on standard error.

    Returns
    -------
    dict
        Content of ``weaknesses.json``: see `find_subpopulations`, ``interactions`` (see
        `find_interactions`), ``mistakes`` (name, identity, label, predicted class, probability,
        attributes), ``num_mistakes`` (of all images), ``model``, ``data`` and provenance.

    Raises
    ------
    DarkarcsError
        Unlabelled predictions, images that are not in the set, output that exists.
    """
    out, seen = require_new(Path(out)), list[str]()
    settings = settings or SubpopulationSettings()
    subject = Path(subject)
    told = _labelled(subject) if is_file_name(subject) else Predictor(subject, device)
    images = data.open(data_uri, skip_bad=skip_bad)  # may take minutes
    if isinstance(told, Predictions):
        predictions, name = told, None
        images = match_images(images, predictions, data_uri)
    else:
        predictor = told
        name = predictor.folder.description.name
        images = select_split(images, predictor.folder.description, split)
        seen = seen_warnings(images, predictor) if split in ("all", "test") else []
        predictions = predictor.predict(images, split, progress=progress)
        if test_log is not None:
            evaluation = evaluate_predictions(predictions, num_bootstrap=_NUM_BOOTSTRAP_OF_LOG)
            log_evaluation(test_log, name, evaluation, predictions)
    attributes = attributes_of(images, progress=progress)
    found = find_subpopulations(predictions, attributes, settings)
    found["interactions"] = find_interactions(predictions, attributes, settings)
    shown = [name for name in attributes if name in found["attributes"]]
    chosen = choose_examples(predictions, mistakes=num_mistakes, doubtful=0, right=0)
    report = {
        **found,
        "warnings": [*found["warnings"], *seen],
        "num_mistakes": round(len(predictions) * (1 - found["overall"]["accuracy"]["value"])),
        "mistakes": _mistakes(predictions, chosen, {key: attributes[key] for key in shown}),
        "model": name or f"model {predictions.model_hash[:8]}",
        "data": _data_of(images),
        "command": command_line(),
        "version": package_version(),
        "git_commit": git_commit(),
        "machine": describe_machine(device=device),
    }
    out.mkdir(parents=True, exist_ok=True)
    if name is not None:
        write_predictions(predictions, out / "predictions.csv")
    if chosen:
        pixels = images.images[[choice.index for choice in chosen]]
        write_examples(out / EXAMPLES_FILE, predictions, chosen, pixels)
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    write_new(out / WEAKNESSES_FILE, f"{text}\n".encode())
    return report


def is_file_name(subject: Path) -> bool:
    """Tell a predictions file, also one that is not there, from a model.

    Parameters
    ----------
    subject : pathlib.Path
        A file, a folder, or a name.

    Returns
    -------
    bool
        Whether it is a file, or named like one and no folder.

    Examples
    --------
    >>> is_file_name(Path("nowhere/predictions.csv")), is_file_name(Path("darkarcs-two-class"))
    (True, False)
    """
    return subject.is_file() or (subject.suffix in (".csv", ".json") and not subject.is_dir())


def _labelled(file: Path) -> Predictions:
    predictions = read_predictions(file)
    try:
        require_labels(predictions)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    return predictions


def attributes_of(images: LensImages, *, progress: bool = False) -> dict[str, NDArray[Any]]:
    """Gather all that is known, or can be measured, of each image.

    Parameters
    ----------
    images : LensImages
        N images.
    progress : bool, default False
        Show a progress bar on standard error while lenses are rendered.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        Metadata, and physical attributes of simulated lenses or measured ones of others.
    """
    known = metadata_attributes(images)
    if "scene_identity" not in images.manifest:
        return known | image_attributes(images)
    with Progress(console=Console(stderr=True), disable=not progress, transient=True) as bar:
        task = bar.add_task("Deriving attributes", total=len(images))
        derived = scene_attributes(images, progress=lambda done: bar.advance(task, done))
    return apart_by_class(known | derived, images.label_names)


def apart_by_class(
    attributes: Mapping[str, NDArray[Any]], label_names: NDArray[np.str_]
) -> dict[str, NDArray[Any]]:
    """Make one attribute a class of each number that describes substructure.

    A mass of subhalos and one of a condensate are two things: together they would tell the
    classes apart, not the easy lenses from the hard ones.

    Parameters
    ----------
    attributes : mapping of str to ndarray of shape (N,)
        Those called ``substructure.*`` are divided where several classes have them.
    label_names : ndarray of str, shape (N,)
        Class of each image; empty where unknown.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        With names such as ``substructure.mass of cdm``; NaN for images of other classes.

    Examples
    --------
    >>> mass = np.array([np.nan, 1e9, 3e10])
    >>> list(apart_by_class({"substructure.mass": mass}, np.array(["no_sub", "cdm", "axion"])))
    ['substructure.mass of axion', 'substructure.mass of cdm']
    """
    divided: dict[str, NDArray[Any]] = {}
    for name, values in attributes.items():
        is_number = name.startswith("substructure.") and values.dtype.kind == "f"
        owners = np.unique(label_names[np.isfinite(values)]).tolist() if is_number else []
        if len(owners) < 2:
            divided[name] = values
            continue
        for owner in owners:
            divided[f"{name} of {owner}"] = np.where(label_names == owner, values, np.nan)
    return divided


def match_images(images: LensImages, predictions: Predictions, source: str) -> LensImages:
    """Take the images of predictions, in their order.

    Parameters
    ----------
    images : LensImages
        That hold all that was predicted; others are left out.
    predictions : Predictions
        N rows.
    source : str
        Where the images come from, for the message.

    Returns
    -------
    LensImages
        N images.

    Raises
    ------
    DataError
        If an image is not there.
    """
    # of pictures that are there twice either will do: their pixels are the same
    place = {identity: row for row, identity in enumerate(images.metadata["identity"].tolist())}
    rows = [place.get(identity, -1) for identity in predictions.identities.tolist()]
    if missing := rows.count(-1):
        raise DataError(
            f"{source}: {missing} of the {len(rows)} predicted images are not among these"
            f" {len(images)}: give the data that was predicted"
        )
    return images.select(rows)


def _mistakes(
    predictions: Predictions, chosen: Sequence[Choice], attributes: Mapping[str, NDArray[Any]]
) -> list[dict[str, Any]]:
    labels = require_labels(predictions)
    names = predictions.class_names
    mistakes = []
    for row in (choice.index for choice in chosen):
        called = int(predictions.logits[row].argmax())
        mistakes.append(
            {
                "name": str(predictions.names[row]),
                "identity": str(predictions.identities[row]),
                "label": names[labels[row]],
                "predicted": names[called],
                "probability": float(predictions.probabilities[row, called]),
                "attributes": {key: _plain(values[row]) for key, values in attributes.items()},
            }
        )
    return mistakes


def _plain(value: Any) -> float | str | None:
    """Make a value fit for JSON: a number, text, or None where it is unknown."""
    if isinstance(value, np.number):
        return float(value) if np.isfinite(value) else None
    return str(value)


def _data_of(images: LensImages) -> dict[str, Any]:
    # a path is of one machine alone; a scene's name means the same everywhere
    scene = "scene_identity" in images.manifest
    return {
        "source": images.manifest["source"] if scene else None,
        "scene_identity": images.manifest.get("scene_identity"),
        "content_hash": images.content_hash,
        "num_images": len(images),
    }
