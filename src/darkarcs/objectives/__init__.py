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
from darkarcs.objectives.distillation import Distillation, DistillationObjective
from darkarcs.objectives.erasing import IterativeErasing
from darkarcs.objectives.iterative_erasing import IterativeErasingObjective
from darkarcs.objectives.model_shape import ModelShape, measure_shape
from darkarcs.objectives.teacher_losses import TeacherLosses
from darkarcs.objectives.teacher_terms import TeacherTerms
from darkarcs.objectives.teaching import TeacherAnswers, TeacherDescription

__all__ = [
    "UNLABELLED",
    "Batch",
    "Classification",
    "ClassificationObjective",
    "Distillation",
    "DistillationObjective",
    "IterativeErasing",
    "IterativeErasingObjective",
    "ModelShape",
    "Objective",
    "ObjectiveContext",
    "ObjectiveOutput",
    "TeacherAnswers",
    "TeacherDescription",
    "TeacherLosses",
    "TeacherTerms",
    "measure_shape",
    "objectives",
]
