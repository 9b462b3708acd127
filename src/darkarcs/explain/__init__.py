"""Where a model looks: maps over the image, from what a model was asked to capture."""

from darkarcs.explain.attention import attention_rollout, class_attention

__all__ = ["attention_rollout", "class_attention"]
