"""Classify images, one record a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import DataError
from darkarcs.explain import ErasingSettings
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
        the views).

    Raises
    ------
    DarkarcsError
        Bad files, all named at once, or images that the model cannot take.
    """
    predictor = Predictor(model, device, batch_size)
    records: list[dict[str, Any]] = []
    bad: list[str] = []
    for path in paths:
        try:
            images = data.open(path, skip_bad=skip_bad, labelled=False)
            rounds = None
            if erasing is None:
                logits = predictor.logits(images, test_time_augmentation, progress)
            else:
                logits, rounds = predictor.predict_by_erasing(
                    images, erasing, test_time_augmentation, progress
                )
        except DataError as error:
            message = str(error)
            bad.append(message if message.startswith(path) else f"{path}: {message}")
            continue
        found = _records(predictor, path, images, logits)
        if rounds is not None:
            for record, used in zip(found, rounds, strict=True):
                record["erasing_rounds"] = float(used)
        records += found
    report_bad(bad, len(paths), skip_bad and bool(records))
    return records


def _records(
    predictor: Predictor, path: str, images: LensImages, logits: NDArray[np.float64]
) -> list[dict[str, Any]]:
    return [
        {
            "path": classified_path(path, images, index),
            "identity": str(images.metadata["identity"][index]),
            "class": predictor.class_names[int(row.argmax())],
            "probabilities": {
                label: float(value) for label, value in zip(predictor.class_names, row, strict=True)
            },
        }
        for index, row in enumerate(predictor.probabilities(logits))
    ]


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
