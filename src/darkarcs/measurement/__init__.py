"""Measuring substructure: the truth of lens images, and the head that a model folder holds."""

from darkarcs.measurement.files import (
    MEASUREMENT_FILES,
    MeasuredTarget,
    Measurement,
    MeasuringModel,
    has_measurement,
    measurement_files,
    measures_only,
    read_measurement,
)
from darkarcs.measurement.prediction import MeasuredBatch, predict_measurements
from darkarcs.measurement.targets import describe_targets, find_targets

__all__ = [
    "MEASUREMENT_FILES",
    "MeasuredBatch",
    "MeasuredTarget",
    "Measurement",
    "MeasuringModel",
    "describe_targets",
    "find_targets",
    "has_measurement",
    "measurement_files",
    "measures_only",
    "predict_measurements",
    "read_measurement",
]
