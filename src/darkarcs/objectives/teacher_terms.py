"""What a recipe says about learning from teachers: which losses, how strongly, and when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from darkarcs.configuration import Configuration
from darkarcs.objectives.distillation_losses import Distance, Layers
from darkarcs.objectives.weight_schedule import Weight

RelationKind = Literal["query", "key", "value"]


class AnswerTerm(Configuration):
    """Learning the teachers' answers.

    Attributes
    ----------
    weight : float or tuple of (float, float), default 0.5
        A number, or knots of a course; see `darkarcs.objectives.weight_schedule.Weight`.
    kind : {"soft", "hard"}, default "soft"
        Probabilities, or the most probable class only.
    temperature : float, default 2.0
        Of the soft answers.
    """

    weight: Weight = 0.5
    kind: Literal["soft", "hard"] = "soft"
    temperature: float = Field(default=2.0, gt=0, allow_inf_nan=False)


class FeatureTerm(Configuration):
    """Learning the teacher's hidden states.

    Attributes
    ----------
    weight : float or tuple of (float, float), default 0.0
        As in `AnswerTerm`.
    distance : {"cosine", "mse"}, default "cosine"
        See `darkarcs.objectives.distillation_losses.feature_loss`.
    layers : {"last", "early", "all"} or tuple of (int, int), default "last"
        See `darkarcs.objectives.distillation_losses.layer_mapping.Layers`.
    """

    weight: Weight = 0.0
    distance: Distance = "cosine"
    layers: Layers = "last"


class RelationTerm(Configuration):
    """Learning the relations between the teacher's tokens.

    Attributes
    ----------
    weight : float or tuple of (float, float), default 0.0
        As in `AnswerTerm`.
    of : tuple of {"query", "key", "value"}
        Of which vectors; the mean of their losses is taken.
    num_heads : int, optional
        Relation heads; by default as many as the teacher has heads and both widths allow.
    layers : {"last", "early", "all"} or tuple of (int, int), default "last"
        As in `FeatureTerm`.
    """

    weight: Weight = 0.0
    of: tuple[RelationKind, ...] = Field(default=("query", "key", "value"), min_length=1)
    num_heads: int | None = Field(default=None, ge=1)
    layers: Layers = "last"


class ClassAttentionTerm(Configuration):
    """Learning where the teacher's class token looks.

    Attributes
    ----------
    weight : float or tuple of (float, float), default 0.0
        As in `AnswerTerm`.
    layers : {"last", "early", "all"} or tuple of (int, int), default "last"
        As in `FeatureTerm`.
    """

    weight: Weight = 0.0
    layers: Layers = "last"


class TeacherTerms(Configuration):
    """Any weighted mix of what a student may learn from its teachers.

    Attributes
    ----------
    answers, features, relations, class_attention
        See their classes. A weight of 0 switches a loss off.
    """

    answers: AnswerTerm = AnswerTerm()
    features: FeatureTerm = FeatureTerm()
    relations: RelationTerm = RelationTerm()
    class_attention: ClassAttentionTerm = ClassAttentionTerm()
