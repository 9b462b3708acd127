"""Opening a model that classifies, and refusing one that does not."""

from __future__ import annotations

from pathlib import Path

import torch

from darkarcs.errors import ModelError
from darkarcs.inference.predictor import Predictor
from darkarcs.measurement import has_measurement, measures_only
from darkarcs.model_folder import WEIGHTS


def open_classifier(
    folder: Path, device: torch.device | str = "cpu", batch_size: int = 64
) -> Predictor:
    """Open a model folder whose model tells classes apart.

    Parameters
    ----------
    folder : pathlib.Path
        A model folder.
    device : torch.device or str, default "cpu"
        Where the model runs.
    batch_size : int, default 64
        Images a forward pass.

    Returns
    -------
    Predictor
        Of the model.

    Raises
    ------
    ModelError
        If the folder cannot be read, or its model was trained to measure only, or without any
        label.
    """
    predictor = Predictor(folder, device, batch_size)
    described = predictor.folder.description
    if measures_only(described.class_names, described.provenance.get("recipe", {})):
        raise ModelError(
            f"{folder}: measures substructure and tells no classes apart: use darkarcs measure"
        )
    # where no label was learned from, the loss chose the epoch
    untaught = described.provenance.get("selected_by") == "validation_loss"
    if len(described.class_names) < 2 or (untaught and not has_measurement(predictor.folder.path)):
        raise ModelError(
            f"{folder}: was trained without labels and tells no classes apart: give it some by "
            f"darkarcs train --set model.pretrained={predictor.folder.path / WEIGHTS}"
        )
    return predictor
