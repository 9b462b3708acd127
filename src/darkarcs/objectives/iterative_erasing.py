"""Iterative erasing: parts of the image go, round by round, and the model still has to answer.

References
----------
.. [1] Wei et al. 2017, CVPR, arXiv:1703.08448: adversarial erasing.
.. [2] Kakogeorgiou et al. 2022, ECCV, arXiv:2203.12719: masking by attention, hints.
.. [3] He et al. 2022, CVPR, arXiv:2111.06377: reconstruction of masked patches.
.. [4] Singh et al. 2018, arXiv:1811.02545: random patches (hide-and-seek).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from darkarcs.errors import ConfigurationError
from darkarcs.objectives.classification import class_weights
from darkarcs.objectives.contract import (
    UNLABELLED,
    Batch,
    Objective,
    ObjectiveContext,
    ObjectiveOutput,
    objectives,
)
from darkarcs.objectives.erasing.batch_statistics import (
    batch_statistics_kept,
    update_batch_statistics,
)
from darkarcs.objectives.erasing.decoder import ReconstructionDecoder
from darkarcs.objectives.erasing.layout import find_layout
from darkarcs.objectives.erasing.losses import (
    classification_loss,
    consistency_loss,
    cut_patches,
    reconstruction_loss,
    remaining_probability,
    visible_attention,
    weighted_mean,
)
from darkarcs.objectives.erasing.moving_average import MovingAverage
from darkarcs.objectives.erasing.rounds import ErasingRounds, Round
from darkarcs.objectives.erasing.schedule import erased_counts, merged_weights
from darkarcs.objectives.erasing.settings import IterativeErasing
from darkarcs.objectives.erasing.teaching import RoundTeaching
from darkarcs.objectives.teaching import TeacherAnswers


class IterativeErasingObjective(Objective):
    r"""Classify the whole image and what is left of it, reconstruct what went, stay consistent.

    .. math:: L = \lambda_c \frac{\sum_{r=0}^{K} \omega_r g_r L^c_r}{\sum_{r=0}^{K} \omega_r g_r}
              + \frac{\lambda_r}{|R|} \sum_{r \in R} L^r_r
              + \frac{\lambda_k}{K} \sum_{r=1}^{K} L^k_r
              + L^d

    with the losses of `darkarcs.objectives.erasing.losses` in each round `r`, the rounds'
    weights :math:`\omega_r`, the rounds `R` that are reconstructed and, under
    ``guard: anneal``, :math:`g_r = 1 - t` for the share `t` of the run that lies behind
    (:math:`g_r = 1` otherwise, and for the whole image). :math:`L^d` is what the rounds learn from
    teachers who see the whole image, where the configuration has ``distillation``: see
    `darkarcs.objectives.erasing.teaching.RoundTeaching`. Answers of later rounds carry
    :math:`g_r` too.

    Where a model has a distillation token, the cross-entropy and the consistency are means over
    its two heads, as in `ClassificationObjective`; if that token learns answers, the labels are
    left to the class token, as in `DistillationObjective`. There, and so here with
    ``distillation``, a loss is a mean over all images; without it, the cross-entropy is one over
    those that have a label.

    Parameters
    ----------
    configuration : IterativeErasing
        What goes, what takes its place, and the weights of the losses.
    context : ObjectiveContext
        The model's shapes and the length of the run.

    Raises
    ------
    ModelError
        If the model lacks something that the configuration needs.
    ConfigurationError
        If the teachers, or the student, cannot give what ``distillation`` needs.

    References
    ----------
    The module names the sources of the parts.
    """

    weights: Tensor | None

    def __init__(self, configuration: IterativeErasing, context: ObjectiveContext) -> None:
        super().__init__()
        self.configuration = c = configuration
        self.num_steps = max(1, context.num_steps)
        self.uses_unlabelled = c.learns_without_labels
        self.is_self_supervised = c.is_self_supervised
        self.layout = find_layout(context.model, c, context.in_channels, context.image_size)
        weights = class_weights(c.class_weights, context.class_counts)
        self.register_buffer("weights", weights, persistent=False)
        self.decoder: ReconstructionDecoder | None = None
        if c.weights.reconstruction and c.num_rounds:
            self.decoder = ReconstructionDecoder(
                self.layout.width,
                self.layout.num_patches,
                context.in_channels * self.layout.patch_size**2,
                **c.decoder.model_dump(),
            )
        self.average: MovingAverage | None = None
        if c.needs_attention and c.attention_of == "average":
            self.average = MovingAverage(context.model, c.average_decay)
        self.teaching: RoundTeaching | None = None
        if c.distillation is not None:
            self.teaching = RoundTeaching(c.distillation, self.layout, context, c.uses_labels)
            self.uses_teacher = True
            self.teacher_captures = self.teaching.losses.teacher_captures

    def forward(
        self, model: nn.Module, batch: Batch, step: int, generator: torch.Generator
    ) -> ObjectiveOutput:
        """Compute the losses of one step; see `Objective.forward`."""
        c = self.configuration
        progress = min(1.0, step / self.num_steps)
        labels = batch.labels if c.uses_labels else torch.full_like(batch.labels, UNLABELLED)
        if self.average is not None and self.training:
            self.average.update(model, step)
        rows = self._draw_rows(len(labels), generator).to(labels.device)
        compared = () if self.teaching is None else self.teaching.losses.student_captures
        runner = ErasingRounds(c, self.layout, model, self.average, generator, compared)
        counts = self._counts(progress)
        round_weights = merged_weights(self._round_weights(progress), counts)
        has_loss = c.weights.classification * round_weights[0] > 0 or self.teaching is not None
        whole, attention = runner.see_whole(batch.images, labels, rows, has_loss)
        images, chosen = batch.images[rows], labels[rows]
        rounds: list[Round] = []
        if c.num_rounds:
            if whole is None and self.training:
                update_batch_statistics(model, batch.images)
            with batch_statistics_kept(model):  # whole images make them
                rounds = runner.run(images, chosen, attention, tuple(dict.fromkeys(counts)))
        reference = None if whole is None else whole.select(rows)
        evidence = [self._evidence(found, reference, chosen, attention) for found in rounds]
        losses: list[Tensor] = []
        parts: dict[str, Tensor] = {}
        if c.weights.classification and whole is not None:
            by_round = [self._cross_entropy(whole, labels, None)]
            by_round += [
                self._cross_entropy(found, chosen, weights)
                for found, weights in zip(rounds, evidence, strict=True)
            ]
            losses.append(c.weights.classification * weighted_mean(by_round, round_weights))
            parts["classification"] = by_round[0].detach()
            if rounds:
                parts["classification_erased"] = torch.stack(by_round[1:]).detach().mean()
        if c.weights.consistency and rounds and reference is not None:
            loss = torch.stack([_consistency(found, reference) for found in rounds]).mean()
            losses.append(c.weights.consistency * loss)
            parts["consistency"] = loss.detach()
        if self.decoder is not None:
            loss = self._reconstruction(self.decoder, images, rounds)
            losses.append(c.weights.reconstruction * loss)
            parts["reconstruction"] = loss.detach()
            decoded = sum(found.tokens is not None for found in rounds)
            runner.token_forwards += decoded * len(images) * self.layout.num_patches
        if self.teaching is not None and whole is not None:
            if c.guard == "anneal":
                evidence = [torch.full_like(found.logits[:, 0], 1 - progress) for found in rounds]
            teacher = _answers_of(batch)
            every = self.teaching.round_weights or (1.0,) * (c.num_rounds + 1)
            shares = merged_weights(every, counts)
            loss, learned = self.teaching(whole, rounds, teacher, rows, progress, evidence, shares)
            losses.append(loss)
            parts |= learned
            runner.token_forwards += teacher.token_forwards
        total = torch.stack(losses).sum()
        logits = (rounds[0] if whole is None else whole).logits.detach()
        return ObjectiveOutput(total, parts, logits, runner.token_forwards)

    def _draw_rows(self, num_images: int, generator: torch.Generator) -> Tensor:
        share = self.configuration.erased_images
        if share == 1 or not self.configuration.num_rounds:
            return torch.arange(num_images)
        count = max(1, int(share * num_images + 0.5))
        order = torch.randperm(num_images, generator=generator, device=generator.device)
        return order[:count].sort().values

    def _round_weights(self, progress: float) -> list[float]:
        c = self.configuration
        first, *later = c.round_weights or [1.0] * (c.num_rounds + 1)
        anneal = 1 - progress if c.guard == "anneal" else 1.0
        return [first, *(anneal * weight for weight in later)]

    def _counts(self, progress: float) -> tuple[int, ...]:
        c = self.configuration
        return erased_counts(
            self.layout.num_patches,
            c.num_rounds,
            erased_share=c.erased_share,
            max_erased=c.max_erased,
            anneal_in=c.anneal_in,
            progress=progress,
        )

    def _evidence(
        self, found: Round, whole: Round | None, labels: Tensor, attention: Tensor | None
    ) -> Tensor | None:
        """Weight of each image's label and answers in a later round; None where all are one."""
        c = self.configuration
        if c.guard not in ("cap", "evidence") or not (c.uses_labels or c.learns_answers):
            return None
        if c.evidence == "probability":
            assert whole is not None
            evidence = remaining_probability(found.logits, whole.logits, labels)
        else:
            assert attention is not None
            assert found.erased is not None
            evidence = visible_attention(attention, found.erased)
        return (evidence >= c.evidence_floor).float() if c.guard == "cap" else evidence

    def _cross_entropy(self, found: Round, labels: Tensor, evidence: Tensor | None) -> Tensor:
        # a distillation token that learns answers leaves the labels to the class token
        second = None if self.configuration.learns_answers else found.distillation_logits
        heads = [found.logits, second]
        losses = [
            classification_loss(
                logits,
                labels,
                image_weights=evidence,
                class_weights=self.weights,
                label_smoothing=self.configuration.label_smoothing,
            )
            for logits in heads
            if logits is not None
        ]
        loss = torch.stack(losses).mean()
        if self.teaching is None:
            return loss
        # as answers are: a mean over all images, to which those without a label add nothing
        return loss * (labels != UNLABELLED).float().mean()

    def _reconstruction(
        self, decoder: ReconstructionDecoder, images: Tensor, rounds: list[Round]
    ) -> Tensor:
        target = cut_patches(images, self.layout.patch_size)  # (B, P, pixels)
        normalize = self.configuration.normalize_patches
        losses = [
            reconstruction_loss(
                decoder(found.tokens, found.erased), target, found.erased, normalize
            )
            for found in rounds
            if found.tokens is not None and found.erased is not None
        ]
        return torch.stack(losses).mean()


def _answers_of(batch: Batch) -> TeacherAnswers:
    if batch.teacher is None:
        raise ConfigurationError(
            "objective.distillation needs the teachers' answers in every batch: name model folders "
            "in teacher.models"
        )
    return batch.teacher


def _consistency(found: Round, whole: Round) -> Tensor:
    loss = consistency_loss(found.logits, whole.logits)
    if found.distillation_logits is None or whole.distillation_logits is None:
        return loss
    return (loss + consistency_loss(found.distillation_logits, whole.distillation_logits)) / 2


def _from_context(
    configuration: IterativeErasing, context: ObjectiveContext
) -> IterativeErasingObjective:
    return IterativeErasingObjective(configuration, context)


objectives.register("iterative_erasing")((IterativeErasing, _from_context))
