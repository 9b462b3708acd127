"""Where a batch's teacher answers come from: the teachers themselves, in the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from darkarcs.objectives import TeacherAnswers
from darkarcs.objectives.contract import count_token_forwards
from darkarcs.training.batches import TrainingBatch, augmentation_generator
from darkarcs.training.teachers import Teacher, TeacherView


class Teaching:
    """Base of the sources of answers.

    It is no `torch.nn.Module`: teachers are neither trained, averaged nor written to
    checkpoints.
    """

    #: Token-forwards that were spent before the first step and belong to this run alone.
    token_forwards_before = 0

    def answer(self, batch: TrainingBatch, images: Tensor, step: int) -> TeacherAnswers:
        """Give the answers to one batch.

        Parameters
        ----------
        batch : TrainingBatch
            Before augmentation.
        images : torch.Tensor, shape (B, C, H, W)
            What the student sees.
        step : int
            Index of the optimizer step, which addresses the augmentation's draws.

        Returns
        -------
        TeacherAnswers
            Without gradients.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Say for the record where the answers come from.

        Returns
        -------
        dict
            Plain data.
        """
        raise NotImplementedError

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Share it: a moving average of the student needs no second teacher."""
        return self


class TeachersInLoop(Teaching):
    """Frozen teachers that look at every batch.

    Parameters
    ----------
    teachers : sequence of Teacher
        Their models are moved to the device.
    views : sequence of TeacherView
        How each sees.
    guide : int
        Number of the teacher whose inside is captured.
    captures : sequence of str
        What is captured of it.
    seed : int
        Root seed of the run.
    device : torch.device
        Where it trains.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        views: Sequence[TeacherView],
        guide: int,
        captures: Sequence[str],
        seed: int,
        device: torch.device,
    ) -> None:
        for teacher in teachers:
            teacher.model.to(device)
        self.teachers = tuple(teachers)
        self.views = tuple(views)
        self.guide = guide
        self.captures = tuple(captures)
        self.seed = seed

    @torch.no_grad()
    def answer(self, batch: TrainingBatch, images: Tensor, step: int) -> TeacherAnswers:
        """Run all teachers; see `Teaching.answer`."""
        seen: dict[TeacherView, Tensor] = {}
        logits: list[Tensor] = []
        captured: dict[str, Tensor] = {}
        tokens = 0
        for number, (teacher, view) in enumerate(zip(self.teachers, self.views, strict=True)):
            if view not in seen:
                seen[view] = self._look(view, batch, images, step)
            shown = seen[view]
            wanted = self.captures if number == self.guide else ()
            output: Any = teacher.model(shown, capture=wanted)
            if teacher.columns is not None:
                logits.append(output.logits[:, teacher.columns.to(shown.device)])
            captured |= output.captured
            tokens += count_token_forwards(teacher.model, shown)
        complete = len(logits) == len(self.teachers)
        return TeacherAnswers(torch.stack(logits) if complete else None, captured, tokens)

    def _look(self, view: TeacherView, batch: TrainingBatch, images: Tensor, step: int) -> Tensor:
        if view.as_student:
            return images
        plain = batch.images if view.source is None else batch.views[view.source]
        shown: Tensor = view.augmentation.apply(plain, augmentation_generator(self.seed, step))
        return shown

    def describe(self) -> dict[str, Any]:
        """Say that they were in the loop; see `Teaching.describe`."""
        return {"answers": "loop"}
