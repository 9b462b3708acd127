"""What is left when a training ends: the model folder and the validation predictions."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from darkarcs.data import LensImages
from darkarcs.errors import DataError
from darkarcs.evaluation import Predictions, fit_temperature, write_predictions
from darkarcs.evaluation.provenance import describe_machine, git_commit, package_version
from darkarcs.model_folder import (
    SMOOTH_FIT,
    Architecture,
    ModelDescription,
    TestTimeAugmentation,
    predict_logits,
    read_model_folder,
    short_identities,
    write_model_folder,
)
from darkarcs.models import ImageClassifier
from darkarcs.training.callbacks import Selection
from darkarcs.training.convergence import has_converged, loss_has_converged
from darkarcs.training.measuring import release_measurement
from darkarcs.training.module import TrainingModule
from darkarcs.training.preparation import TrainingData
from darkarcs.training.recipe import Recipe
from darkarcs.trust import TRUST_FILE, fit_trust

logger = logging.getLogger(__name__)

VALIDATION_PREDICTIONS = "validation_predictions.csv"


def write_trained_model(
    out: Path,
    model: ImageClassifier,
    recipe: Recipe,
    images: LensImages,
    prepared: TrainingData,
    selection: Selection,
    module: TrainingModule,
    device: str,
    teachers: Sequence[dict[str, Any]] = (),
) -> Path:
    """Write the model folder of a finished run, and its predictions of the validation split.

    Parameters
    ----------
    out : pathlib.Path
        The run's folder.
    model : ImageClassifier
        With the selected weights, any LoRA merged.
    recipe : Recipe
        As resolved.
    images : LensImages
        The whole labelled set.
    prepared : TrainingData
        Its division.
    selection : Selection
        Holds the learning curve.
    module : TrainingModule
        Holds the counters.
    device : str
        Where it was trained.
    teachers : sequence of dict
        Who taught it, as `darkarcs.training.teachers.describe_teachers` says.

    Returns
    -------
    pathlib.Path
        ``out / "model"``.
    """
    predictions = None
    if len(images.class_names) > 1:  # with one class there is nothing to tell apart
        predictions = _validation_predictions(model, prepared, recipe, images.class_names)
    labels = prepared.validation_labels.numpy()
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    fitted = prepared.preprocessing
    description = ModelDescription(
        name=recipe.name,
        task=" against ".join(images.class_names),
        architecture=Architecture(
            name=recipe.model.name,
            num_classes=len(images.class_names),
            in_channels=fitted.channels,
            image_size=fitted.height,
            options={**recipe.model.options, **model.rebuild_options()},
        ),
        preprocessing=fitted,
        smooth_fit=images.manifest.get(SMOOTH_FIT),
        class_names=images.class_names,
        test_time_augmentation=recipe.test_time_augmentation,
        temperature=1.0 if predictions is None else fit_temperature(predictions.logits, labels),
        split=_describe_split(recipe, images, prepared),
        data={
            "uri": Path(run["data"]).name,
            "content_hash": images.content_hash,
            "num_images": len(images),
            "class_counts": images.class_counts(),
            "num_skipped": len(images.manifest.get("skipped", [])),
            **_describe_unlabelled(run, prepared),
            **_describe_stream(recipe, prepared),
        },
        provenance={
            **_provenance(run, recipe, model, selection, module, device),
            **_describe_teaching(teachers, module),
        },
    )
    # before the model folder, whose presence says that the run is finished
    _keep_predictions(predictions, out / VALIDATION_PREDICTIONS)
    extras = _trust(model, description, prepared, predictions)
    extras |= release_measurement(module.objective, model, prepared, recipe)
    path = write_model_folder(out / "model", model, description, _seen(prepared), extras=extras)
    read_model_folder(path)  # what cannot be read back must not wait for its user
    return path


def _validation_predictions(
    model: nn.Module, prepared: TrainingData, recipe: Recipe, class_names: tuple[str, ...]
) -> Predictions:
    model = model.cpu().eval()
    size, augmentation = recipe.training.evaluation_batch_size, recipe.test_time_augmentation
    logits = _predict(model, prepared.validation_images, augmentation, size)
    metadata = prepared.validation.metadata
    return Predictions(
        identities=metadata["identity"],
        groups=metadata["group"],
        names=metadata["name"],
        labels=prepared.validation_labels.numpy(),
        logits=logits,
        class_names=class_names,
        split="validation",
        model_hash="",
    )


def _predict(
    model: nn.Module,
    images: Tensor,
    test_time_augmentation: TestTimeAugmentation,
    batch_size: int = 64,
) -> NDArray[np.float64]:
    batches = torch.split(images, batch_size)
    with torch.inference_mode():
        parts = [predict_logits(model, part, test_time_augmentation) for part in batches]
    return np.asarray(torch.cat(parts).double().numpy())


def _keep_predictions(predictions: Predictions | None, path: Path) -> None:
    path.unlink(missing_ok=True)  # a run that was cut off here wrote the same file
    if predictions is not None:
        write_predictions(predictions, path)


def _trust(
    model: ImageClassifier,
    description: ModelDescription,
    prepared: TrainingData,
    predictions: Predictions | None,
) -> dict[str, bytes]:
    """Fit what flags images unlike the training set; a run too small for it goes without."""
    calibration = prepared.validation
    if predictions is None:  # one class: its logit says nothing, but features and pixels do
        augmentation = description.test_time_augmentation
        logits = _predict(model.cpu().eval(), prepared.validation_images, augmentation)
    else:
        logits = predictions.logits
    if prepared.stream is not None:  # validation has chosen the epoch, and a stream has others
        count = len(calibration)
        calibration = prepared.stream.images("validation", 2 * count).select(
            np.arange(count, 2 * count)
        )
        pixels = description.preprocessing.apply(calibration.images, calibration.pixel_scale)
        logits = _predict(model, torch.from_numpy(pixels), description.test_time_augmentation)
    try:
        trust = fit_trust(
            model,
            description.preprocessing,
            prepared.train,
            calibration,
            logits / description.temperature,
            description.test_time_augmentation,
        )
    except DataError as error:
        logger.warning("the model ships nothing to judge its predictions by: %s", error)
        return {}
    return {TRUST_FILE: trust.to_bytes()}


def _seen(prepared: TrainingData) -> dict[str, NDArray[np.int64]]:
    seen = {
        "train": short_identities(prepared.train.metadata["identity"]),
        "validation": short_identities(prepared.validation.metadata["identity"]),
    }
    if prepared.unlabelled:
        identities = prepared.train_identities[len(prepared.train) :]
        seen["unlabelled"] = short_identities(identities)
    return seen


def _describe_split(recipe: Recipe, images: LensImages, prepared: TrainingData) -> dict[str, Any]:
    return {
        "settings": recipe.split.model_dump(mode="json"),
        "num_images": {name: len(indices) for name, indices in prepared.splits.items()},
        "hashes": {
            name: images.select(indices).content_hash for name, indices in prepared.splits.items()
        },
    }


def _describe_unlabelled(run: dict[str, Any], prepared: TrainingData) -> dict[str, Any]:
    if not prepared.unlabelled:
        return {}
    return {
        "unlabelled": {
            "uri": Path(run["unlabelled"]).name if "unlabelled" in run else None,
            "num_images": [len(part) for part in prepared.unlabelled],
            "content_hashes": [part.content_hash for part in prepared.unlabelled],
        }
    }


def _describe_stream(recipe: Recipe, prepared: TrainingData) -> dict[str, Any]:
    if prepared.stream is None:
        return {}
    return {
        "stream": {
            "identity": prepared.stream.identity,
            **prepared.stream.manifest,
            **recipe.stream.model_dump(mode="json"),
        }
    }


def _describe_teaching(
    teachers: Sequence[dict[str, Any]], module: TrainingModule
) -> dict[str, Any]:
    if module.teaching is None:
        return {}
    return {"teaching": {"teachers": list(teachers), **module.teaching.describe()}}


def _provenance(
    run: dict[str, Any],
    recipe: Recipe,
    model: nn.Module,
    selection: Selection,
    module: TrainingModule,
    device: str,
) -> dict[str, Any]:
    by_skill = {} if selection.best_skill is None else {"best_skill": selection.best_skill}
    report = getattr(model, "load_report", None)
    return {
        "command": run["command"],
        "recipe": recipe.model_dump(mode="json"),
        "seed": recipe.seed,
        "version": package_version(),
        "git_commit": git_commit(),
        "machine": describe_machine(torch.get_num_threads(), device),
        "pretrained": str(report) if report is not None else None,
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "images_seen": module.images_seen,
        "token_forwards": module.token_forwards,
        "wall_time": round(selection.wall_time, 3),
        "best_epoch": selection.best_epoch,
        "best_validation_auc": selection.best_auc if math.isfinite(selection.best_auc) else None,
        **by_skill,
        "selected_by": module.selected_by,
        "converged": _has_levelled_off(selection, module.selected_by),
        "learning_curve": selection.history,
    }


def _has_levelled_off(selection: Selection, selected_by: str) -> bool:
    if selected_by == "validation_loss" and selection.best_skill is None:
        return loss_has_converged([row["validation_loss"] or 0.0 for row in selection.history])
    # an objective that measures has levelled off when its skill has
    shown = "validation_auc" if selection.best_skill is None else "validation_skill"
    curve = [row[shown] for row in selection.history]
    return has_converged([value for value in curve if value is not None])
