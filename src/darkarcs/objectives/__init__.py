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
from darkarcs.objectives.measurement_head import HeadShape, MeasurementHead
from darkarcs.objectives.model_shape import ModelShape, measure_shape
from darkarcs.objectives.regression import Regression, RegressionObjective
from darkarcs.objectives.substructure_map import SubstructureMap
from darkarcs.objectives.targets import COUNTS, TargetRequest, TargetStatistics
from darkarcs.objectives.teacher_losses import TeacherLosses
from darkarcs.objectives.teacher_terms import TeacherTerms
from darkarcs.objectives.teaching import TeacherAnswers, TeacherDescription

__all__ = [
    "COUNTS",
    "UNLABELLED",
    "Batch",
    "Classification",
    "ClassificationObjective",
    "Distillation",
    "DistillationObjective",
    "HeadShape",
    "IterativeErasing",
    "IterativeErasingObjective",
    "MeasurementHead",
    "ModelShape",
    "Objective",
    "ObjectiveContext",
    "ObjectiveOutput",
    "Regression",
    "RegressionObjective",
    "SubstructureMap",
    "TargetRequest",
    "TargetStatistics",
    "TeacherAnswers",
    "TeacherDescription",
    "TeacherLosses",
    "TeacherTerms",
    "measure_shape",
    "objectives",
]
