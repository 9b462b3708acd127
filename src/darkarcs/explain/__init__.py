"""Where a model looks, and what it looks for: maps over the image, and prediction by erasing."""

from darkarcs.explain.attention import attention_rollout, class_attention
from darkarcs.explain.capturing import capture_attention, reading_tokens, to_pixels
from darkarcs.explain.erasing import (
    ErasingPrediction,
    ErasingSettings,
    iterative_erasing_prediction,
    require_erasable,
)
from darkarcs.explain.evidence import evidence_map
from darkarcs.explain.explanation import ExplainSettings, Explanation, explain_images
from darkarcs.explain.gradients import gradient_weighted_attention, input_gradient

__all__ = [
    "ErasingPrediction",
    "ErasingSettings",
    "ExplainSettings",
    "Explanation",
    "attention_rollout",
    "capture_attention",
    "class_attention",
    "evidence_map",
    "explain_images",
    "gradient_weighted_attention",
    "input_gradient",
    "iterative_erasing_prediction",
    "reading_tokens",
    "require_erasable",
    "to_pixels",
]
