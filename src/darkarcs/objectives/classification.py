"""Plain classification: cross-entropy with label smoothing and class weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.objectives.contract import (
    Batch,
    Objective,
    ObjectiveContext,
    ObjectiveOutput,
    count_token_forwards,
    objectives,
)


class Classification(Configuration):
    """Configuration of `ClassificationObjective`.

    Attributes
    ----------
    kind : {"classification"}
        Name of the objective in a recipe.
    label_smoothing : float, default 0.0
        Share of the target's probability that is spread evenly over all classes.
    class_weights : {"none", "balanced"} or tuple of float, default "none"
        Weights of the classes in the loss; ``balanced`` is inversely proportional to the
        number of training images in a class, with mean one over the images.
    """

    kind: Literal["classification"] = "classification"
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"


def class_weights(
    choice: Literal["none", "balanced"] | tuple[float, ...], counts: Sequence[int]
) -> Tensor | None:
    """Turn the configured choice into one weight a class.

    Parameters
    ----------
    choice : {"none", "balanced"} or tuple of float
        As in `Classification`.
    counts : sequence of int, length K
        Training images in each class.

    Returns
    -------
    torch.Tensor, shape (K,), or None
        The weights; None where all are equal.

    Raises
    ------
    ConfigurationError
        If the number of weights is not the number of classes.

    Examples
    --------
    >>> class_weights("balanced", [10, 30])
    tensor([2.0000, 0.6667])
    """
    if choice == "none":
        return None
    if choice == "balanced":
        total = torch.tensor(counts, dtype=torch.float32)
        return total.sum() / (len(counts) * total.clamp(min=1))
    if len(choice) != len(counts):
        raise ConfigurationError(
            f"objective.class_weights: {len(choice)} weights for {len(counts)} classes"
        )
    return torch.tensor(choice, dtype=torch.float32)


class ClassificationObjective(Objective):
    """Cross-entropy of the logits against the labels.

    Where a model has a distillation token, its head is trained by the same labels and the
    loss is the mean of both, since inference averages both heads [1]_.

    Parameters
    ----------
    configuration : Classification
        Smoothing and weights.
    class_counts : sequence of int, length K
        Training images in each class.

    References
    ----------
    .. [1] Touvron et al. 2021, arXiv:2012.12877, section 4.
    """

    weights: Tensor | None

    def __init__(self, configuration: Classification, class_counts: Sequence[int]) -> None:
        super().__init__()
        self.configuration = configuration
        weights = class_weights(configuration.class_weights, class_counts)
        self.register_buffer("weights", weights, persistent=False)

    def forward(
        self, model: nn.Module, batch: Batch, step: int, generator: torch.Generator
    ) -> ObjectiveOutput:
        """Compute the cross-entropy of one step; see `Objective.forward`."""
        output = model(batch.images)
        loss = self._cross_entropy(output.logits, batch.labels)
        if output.distillation_logits is not None:
            loss = (loss + self._cross_entropy(output.distillation_logits, batch.labels)) / 2
        return ObjectiveOutput(
            loss=loss,
            parts={"classification": loss.detach()},
            logits=output.logits.detach(),
            token_forwards=count_token_forwards(model, batch.images),
        )

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        # float32: under bfloat16 autocast the logits have three digits
        return functional.cross_entropy(
            logits.float(),
            labels,
            weight=self.weights,
            label_smoothing=self.configuration.label_smoothing,
        )


def _from_context(
    configuration: Classification, context: ObjectiveContext
) -> ClassificationObjective:
    return ClassificationObjective(configuration, context.class_counts)


objectives.register("classification")((Classification, _from_context))
