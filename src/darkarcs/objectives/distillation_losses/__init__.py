"""Losses between a student and its teacher, one a file; each is zero when both are equal.

Hard answers are so in the limit of a student that is sure.
"""

from darkarcs.objectives.distillation_losses.answers import (
    hard_answers,
    mean_log_probabilities,
    soft_answers,
)
from darkarcs.objectives.distillation_losses.class_attention import (
    class_attention,
    class_attention_loss,
)
from darkarcs.objectives.distillation_losses.features import Distance, feature_loss
from darkarcs.objectives.distillation_losses.layer_mapping import Layers, map_layers
from darkarcs.objectives.distillation_losses.relations import choose_num_heads, relation_loss
from darkarcs.objectives.distillation_losses.token_grids import (
    aligned_patches,
    join_heads,
    resample_grid,
    visible_patches,
)

__all__ = [
    "Distance",
    "Layers",
    "aligned_patches",
    "choose_num_heads",
    "class_attention",
    "class_attention_loss",
    "feature_loss",
    "hard_answers",
    "join_heads",
    "map_layers",
    "mean_log_probabilities",
    "relation_loss",
    "resample_grid",
    "soft_answers",
    "visible_patches",
]
