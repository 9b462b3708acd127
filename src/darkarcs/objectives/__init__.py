"""What a model is trained for: losses that receive any `torch.nn.Module` and know no model."""

from darkarcs.objectives.classification import Classification, ClassificationObjective
from darkarcs.objectives.contract import Batch, Objective, ObjectiveOutput, objectives

__all__ = [
    "Batch",
    "Classification",
    "ClassificationObjective",
    "Objective",
    "ObjectiveOutput",
    "objectives",
]
