"""From preprocessed images to quantiles and maps, in one view or averaged over eight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from darkarcs.data.augmentation import apply_dihedral
from darkarcs.measurement.files import Measurement
from darkarcs.objectives import MeasurementHead
from darkarcs.objectives.measurement_head import look
from darkarcs.objectives.regression_losses import (
    GaussianLoss,
    gaussian_quantiles,
    ordered_quantiles,
    quantile_shares,
)
from darkarcs.objectives.substructure_map import map_probability

#: The element of the dihedral group that undoes each; see `apply_dihedral`. A transposed image
#: is flipped back along the other axis.
INVERSE = (0, 1, 2, 3, 4, 6, 5, 7)


@dataclass(frozen=True)
class MeasuredBatch:
    """What is measured of a batch.

    Attributes
    ----------
    quantiles : torch.Tensor, shape (B, T, Q)
        Of each transformed number, at the shares of `quantile_shares`; not yet corrected.
    map : torch.Tensor, shape (B, G, G), or None
        Probability that a cell holds a subhalo.
    logits : torch.Tensor, shape (B, K)
        Of the classes.
    """

    quantiles: Tensor
    map: Tensor | None
    logits: Tensor


def predict_measurements(
    model: nn.Module,
    head: MeasurementHead,
    description: Measurement,
    images: Tensor,
    test_time_augmentation: Literal["none", "dihedral"] = "none",
) -> MeasuredBatch:
    """Measure one batch.

    Parameters
    ----------
    model : torch.nn.Module
        The backbone, in evaluation mode.
    head : MeasurementHead
        In evaluation mode.
    description : Measurement
        What the head's numbers mean.
    images : torch.Tensor, shape (B, C, S, S)
        Preprocessed.
    test_time_augmentation : {"none", "dihedral"}, default "none"
        ``dihedral`` averages quantiles, probabilities of the map (each turned back) and
        log-probabilities of the classes over the eight rotations and reflections.

    Returns
    -------
    MeasuredBatch
        On the device of the images.
    """
    if test_time_augmentation == "none":
        return _one_view(model, head, description, images)
    views = []
    for element in range(8):
        chosen = torch.full((len(images),), element)
        view = _one_view(model, head, description, apply_dihedral(images, chosen))
        probability = view.map
        if probability is not None:
            back = torch.full((len(images),), INVERSE[element])
            probability = apply_dihedral(probability[:, None], back)[:, 0]
        views.append(MeasuredBatch(view.quantiles, probability, view.logits.log_softmax(dim=1)))
    maps = [view.map for view in views if view.map is not None]
    return MeasuredBatch(
        torch.stack([view.quantiles for view in views]).mean(dim=0),
        torch.stack(maps).mean(dim=0) if maps else None,
        torch.stack([view.logits for view in views]).mean(dim=0),
    )


def _one_view(
    model: nn.Module, head: MeasurementHead, description: Measurement, images: Tensor
) -> MeasuredBatch:
    output, features = look(model, images)
    measured = head(features)
    shares = quantile_shares(description.levels)
    if isinstance(description.loss, GaussianLoss):
        quantiles = gaussian_quantiles(measured.values, shares)
    else:
        quantiles = ordered_quantiles(measured.values)
    mean = quantiles.new_tensor([target.mean for target in description.targets])[:, None]
    std = quantiles.new_tensor([target.std for target in description.targets])[:, None]
    probability = None
    if measured.map is not None and description.map is not None:
        probability = map_probability(measured.map, description.map.learns, description.balance)
    return MeasuredBatch(quantiles * std + mean, probability, output.logits)
