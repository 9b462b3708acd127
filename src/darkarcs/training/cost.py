"""What a recipe costs: tokens that go forward for each image, measured without training."""

from __future__ import annotations

from dataclasses import replace

import torch

from darkarcs.objectives import Batch
from darkarcs.seeding import torch_generator
from darkarcs.training.batches import TrainingBatch
from darkarcs.training.building import build_model, build_objective
from darkarcs.training.preparation import TrainingData
from darkarcs.training.recipe import Recipe
from darkarcs.training.target_maker import make_target_maker
from darkarcs.training.teaching_plan import TeachingPlan, plan_teaching

#: Steps of an imagined run, and those of them that are tried: schedules change the cost.
_STEPS = 1000
_TRIED = (0, 249, 499, 749, 999)


def token_forwards_per_image(recipe: Recipe, prepared: TrainingData) -> float:
    """Measure the token-forwards of one training image, averaged over the run's schedules.

    Parameters
    ----------
    recipe : Recipe
        Model, objective and teachers.
    prepared : TrainingData
        Images of the run.

    Returns
    -------
    float
        Teachers and decoders included, stored answers spread over the epochs; zero for a model
        without tokens.
    """
    class_names = prepared.train.class_names
    plan = plan_teaching(recipe, prepared, class_names)
    described = None if plan is None else plan.describe()
    model = build_model(recipe, prepared, len(class_names))
    maker = make_target_maker(recipe, prepared.preprocessing, model)
    statistics = None if maker is None else maker.describe(prepared.train)
    objective = build_objective(recipe, prepared, model, _STEPS, described, statistics)
    batch = _first_batch(recipe, prepared, plan)
    size, answers, before = len(batch.images), None, 0.0
    if plan is not None:
        teaching = plan.teach(objective.teacher_captures, recipe.seed, torch.device("cpu"))
        answers = teaching.answer(batch, batch.images, 0)
        if not plan.in_loop:
            settings = recipe.training
            num_images = len(prepared.train_images)
            seen = settings.epochs * min(settings.images_per_epoch or num_images, num_images)
            before = answers.token_forwards * plan.answers_a_step_image(num_images, seen) / size
            answers = replace(answers, token_forwards=0)
    few = prepared.train.select(range(size))
    targets = None if maker is None else maker.make(few)
    spent = [
        objective(
            model,
            Batch(batch.images, batch.labels, batch.indices, answers, targets),
            step,
            torch_generator(recipe.seed, "cost", step),
        ).token_forwards
        for step in _TRIED
    ]
    return before + float(sum(spent)) / len(spent) / size


def _first_batch(
    recipe: Recipe, prepared: TrainingData, plan: TeachingPlan | None
) -> TrainingBatch:
    size = min(recipe.training.batch_size, len(prepared.train))
    few = prepared.train.images[:size]
    further = () if plan is None else plan.further
    return TrainingBatch(
        prepared.train_images[:size],
        prepared.train_labels[:size],
        torch.arange(size),
        views=tuple(torch.from_numpy(f.apply(few, prepared.train.pixel_scale)) for f in further),
    )
