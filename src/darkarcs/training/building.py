"""From a recipe and prepared data to the model, the objective and the batches of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.models import ImageClassifier, apply_finetuning, create_model
from darkarcs.objectives import (
    Objective,
    ObjectiveContext,
    TargetStatistics,
    TeacherDescription,
    objectives,
)
from darkarcs.seeding import derive_seed
from darkarcs.training.batches import OrderedBatches, TrainingBatches
from darkarcs.training.preparation import TrainingData
from darkarcs.training.recipe import Recipe
from darkarcs.training.streaming import StreamBatches
from darkarcs.training.target_maker import TargetMaker

logger = logging.getLogger(__name__)


def build_model(recipe: Recipe, prepared: TrainingData, num_classes: int) -> ImageClassifier:
    """Build the recipe's model for prepared data, its initial weights seeded.

    Parameters
    ----------
    recipe : Recipe
        Its model and fine-tuning.
    prepared : TrainingData
        Gives channels and size.
    num_classes : int
        Number of logits.

    Returns
    -------
    ImageClassifier
        On the CPU, with what is not trained frozen.

    Raises
    ------
    ConfigurationError
        If the images are not square after preprocessing.
    """
    fitted = prepared.preprocessing
    if fitted.height != fitted.width:
        raise ConfigurationError(
            f"preprocessing gives {fitted.height} x {fitted.width} pixels; models take squares: "
            "set preprocessing.crop_pixels or preprocessing.size"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "weights"))
        model = create_model(
            recipe.model.name,
            num_classes=num_classes,
            in_channels=fitted.channels,
            image_size=fitted.height,
            pretrained=recipe.model.pretrained,
            **recipe.model.options,
        )
        report = getattr(model, "load_report", None)
        if report is not None:
            logger.info("%s", report)
        apply_finetuning(model, recipe.fine_tuning)
    return model


def build_objective(
    recipe: Recipe,
    prepared: TrainingData,
    model: ImageClassifier,
    num_steps: int,
    teacher: TeacherDescription | None = None,
    targets: TargetStatistics | None = None,
) -> Objective:
    """Build the recipe's objective.

    Parameters
    ----------
    recipe : Recipe
        Its objective and seed.
    prepared : TrainingData
        Gives channels, size and class counts.
    model : ImageClassifier
        What will be trained.
    num_steps : int
        Optimizer steps in the run.
    teacher : TeacherDescription, optional
        Of the recipe's teachers, if there are any.
    targets : TargetStatistics, optional
        Of what the objective asks for beside labels.

    Returns
    -------
    Objective
        On the CPU, its own modules seeded.

    Raises
    ------
    ConfigurationError
        If there are teachers, or unlabelled images, that the objective has no use for.
    """
    configuration: Any = recipe.objective
    _, make = objectives[configuration.kind]
    context = ObjectiveContext(
        model=model,
        class_counts=prepared.class_counts,
        in_channels=prepared.preprocessing.channels,
        image_size=prepared.preprocessing.height,
        num_steps=num_steps,
        seed=recipe.seed,
        teacher=teacher,
        targets=targets,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "objective weights"))
        objective = make(recipe.objective, context)
    if teacher is not None and not objective.uses_teacher:
        raise ConfigurationError(
            f"teacher.models names teachers, but the objective '{configuration.kind}' asks none: "
            "set objective.kind to distillation, give iterative_erasing a distillation block, or "
            "leave teacher.models away"
        )
    if prepared.unlabelled and not objective.uses_unlabelled:
        raise ConfigurationError(
            f"the objective '{configuration.kind}' cannot learn from unlabelled images: set "
            "objective.kind to distillation, give iterative_erasing a weight for reconstruction or "
            "consistency, or a distillation block, or leave them away"
        )
    return objective


def make_batches(
    recipe: Recipe,
    prepared: TrainingData,
    device: torch.device,
    further: Sequence[FittedPreprocessing] = (),
    targets: TargetMaker | None = None,
) -> tuple[TrainingBatches | StreamBatches, OrderedBatches]:
    """Make the batches of training and validation, on the device.

    Parameters
    ----------
    recipe : Recipe
        Batch sizes and seed.
    prepared : TrainingData
        Tensors.
    device : torch.device
        Where they go.
    further : sequence of FittedPreprocessing
        By which teachers in the loop see the same images.
    targets : TargetMaker, optional
        Makes what the objective asks for beside labels.

    Returns
    -------
    tuple of TrainingBatches (or StreamBatches) and OrderedBatches
        Training, validation.
    """
    settings = recipe.training
    training: TrainingBatches | StreamBatches
    if prepared.stream is not None:
        training = StreamBatches(
            prepared.stream,
            (prepared.preprocessing, *further),
            recipe.stream.images_per_epoch,
            settings.batch_size,
            device,
            targets,
        )
    else:
        training = TrainingBatches(
            prepared.train_images.to(device),
            prepared.train_labels.to(device),
            settings.batch_size,
            recipe.seed,
            [prepared.preprocess_training(preprocessing).to(device) for preprocessing in further],
            _targets(targets, prepared.train, device),
            settings.images_per_epoch,
        )
    validation = OrderedBatches(
        prepared.validation_images.to(device),
        prepared.validation_labels.to(device),
        settings.evaluation_batch_size,
        _targets(targets, prepared.validation, device),
    )
    return training, validation


def _targets(
    maker: TargetMaker | None, lenses: LensImages, device: torch.device
) -> dict[str, Tensor] | None:
    if maker is None:
        return None
    return {name: values.to(device) for name, values in maker.make(lenses).items()}
