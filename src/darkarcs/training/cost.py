"""What a recipe costs: tokens that go forward for each image, measured without training."""

from __future__ import annotations

import torch

from darkarcs.objectives import Batch
from darkarcs.seeding import torch_generator
from darkarcs.training.building import build_model, build_objective
from darkarcs.training.preparation import TrainingData
from darkarcs.training.recipe import Recipe

#: Steps of an imagined run, and those of them that are tried: schedules change the cost.
_STEPS = 1000
_TRIED = (0, 249, 499, 749, 999)


def token_forwards_per_image(recipe: Recipe, prepared: TrainingData) -> float:
    """Measure the token-forwards of one training image, averaged over the run's schedules.

    Parameters
    ----------
    recipe : Recipe
        Model and objective.
    prepared : TrainingData
        Images of the run.

    Returns
    -------
    float
        Teachers and decoders included; zero for a model without tokens.
    """
    model = build_model(recipe, prepared, len(prepared.class_counts))
    objective = build_objective(recipe, prepared, model, _STEPS)
    size = min(recipe.training.batch_size, len(prepared.train_images))
    batch = Batch(
        prepared.train_images[:size],
        prepared.train_labels[:size],
        torch.arange(size),
    )
    spent = [
        objective(model, batch, step, torch_generator(recipe.seed, "cost", step)).token_forwards
        for step in _TRIED
    ]
    return float(sum(spent)) / len(spent) / size
