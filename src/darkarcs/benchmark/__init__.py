"""Measurements of models and of the package itself."""

from darkarcs.benchmark.cross_validation import cross_validate
from darkarcs.benchmark.training_speed import training_speed

__all__ = ["cross_validate", "training_speed"]
