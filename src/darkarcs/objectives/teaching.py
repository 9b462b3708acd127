"""What a training loop hands to an objective that learns from teachers."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from darkarcs.objectives.model_shape import ModelShape


@dataclass(frozen=True)
class TeacherDescription:
    """What an objective may know of the teachers before the first step.

    Attributes
    ----------
    gives_answers : bool
        Whether they tell the same classes apart as the student.
    shape : ModelShape, optional
        Of the teacher whose inside may be captured; None where the answers are stored.
    other_classes : str, default ""
        Which of them tells which other classes apart, for messages.
    """

    gives_answers: bool
    shape: ModelShape | None = None
    other_classes: str = ""


@dataclass(frozen=True)
class TeacherAnswers:
    """What the teachers say to one batch; nothing of it carries a gradient.

    Attributes
    ----------
    logits : torch.Tensor, shape (M, B, K), or None
        Of each teacher, in the student's order of classes; None where their classes differ.
    captured : dict of str to torch.Tensor
        What the objective asked for by `Objective.teacher_captures`, of one teacher.
    token_forwards : int
        Tokens that went through the teachers for this batch; zero for stored answers.
    """

    logits: Tensor | None
    captured: dict[str, Tensor] = field(default_factory=dict)
    token_forwards: int = 0
