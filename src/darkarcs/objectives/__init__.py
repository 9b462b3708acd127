"""What a model is trained for: losses that receive any `torch.nn.Module` and know no model."""

from darkarcs.objectives.classification import Classification, ClassificationObjective
from darkarcs.objectives.contract import (
    UNLABELLED,
    Batch,
    Objective,
    ObjectiveContext,
    ObjectiveOutput,
    objectives,
)

__all__ = [
    "UNLABELLED",
    "Batch",
    "Classification",
    "ClassificationObjective",
    "Objective",
    "ObjectiveContext",
    "ObjectiveOutput",
    "objectives",
]
