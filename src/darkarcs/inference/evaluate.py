"""Evaluate a model folder on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs import data
from darkarcs.data import LensImages, SplitSettings, divide
from darkarcs.errors import DataError, require_new
from darkarcs.evaluation import Predictions, evaluate_predictions, write_predictions
from darkarcs.evaluation.examples import choose_examples, write_examples
from darkarcs.evaluation.provenance import command_line, describe_machine, package_version
from darkarcs.explain import ErasingSettings
from darkarcs.inference.classifier import open_classifier
from darkarcs.inference.examining import judge
from darkarcs.inference.filing import Filing, file_result, log_evaluation
from darkarcs.inference.predictor import Predictor
from darkarcs.model_folder import ModelDescription, TestTimeAugmentation, short_identities


def evaluate(
    model: Path,
    data_uri: str,
    out: Path,
    *,
    split: str = "all",
    test_time_augmentation: TestTimeAugmentation | None = None,
    erasing: ErasingSettings | None = None,
    skip_bad: bool = False,
    num_bootstrap: int = 2000,
    filing: Filing | None = None,
    test_log: Path | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:
    """Evaluate a model on labelled images.

    Writes ``predictions.csv`` first, then from it ``evaluation.json``, and for the report
    ``history.csv`` and ``examples.npz``.

    Parameters
    ----------
    model : pathlib.Path
        A model folder.
    data_uri : str
        Labelled images.
    out : pathlib.Path
        A new folder.
    split : {"all", "train", "validation", "test"}, default "all"
        ``all`` takes every image; the others repeat the split that the model was trained
        with and need the very data set that it was trained on.
    test_time_augmentation : {"none", "dihedral"}, optional
        Whether to average over the eight rotations and reflections; the model folder's choice
        by default.
    erasing : ErasingSettings, optional
        Predict by iterative erasing. The strategy is noted in the predictions, the evaluation
        and the log, after the model's hash.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    num_bootstrap : int, default 2000
        Resamples of the bootstrap intervals.
    filing : Filing, optional
        Keep a result file and, unless the split is ``train`` or ``validation``, a line in the
        log of test evaluations.
    test_log : pathlib.Path, optional
        Where no result is kept: the log that gets a line all the same.
    device : str, default "cpu"
        Where the model runs.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict
        Content of ``evaluation.json``: see `darkarcs.evaluation.evaluate_predictions`, and
        ``model``, ``data``, ``overlap``, ``test_time_augmentation``, ``erasing``, ``trust`` (from
        `darkarcs.inference.examining.judge`), ``command``, ``version``, ``machine``.

    Raises
    ------
    DarkarcsError
        Unlabelled or bad data, other classes, a split that cannot be repeated, output that
        exists.
    """
    out = require_new(Path(out))
    predictor = open_classifier(model, device)
    description = predictor.folder.description
    images = data.open(data_uri, skip_bad=skip_bad)
    chosen = select_split(images, description, split)
    predictions = predictor.predict(chosen, split, test_time_augmentation, progress, erasing)
    if predictions.labels is None:
        raise DataError(
            f"{data_uri}: has no labels to evaluate against; put the images of each class into "
            "a folder of its name, or use 'darkarcs classify'"
        )
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(predictions, out / "predictions.csv")

    evaluation = evaluate_predictions(predictions, num_bootstrap=num_bootstrap)
    overlap = count_seen(chosen.metadata["identity"], predictor)
    evaluation["warnings"] = [*_overlap_warnings(overlap, len(chosen)), *evaluation["warnings"]]
    if not description.provenance.get("converged", True):
        evaluation["warnings"].append("the training had not converged when its budget ended")
    report = {
        **evaluation,
        "model": description.name,
        "data": {
            "content_hash": images.content_hash,
            "num_images": len(images),
            "num_skipped": len(images.manifest.get("skipped", [])),
        },
        "overlap": overlap,
        "test_time_augmentation": test_time_augmentation or description.test_time_augmentation,
        "erasing": None if erasing is None else erasing.model_dump(mode="json"),
        "trust": judge(predictor, chosen, predictions, test_time_augmentation, erasing),
        "command": command_line(),
        "version": package_version(),
        "machine": describe_machine(device=device),
        "training": {k: v for k, v in description.provenance.items() if k != "learning_curve"},
    }
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _write_history(out / "history.csv", description)
    _write_examples(out, predictor, chosen, predictions)
    if filing is not None:
        file_result(filing, evaluation, predictions, [description])
    elif test_log is not None:
        log_evaluation(test_log, description.name, evaluation, predictions)
    return report


def select_split(
    images: LensImages,
    description: ModelDescription,
    split: str,
    remedy: str = "leave --split away",
) -> LensImages:
    """Take the images of a split that a model was trained with.

    Parameters
    ----------
    images : LensImages
        The very data set that the model was trained on, unless `split` is ``all``.
    description : ModelDescription
        Of the model; it holds the split's settings and hashes.
    split : {"all", "train", "validation", "test"}
        Which.
    remedy : str, optional
        What to do where these are other images, for the message.

    Returns
    -------
    LensImages
        The images of the split.

    Raises
    ------
    DataError
        If these are other images, or the split is unknown, empty or came out differently.
    """
    if split == "all":
        return images
    recorded = description.split
    if images.content_hash != description.data.get("content_hash"):
        raise DataError(
            f"split '{split}' cannot be repeated: these are not the images that "
            f"'{description.name}' was trained on; {remedy}"
        )
    indices = divide(images, SplitSettings.parse(recorded["settings"], "split"))
    if split not in indices:
        raise DataError(f"there is no split '{split}': choose from all, {', '.join(indices)}")
    if not len(indices[split]):
        raise DataError(f"the {split} split is empty: its share in the recipe is 0")
    chosen = images.select(indices[split])
    if chosen.content_hash != recorded["hashes"][split]:
        raise DataError(f"split '{split}' came out other than in training; evaluate on all")
    return chosen


def seen_warnings(images: LensImages, predictor: Predictor) -> list[str]:
    """Say which images a model has learned from or was selected on.

    Parameters
    ----------
    images : LensImages
        That it is to be judged by.
    predictor : Predictor
        The model.

    Returns
    -------
    list of str
        One sentence a use.
    """
    counts = count_seen(images.metadata["identity"], predictor)
    return _overlap_warnings(counts, len(images))


def count_seen(identities: NDArray[np.str_], predictor: Predictor) -> dict[str, int]:
    """Count the images that a model has seen, by use.

    Parameters
    ----------
    identities : ndarray of str, shape (N,)
        Of images.
    predictor : Predictor
        The model.

    Returns
    -------
    dict of str to int
        ``train``, ``validation`` and what else its folder tells of.
    """
    short = short_identities(identities)
    return {use: int(np.isin(short, seen).sum()) for use, seen in predictor.folder.seen.items()}


def _overlap_warnings(overlap: dict[str, int], num_images: int) -> list[str]:
    uses = {
        "train": "trained on",
        "validation": "selected on",
        "unlabelled": "shown without labels",
    }
    return [
        f"{count} of {num_images} images are ones that the model was {uses.get(name, name)}: "
        "the figures are too good; use --split test or other data"
        for name, count in overlap.items()
        if count
    ]


def _write_history(path: Path, description: ModelDescription) -> None:
    curve = description.provenance.get("learning_curve", [])
    if curve:
        header = ",".join(curve[0])
        lines = [",".join(str(value) for value in row.values()) for row in curve]
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def _write_examples(
    out: Path, predictor: Predictor, images: LensImages, predictions: Predictions
) -> None:
    chosen = choose_examples(predictions)
    if chosen:
        indices: NDArray[np.int64] = np.array([example.index for example in chosen])
        shown = images.select(indices)
        write_examples(
            out / "examples.npz",
            predictions,
            chosen,
            predictor.preprocess(shown),
            predictor.attention(shown),
        )
