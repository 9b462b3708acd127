"""Fit what judges a model's predictions, for a model that was trained without."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.data.streams import LensStream, open_stream
from darkarcs.errors import DataError, ModelError, OutputExistsError, require_new
from darkarcs.evaluation.files import write_new
from darkarcs.inference.evaluate import select_split
from darkarcs.inference.predictor import Predictor
from darkarcs.model_folder import ModelDescription
from darkarcs.models import ImageClassifier
from darkarcs.released import CARD_FILE
from darkarcs.trust import TRUST_FILE, Trust, fit_trust

#: Fresh lenses of a stream that references and calibration are made from.
NUM_TRAINING, NUM_VALIDATION = 1024, 1024
_REMEDY = "give these by --data"


@dataclass(frozen=True)
class FittedTrust:
    """What `trust` made.

    Attributes
    ----------
    folder : pathlib.Path
        The model folder that ships it.
    trust : Trust
        What was stored.
    num_bytes : int
        Size of the file.
    """

    folder: Path
    trust: Trust
    num_bytes: int


def trust(
    model: Path,
    data_uri: str | None = None,
    out: Path | None = None,
    *,
    device: str = "cpu",
    progress: bool = False,
) -> FittedTrust:
    """Fit out-of-distribution scores and prediction sets on a model's own training data.

    Parameters
    ----------
    model : pathlib.Path
        A model folder.
    data_uri : str, optional
        The data that it was trained on; a model that was trained on an endless stream of
        simulated lenses knows its own, of which fresh ones are drawn: those of the training
        part for references, those of the validation part that follow the ones which have selected
        the epoch for calibration.
    out : pathlib.Path, optional
        A new model folder, a copy with the file and without a release's card, which is of other
        files; by default the file is added to the model's.
    device : str, default "cpu"
        Where the model runs.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    FittedTrust
        Where it is.

    Raises
    ------
    OutputExistsError
        If the folder has the file already, or ``out`` exists.
    DataError
        If these are not the data that the model was trained on.
    """
    folder = Path(model)
    if out is None and (folder / TRUST_FILE).exists():
        raise OutputExistsError(folder / TRUST_FILE)
    target = folder if out is None else require_new(Path(out))
    predictor = Predictor(folder, device)
    description = predictor.folder.description
    train, validation = _splits(description, data_uri)
    train, validation = predictor.as_taken(train), predictor.as_taken(validation)
    network = predictor.folder.model
    assert isinstance(network, ImageClassifier)
    fitted = fit_trust(
        network,
        description.preprocessing,
        train,
        validation,
        predictor.logits(validation, progress=progress) / description.temperature,
        description.test_time_augmentation,
    )
    content = fitted.to_bytes()
    if out is not None:
        target.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.is_file() and file.name not in (TRUST_FILE, CARD_FILE):
                shutil.copyfile(file, target / file.name)
    write_new(target / TRUST_FILE, content)
    return FittedTrust(target, fitted, len(content))


def _splits(description: ModelDescription, data_uri: str | None) -> tuple[LensImages, LensImages]:
    """Give images for references and for calibration, of the data the model was trained on."""
    recorded = description.data.get("stream")
    if recorded is not None:
        stream = _stream(description, data_uri or str(description.data.get("uri")))
        if not _same_stream(stream, recorded):
            raise DataError(
                f"these are not the lenses that '{description.name}' was trained on "
                f"({recorded['identity']}): leave --data away"
            )
        first = int(recorded.get("num_validation", 0))  # these have chosen the epoch
        later = stream.images("validation", first + NUM_VALIDATION)
        later = later.select(np.arange(first, first + NUM_VALIDATION))
        return stream.images("train", NUM_TRAINING), later
    if data_uri is None:
        raise ModelError(f"'{description.name}': say by --data what it was trained on")
    images = data.open(data_uri)
    return (
        select_split(images, description, "train", _REMEDY),
        select_split(images, description, "validation", _REMEDY),
    )


def _same_stream(stream: LensStream, recorded: dict[str, Any]) -> bool:
    """Compare identities, or where a later version hashes otherwise all that was recorded."""
    if stream.identity == recorded["identity"]:
        return True
    manifest = json.loads(json.dumps(stream.manifest))
    keys = ("scene", "request")
    return all(key in recorded and manifest.get(key) == recorded[key] for key in keys)


def _stream(description: ModelDescription, uri: str) -> LensStream:
    stream = open_stream(uri)
    if stream is None:
        raise DataError(
            f"{uri}: is no endless stream, and '{description.name}' was trained on one: "
            "leave --data away"
        )
    return stream
