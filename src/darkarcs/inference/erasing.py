"""Prediction by iterative erasing, under the test-time augmentation of a model folder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from darkarcs.data.augmentation import apply_dihedral
from darkarcs.explain import ErasingPrediction, ErasingSettings, iterative_erasing_prediction
from darkarcs.model_folder import TestTimeAugmentation


def predict_by_erasing(
    model: nn.Module,
    images: Tensor,
    test_time_augmentation: TestTimeAugmentation,
    erasing: ErasingSettings,
    temperature: float = 1.0,
    readers: slice | None = None,
) -> tuple[Tensor, Tensor]:
    """Predict one batch: `darkarcs.model_folder.predict_logits` with iterative erasing.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    images : torch.Tensor, shape (B, C, S, S)
        Preprocessed.
    test_time_augmentation : {"none", "dihedral"}
        ``dihedral`` erases each of the eight rotations and reflections by itself and averages
        their log-probabilities.
    erasing : ErasingSettings
        How often, and until when.
    temperature : float, default 1.0
        Divides the logits before they are compared with the confidence.
    readers : slice, optional
        Tokens that the head reads, if they are known.

    Returns
    -------
    logits : torch.Tensor, shape (B, K)
        Not divided by the temperature.
    rounds_used : torch.Tensor, shape (B,)
        The mean over the views.
    """

    def predict(view: Tensor) -> ErasingPrediction:
        options = erasing.model_dump()
        return iterative_erasing_prediction(
            model, view, temperature=temperature, readers=readers, **options
        )

    if test_time_augmentation == "none":
        prediction = predict(images)
        return prediction.logits, prediction.rounds_used.float()
    logits, rounds = [], []
    for element in range(8):
        chosen = torch.full((len(images),), element, device=images.device)
        prediction = predict(apply_dihedral(images, chosen))
        logits.append(prediction.logits.log_softmax(dim=1))
        rounds.append(prediction.rounds_used.float())
    return torch.stack(logits).mean(dim=0), torch.stack(rounds).mean(dim=0)
