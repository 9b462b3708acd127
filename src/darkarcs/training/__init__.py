"""Training: recipes, run by Lightning, end as model folders."""

from darkarcs.training.recipe import (
    ModelSettings,
    Recipe,
    TrainingSettings,
    load_recipe,
)
from darkarcs.training.train import TrainedRun, train

__all__ = [
    "ModelSettings",
    "Recipe",
    "TrainedRun",
    "TrainingSettings",
    "load_recipe",
    "train",
]
