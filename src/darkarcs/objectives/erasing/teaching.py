"""What the rounds learn from teachers who saw the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from darkarcs.objectives.contract import ObjectiveContext
from darkarcs.objectives.erasing.layout import TokenLayout
from darkarcs.objectives.erasing.losses import weighted_mean
from darkarcs.objectives.erasing.rounds import Round
from darkarcs.objectives.erasing.settings import RoundTerms
from darkarcs.objectives.teacher_losses import TeacherLosses
from darkarcs.objectives.teaching import TeacherAnswers


class RoundTeaching(nn.Module):
    r"""The losses of all rounds of one step against the teachers.

    .. math:: L^d = \frac{\sum_{r=0}^{K} \omega^d_r L^d_r}{\sum_{r=0}^{K} \omega^d_r}

    Each :math:`L^d_r` is the sum of `TeacherLosses` between what the student made of round `r`
    and what the teachers made of the whole image. Features, relations and attention are those of
    patches that the round shows; of a network without patches, whose cells see across the
    border of what went, all are compared.

    Parameters
    ----------
    terms : RoundTerms
        Weights and settings.
    layout : TokenLayout
        Of the student.
    context : ObjectiveContext
        The student's and the teacher's shapes.
    labels_are_used : bool
        Whether the rounds learn labels besides; see `TeacherLosses`.

    Attributes
    ----------
    losses : TeacherLosses
        Of one round, with the projections that it needs.

    Raises
    ------
    ConfigurationError
        If there is no teacher, or a model cannot give what a loss needs.
    """

    def __init__(
        self,
        terms: RoundTerms,
        layout: TokenLayout,
        context: ObjectiveContext,
        labels_are_used: bool,
    ) -> None:
        super().__init__()
        self.round_weights = terms.round_weights
        self.has_patches = layout.width > 0
        key = "objective.distillation"
        self.losses = TeacherLosses(terms, context, key, labels_are_used)

    def forward(
        self,
        whole: Round,
        rounds: Sequence[Round],
        teacher: TeacherAnswers,
        rows: Tensor,
        share: float,
        evidence: Sequence[Tensor | None],
        weights: Sequence[float],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the weighted mean over the rounds.

        Parameters
        ----------
        whole : Round
            Of the whole batch.
        rounds : sequence of Round
            Later ones, of the images ``rows``.
        teacher : TeacherAnswers
            To the whole images of the batch.
        rows : Tensor, shape (b,), int64
            The images that later rounds saw.
        share : float
            Of the run that is done, for schedules.
        evidence : sequence of (Tensor, shape (b,), or None)
            Weights of each image's answers in each later round; None where all are one.
        weights : sequence of float
            Of these rounds.

        Returns
        -------
        loss : Tensor, shape ()
            The mean.
        parts : dict of str to Tensor
            Each loss before its weight, detached: of the whole image by its name, and under
            ``<name>_erased`` the mean over later rounds. Rounds of weight 0 are left out.
        """
        chosen = _select(teacher, rows)
        losses: list[Tensor] = []
        by_name: dict[str, list[Tensor]] = {}
        seen = zip((whole, *rounds), (None, *evidence), strict=True)
        for number, (found, image_weights) in enumerate(seen):
            if weights[number] == 0:
                losses.append(0.0 * found.logits.float().sum())  # with a graph
                continue
            answers = teacher if number == 0 else chosen
            erased = found.erased if self.has_patches else None
            loss, parts = self.losses(found, answers, share, erased, image_weights)
            losses.append(loss)
            for name, part in parts.items():
                by_name.setdefault(name if number == 0 else f"{name}_erased", []).append(part)
        means = {name: torch.stack(found).mean() for name, found in by_name.items()}
        return weighted_mean(losses, weights), means


def _select(teacher: TeacherAnswers, rows: Tensor) -> TeacherAnswers:
    return replace(
        teacher,
        logits=None if teacher.logits is None else teacher.logits[:, rows],  # (M, b, K)
        captured={name: tensor[rows] for name, tensor in teacher.captured.items()},
    )
