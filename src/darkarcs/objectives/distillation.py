"""Distillation: a student learns from labels, and from what its teachers say and think.

References
----------
.. [1] Hinton, Vinyals & Dean 2015, arXiv:1503.02531.
.. [2] Touvron et al. 2021, arXiv:2012.12877, section 4.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.objectives.classification import class_weights
from darkarcs.objectives.contract import (
    UNLABELLED,
    Batch,
    Objective,
    ObjectiveContext,
    ObjectiveOutput,
    count_token_forwards,
    objectives,
)
from darkarcs.objectives.teacher_losses import TeacherLosses
from darkarcs.objectives.teacher_terms import TeacherTerms
from darkarcs.objectives.weight_schedule import Weight, is_ever_used, weight_at


class LabelTerm(Configuration):
    """Learning the labels.

    Attributes
    ----------
    weight : float or tuple of (float, float), default 0.5
        A number, or knots of a course; see `darkarcs.objectives.weight_schedule.Weight`.
    label_smoothing, class_weights
        As in `darkarcs.objectives.Classification`.
    """

    weight: Weight = 0.5
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"


class Distillation(TeacherTerms):
    """Configuration of `DistillationObjective`.

    Attributes
    ----------
    kind : {"distillation"}
        Name of the objective in a recipe.
    labels : LabelTerm
        The labels' own cross-entropy.
    """

    kind: Literal["distillation"] = "distillation"
    labels: LabelTerm = LabelTerm()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.uses_labels and not is_ever_used(self.answers.weight):
            raise ValueError(
                "nothing would train the head: set labels.weight or answers.weight above 0"
            )
        return self

    @property
    def uses_labels(self) -> bool:
        """Whether labels are learned at any time."""
        return is_ever_used(self.labels.weight)


class DistillationObjective(Objective):
    """Cross-entropy against the labels, and any mix of losses against the teachers [1]_.

    The loss is a mean over images: one without a label adds what it learns from the teachers
    only. Where a student has a distillation token, that token learns the answers and the class
    token the labels [2]_; if only labels or only answers are learned, both learn them, since
    inference averages both.

    Parameters
    ----------
    configuration : Distillation
        Weights and settings.
    context : ObjectiveContext
        The run.

    Raises
    ------
    ConfigurationError
        If the teachers, or the student, cannot give what a loss needs.

    References
    ----------
    .. [1] Hinton, Vinyals & Dean 2015, arXiv:1503.02531.
    .. [2] Touvron et al. 2021, arXiv:2012.12877, section 4.
    """

    uses_unlabelled = True
    uses_teacher = True
    weights: Tensor | None

    def __init__(self, configuration: Distillation, context: ObjectiveContext) -> None:
        super().__init__()
        self.configuration = configuration
        self.num_steps = context.num_steps
        self.losses = TeacherLosses(
            configuration, context, labels_are_used=configuration.uses_labels
        )
        self.teacher_captures = self.losses.teacher_captures
        weights = class_weights(configuration.labels.class_weights, context.class_counts)
        self.register_buffer("weights", weights, persistent=False)

    def forward(
        self, model: nn.Module, batch: Batch, step: int, generator: torch.Generator
    ) -> ObjectiveOutput:
        """Compute the losses of one step; see `Objective.forward`."""
        if batch.teacher is None:
            raise ConfigurationError("distillation needs the teachers' answers in every batch")
        share = min(1.0, step / max(1, self.num_steps))
        output: Any = model(batch.images, capture=self.losses.student_captures)
        loss, parts = self.losses(output, batch.teacher, share)
        weight = weight_at(self.configuration.labels.weight, share)
        if weight > 0:
            labels = self._label_loss(output, batch.labels)
            loss = loss + weight * labels
            parts["labels"] = labels.detach()
        return ObjectiveOutput(
            loss=loss,
            parts=parts,
            logits=output.logits.detach(),
            token_forwards=count_token_forwards(model, batch.images) + batch.teacher.token_forwards,
        )

    def _label_loss(self, output: Any, labels: Tensor) -> Tensor:
        loss = self._cross_entropy(output.logits, labels)
        if output.distillation_logits is not None and not self.losses.uses_answers:
            loss = (loss + self._cross_entropy(output.distillation_logits, labels)) / 2
        return loss

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        each = functional.cross_entropy(
            logits.float(),
            labels,
            weight=self.weights,
            label_smoothing=self.configuration.labels.label_smoothing,
            ignore_index=UNLABELLED,
            reduction="none",
        )
        labelled = (labels != UNLABELLED).float()
        weights = labelled if self.weights is None else labelled * self.weights[labels.clamp(min=0)]
        # a mean over all images, to which those without a label add nothing
        return labelled.mean() * each.sum() / weights.sum().clamp(min=1e-12)


objectives.register("distillation")((Distillation, DistillationObjective))
