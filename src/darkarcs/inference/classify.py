"""Classify images, one record a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import DataError
from darkarcs.evaluation.conformal import PredictionSets, SetSettings
from darkarcs.explain import ErasingSettings
from darkarcs.inference.classifier import open_classifier
from darkarcs.inference.examining import Examination, examine, prediction_sets
from darkarcs.inference.predictor import Predictor
from darkarcs.model_folder import TestTimeAugmentation

logger = logging.getLogger(__name__)


def classify(
    model: Path,
    paths: Sequence[str],
    *,
    skip_bad: bool = False,
    test_time_augmentation: TestTimeAugmentation | None = None,
    erasing: ErasingSettings | None = None,
    check: bool = True,
    threshold: float | None = None,
    sets: SetSettings | None = None,
    device: str = "cpu",
    batch_size: int = 64,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Classify images.

    Parameters
    ----------
    model : pathlib.Path
        A model folder.
    paths : sequence of str
        Images, folders or archives of images; labels are not looked at. Paths may differ in
        the size of their images.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    test_time_augmentation : {"none", "dihedral"}, optional
        Whether to average over the eight rotations and reflections; the model folder's choice
        by default.
    erasing : ErasingSettings, optional
        Predict by iterative erasing, see `darkarcs.explain.iterative_erasing_prediction`.
    check : bool, default True
        Say how familiar each image is, if the model ships what tells.
    threshold : float, optional
        Flag images whose p-value is at most this; the model's own by default, by which at most
        1 % of images like those of training are flagged.
    sets : SetSettings, optional
        Give each image a set of classes that holds the truth as often as is asked for.
    device : str, default "cpu"
        Where the model runs.
    batch_size : int, default 64
        Images a forward pass.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    list of dict
        For each image ``path``, ``identity``, ``class`` and ``probabilities`` by class name;
        with erasing also ``erasing_rounds``, how many rounds the image needed (the mean over
        the views); if checked ``p_in_distribution`` (the share of images like those of training
        that are at least as strange), ``unfamiliar`` and, where that is true, ``because``, a key
        of `darkarcs.trust.REASONS`; with sets ``prediction_set``.

    Raises
    ------
    DarkarcsError
        Bad files, all named at once, or images that the model cannot take.
    """
    predictor = open_classifier(model, device, batch_size)
    conformal = None
    if sets is not None:
        conformal = prediction_sets(
            predictor,
            sets.coverage,
            score=sets.score,
            by_class=sets.by_class,
            test_time_augmentation=test_time_augmentation,
            erasing=erasing,
        )
    records: list[dict[str, Any]] = []
    bad: list[str] = []
    for path in paths:
        try:
            images = data.open(path, skip_bad=skip_bad, labelled=False)
            examination = examine(
                predictor,
                images,
                test_time_augmentation,
                progress,
                erasing,
                check=check,
                threshold=threshold,
            )
        except DataError as error:
            message = str(error)
            bad.append(message if message.startswith(path) else f"{path}: {message}")
            continue
        records += _records(predictor, path, images, examination, conformal)
    report_bad(bad, len(paths), skip_bad and bool(records))
    return records


def _records(
    predictor: Predictor,
    path: str,
    images: LensImages,
    examination: Examination,
    conformal: PredictionSets | None,
) -> list[dict[str, Any]]:
    names = predictor.class_names
    records: list[dict[str, Any]] = [
        {
            "path": classified_path(path, images, index),
            "identity": str(images.metadata["identity"][index]),
            "class": predictor.class_names[int(row.argmax())],
            "probabilities": {
                label: float(value) for label, value in zip(predictor.class_names, row, strict=True)
            },
        }
        for index, row in enumerate(predictor.probabilities(examination.logits))
    ]
    if examination.rounds is not None:
        for record, used in zip(records, examination.rounds, strict=True):
            record["erasing_rounds"] = float(used)
    if conformal is not None:
        inside = conformal.apply(examination.logits / predictor.folder.description.temperature)
        for record, row in zip(records, inside, strict=True):
            record["prediction_set"] = [
                name for name, is_in in zip(names, row, strict=True) if is_in
            ]
    if examination.assessment is not None:
        for record, judged in zip(records, examination.assessment.records(), strict=True):
            record.update(judged)
    return records


def classified_path(path: str, images: LensImages, index: int) -> str:
    """Name one of the images that a path holds.

    Parameters
    ----------
    path : str
        As given.
    images : LensImages
        What it holds.
    index : int
        Which of them.

    Returns
    -------
    str
        The path itself for a single file, else the path and the name inside it.
    """
    single = Path(path).is_file() and len(images) == 1
    return path if single else f"{path}/{images.metadata['name'][index]}"


def report_bad(bad: Sequence[str], num_paths: int, go_on: bool) -> None:
    """Stop at paths that could not be used, or warn of them, one line each.

    Parameters
    ----------
    bad : sequence of str
        What is wrong with which.
    num_paths : int
        How many were asked for.
    go_on : bool
        Whether to warn rather than stop.

    Raises
    ------
    DataError
        If there are bad paths and we do not go on.
    """
    if bad and not go_on:
        raise DataError("\n".join(bad))
    if bad:
        logger.warning("going on without %d of %d paths:", len(bad), num_paths)
        for message in bad:
            logger.warning("%s", message)
