"""From a recipe and prepared data to the model, the objective and the batches of a run."""

from __future__ import annotations

import logging
from typing import Any

import torch

from darkarcs.errors import ConfigurationError
from darkarcs.models import ImageClassifier, apply_finetuning, create_model
from darkarcs.objectives import Objective, ObjectiveContext, objectives
from darkarcs.seeding import derive_seed
from darkarcs.training.batches import OrderedBatches, TrainingBatches
from darkarcs.training.preparation import TrainingData
from darkarcs.training.recipe import Recipe

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
    recipe: Recipe, prepared: TrainingData, model: ImageClassifier, num_steps: int
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

    Returns
    -------
    Objective
        On the CPU, its own modules seeded.
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
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "objective weights"))
        return make(recipe.objective, context)


def make_batches(
    recipe: Recipe, prepared: TrainingData, device: torch.device
) -> tuple[TrainingBatches, OrderedBatches]:
    """Make the batches of training and validation, on the device.

    Parameters
    ----------
    recipe : Recipe
        Batch sizes and seed.
    prepared : TrainingData
        Tensors.
    device : torch.device
        Where they go.

    Returns
    -------
    tuple of TrainingBatches and OrderedBatches
        Training, validation.
    """
    settings = recipe.training
    training = TrainingBatches(
        prepared.train_images.to(device),
        prepared.train_labels.to(device),
        settings.batch_size,
        recipe.seed,
    )
    validation = OrderedBatches(
        prepared.validation_images.to(device),
        prepared.validation_labels.to(device),
        settings.evaluation_batch_size,
    )
    return training, validation
