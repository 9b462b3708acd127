"""The weighted sum of all losses between a student and its teachers, for any objective."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from darkarcs.errors import ConfigurationError
from darkarcs.objectives.contract import ObjectiveContext
from darkarcs.objectives.distillation_losses import hard_answers, soft_answers
from darkarcs.objectives.model_shape import measure_shape
from darkarcs.objectives.teacher_matching import (
    ClassAttentionMatching,
    FeatureMatching,
    Matching,
    RelationMatching,
)
from darkarcs.objectives.teacher_terms import TeacherTerms
from darkarcs.objectives.teaching import TeacherAnswers
from darkarcs.objectives.weight_schedule import is_ever_used, weight_at


class TeacherLosses(nn.Module):
    """The losses of `TeacherTerms`, with the projections that they need.

    `DistillationObjective` is this and the labels. An objective whose student sees less than
    the teacher (patches erased, noise added) owns one as well: the losses compare what the
    student made of its input with what the teacher made of its own.

    Parameters
    ----------
    terms : TeacherTerms
        Weights and settings.
    context : ObjectiveContext
        The student's and the teacher's shapes.
    key : str, default "objective"
        Of the terms in the recipe, for messages.
    labels_are_used : bool, default True
        Whether labels are learned besides. If not, both heads of a student with a distillation
        token learn the answers: inference averages them, and nothing else would train the other.

    Attributes
    ----------
    student_captures, teacher_captures : tuple of str
        What the two models must be asked for.

    Raises
    ------
    ConfigurationError
        If the teachers, or the student, cannot give what a loss needs.
    """

    def __init__(
        self,
        terms: TeacherTerms,
        context: ObjectiveContext,
        key: str = "objective",
        labels_are_used: bool = True,
    ) -> None:
        super().__init__()
        self.terms = terms
        self.labels_are_used = labels_are_used
        self.uses_answers = is_ever_used(terms.answers.weight)
        self.matchings = nn.ModuleDict(_make_matchings(terms, context, key))
        if context.teacher is None:
            raise ConfigurationError(
                "there is nobody to learn from: name model folders in teacher.models"
            )
        if self.uses_answers and not context.teacher.gives_answers:
            other = context.teacher.other_classes or "the teachers tell other classes apart"
            raise ConfigurationError(
                f"{other}: their answers cannot be learned; leave such a teacher out, or set "
                f"{key}.answers.weight to 0"
            )
        if not self.uses_answers and not self.matchings:
            raise ConfigurationError(
                f"nothing is learned from the teachers: all weights of {key}.answers, "
                "features, relations and class_attention are 0"
            )
        members = [self._matching(name) for name in self.matchings]
        self.student_captures = tuple(sorted(set().union(*(m.student_captures for m in members))))
        self.teacher_captures = tuple(sorted(set().union(*(m.teacher_captures for m in members))))

    def forward(
        self,
        output: Any,
        teacher: TeacherAnswers,
        share: float,
        erased: Tensor | None = None,
        image_weights: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the weighted sum.

        Parameters
        ----------
        output : object
            The student's: ``logits``, ``distillation_logits`` and ``captured``, for which it was
            asked by ``student_captures``.
        teacher : TeacherAnswers
            What the teachers say to the same images.
        share : float
            Of the training that is done, for schedules.
        erased : torch.Tensor, shape (B, patches), bool, optional
            Patches that do not count in features, relations and attention: those that the
            student's sequence left out (``erased="skip"``), and those in it that may be spared.
        image_weights : torch.Tensor, shape (B,), optional
            Of each image in the answers' mean; one by default.

        Returns
        -------
        loss : torch.Tensor, shape ()
            The sum; zero, with a graph, where a schedule leaves nothing to learn.
        parts : dict of str to torch.Tensor
            Each loss before its weight, detached; those of weight 0 are absent.
        """
        parts: dict[str, Tensor] = {}
        # float32: under bfloat16 autocast, divergences near zero would be noise
        with torch.autocast(output.logits.device.type, enabled=False):
            loss = 0.0 * output.logits.float().sum()
            for name in ("answers", *self.matchings):
                weight = weight_at(getattr(self.terms, name).weight, share)
                if weight == 0:
                    continue
                if name == "answers":
                    part = self._compare_answers(output, teacher, image_weights)
                else:
                    part = self._matching(name)(output.captured, teacher.captured, erased)
                loss = loss + weight * part
                parts[name] = part.detach()
        return loss, parts

    def _compare_answers(
        self, output: Any, teacher: TeacherAnswers, image_weights: Tensor | None
    ) -> Tensor:
        assert teacher.logits is not None
        # as in DeiT, the distillation token learns from the teacher where there is one
        token = output.distillation_logits
        heads: list[Tensor] = [output.logits if token is None else token]
        if token is not None and not self.labels_are_used:
            heads.append(output.logits)
        if self.terms.answers.kind == "hard":
            losses = [hard_answers(head, teacher.logits, image_weights) for head in heads]
        else:
            heat = self.terms.answers.temperature
            losses = [soft_answers(head, teacher.logits, heat, image_weights) for head in heads]
        return torch.stack(losses).mean()

    def _matching(self, name: str) -> Matching:
        matching = self.matchings[name]
        assert isinstance(matching, Matching)
        return matching


def _make_matchings(
    terms: TeacherTerms, context: ObjectiveContext, key: str
) -> dict[str, Matching]:
    wanted = [
        name
        for name in ("features", "relations", "class_attention")
        if is_ever_used(getattr(terms, name).weight)
    ]
    if not wanted or context.teacher is None:
        return {}
    teacher = context.teacher.shape
    if teacher is None:
        raise ConfigurationError(
            f"{key}.{wanted[0]}.weight is above 0, which needs the teacher in the loop: stored "
            "answers hold no hidden states; set teacher.answers to loop"
        )
    student = measure_shape(context.model, context.in_channels, context.image_size)
    makers: dict[str, Matching] = {}
    if "features" in wanted:
        makers["features"] = FeatureMatching(terms.features, student, teacher, f"{key}.features")
    if "relations" in wanted:
        makers["relations"] = RelationMatching(
            terms.relations, student, teacher, f"{key}.relations"
        )
    if "class_attention" in wanted:
        makers["class_attention"] = ClassAttentionMatching(
            terms.class_attention, student, teacher, f"{key}.class_attention"
        )
    return makers
