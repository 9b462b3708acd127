"""From prediction files to ROC curves, intervals, tests, calibration and result files."""

from darkarcs.evaluation.calibration import fit_temperature
from darkarcs.evaluation.evaluate import evaluate_predictions
from darkarcs.evaluation.predictions import (
    Predictions,
    join_predictions,
    read_predictions,
    write_predictions,
)

__all__ = [
    "Predictions",
    "evaluate_predictions",
    "fit_temperature",
    "join_predictions",
    "read_predictions",
    "write_predictions",
]
