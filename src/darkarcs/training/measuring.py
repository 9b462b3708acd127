"""What a run that measures leaves: the head with its calibrated intervals."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from darkarcs.evaluation.conformal_regression import fit_correction
from darkarcs.measurement import (
    MeasuredTarget,
    Measurement,
    find_targets,
    measurement_files,
    predict_measurements,
)
from darkarcs.objectives import Objective, RegressionObjective
from darkarcs.objectives.regression_losses import GaussianLoss, quantile_shares
from darkarcs.training.batches import OrderedBatches
from darkarcs.training.preparation import TrainingData
from darkarcs.training.recipe import Recipe


def release_measurement(
    objective: Objective,
    model: nn.Module,
    prepared: TrainingData,
    recipe: Recipe,
) -> dict[str, bytes]:
    """Calibrate the measuring head of a run on validation, for its model folder.

    Parameters
    ----------
    objective : Objective
        With the selected weights.
    model : torch.nn.Module
        With the selected weights.
    prepared : TrainingData
        Its validation lenses calibrate; the choice among epochs was theirs too, which is one
        choice among a few and moves coverage by less than its own error.
    recipe : Recipe
        Its test-time augmentation and batch size.

    Returns
    -------
    dict of str to bytes
        Files of the model folder; none of an objective that does not measure.
    """
    if not isinstance(objective, RegressionObjective):
        return {}
    objective = objective.cpu().eval()
    head, settings = objective.head, objective.configuration
    description = Measurement(
        shape=head.shape,
        loss=settings.loss,
        levels=tuple(sorted(settings.levels)),
        targets=tuple(
            MeasuredTarget(
                name=name,
                transform=transform,
                mean=objective.statistics.mean[name],
                std=objective.statistics.std[name],
            )
            for name, transform in settings.targets.items()
        ),
        map=settings.map,
        balance=objective.balance,
        calibration=f"{len(prepared.validation)} validation lenses",
    )
    batches = OrderedBatches(
        prepared.validation_images,
        prepared.validation_labels,
        recipe.training.evaluation_batch_size,
    )
    model = model.cpu().eval()
    with torch.inference_mode():
        parts = [
            predict_measurements(
                model, head, description, batch.images, recipe.test_time_augmentation
            ).quantiles
            for batch in batches
        ]
    quantiles = torch.cat(parts).double().numpy()  # (N, T, Q)
    request = description.request()
    found = find_targets(prepared.validation, request, prepared.preprocessing, head.shape.grid)
    targets = tuple(
        _calibrated(target, quantiles[:, index], found[target.name], description)
        for index, target in enumerate(description.targets)
    )
    return measurement_files(head, description.model_copy(update={"targets": targets}))


def _calibrated(
    target: MeasuredTarget,
    quantiles: NDArray[np.float64],
    truth: NDArray[np.float32],
    description: Measurement,
) -> MeasuredTarget:
    shares = quantile_shares(description.levels)
    scaled = isinstance(description.loss, GaussianLoss)
    corrections = {}
    for level in description.levels:
        low = int(np.argmin(np.abs(np.array(shares) - (1 - level) / 2)))
        lower, upper = quantiles[:, low], quantiles[:, len(shares) - 1 - low]
        correction = fit_correction(lower, upper, truth, level, scaled=scaled)
        if correction is not None:  # too few lenses: the interval stays as it was learned
            corrections[f"{level:g}"] = correction
    known = int(np.isfinite(truth).sum())
    return target.model_copy(update={"corrections": corrections, "num_calibration": known})
