"""Running the teachers ahead of a training, to store what they will be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from darkarcs.data import Augmentation
from darkarcs.data.augmentation import apply_dihedral
from darkarcs.objectives.contract import count_token_forwards
from darkarcs.training.batches import TrainingBatches, augmentation_generator, move_batch
from darkarcs.training.stored_answers import NUM_VIEWS
from darkarcs.training.teachers import Teacher, TeacherView
from darkarcs.training.teaching import TeachersInLoop


@torch.no_grad()
def answer_views(
    teachers: Sequence[Teacher],
    views: Sequence[TeacherView],
    batches: TrainingBatches,
    device: torch.device,
    *,
    bfloat16: bool,
    progress: bool = False,
) -> tuple[Tensor, int]:
    """Ask the teachers for the eight views of each training image.

    Parameters
    ----------
    teachers : sequence of Teacher
        Each tells the student's classes apart.
    views : sequence of TeacherView
        How each sees, flips and quarter turns at most.
    batches : TrainingBatches
        Holds the images, also by further preprocessings.
    device : torch.device
        Where to compute.
    bfloat16 : bool
        Whether the training will compute so.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    logits : torch.Tensor, shape (N, 8 or 1, M, K), float32
        By image, view, teacher and class; one view where nothing is drawn.
    token_forwards : int
        What they cost.
    """
    size, tokens = batches.batch_size, 0
    num_views = NUM_VIEWS if views[0].augmentation.dihedral else 1
    rows = []
    for start in _shown(range(0, len(batches.images), size), progress):
        by_teacher = []
        for teacher, view in zip(teachers, views, strict=True):
            teacher.model.to(device)
            plain = batches.images if view.source is None else batches.views[view.source]
            images = plain[start : start + size].to(device)
            each = []
            for element in range(num_views):
                seen = apply_dihedral(images, torch.full((len(images),), element))
                with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                    each.append(teacher.model(seen).logits.float().cpu())
                tokens += count_token_forwards(teacher.model, seen)
            assert teacher.columns is not None
            by_teacher.append(torch.stack(each, dim=1)[..., teacher.columns])  # (B, V, K)
        rows.append(torch.stack(by_teacher, dim=2))  # (B, V, M, K)
    return torch.cat(rows), tokens


def answer_steps(
    teaching: TeachersInLoop,
    batches: TrainingBatches,
    augmentation: Augmentation,
    epochs: int,
    device: torch.device,
    *,
    bfloat16: bool,
    progress: bool = False,
) -> tuple[Tensor, int]:
    """Replay a whole training's batches before the teachers.

    Parameters
    ----------
    teaching : TeachersInLoop
        As it would teach in the loop: the answers are the same to the bit.
    batches : TrainingBatches
        Those of the training.
    augmentation : Augmentation
        The student's.
    epochs : int
        Length of the training.
    device : torch.device
        Where to compute.
    bfloat16 : bool
        Whether the training will compute so.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    logits : torch.Tensor, shape (S * B, M, K), float32
        In the order of the steps.
    token_forwards : int
        What they cost.
    """
    rows, tokens, step = [], 0, 0
    for epoch in _shown(range(epochs), progress):
        batches.set_epoch(epoch)
        for plain in batches:
            batch = move_batch(plain, device)
            generator = augmentation_generator(teaching.seed, step)
            images = augmentation.apply(batch.images, generator)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                answers = teaching.answer(batch, images, step)
            assert answers.logits is not None
            rows.append(answers.logits.float().cpu().transpose(0, 1))  # (B, M, K)
            tokens += answers.token_forwards
            step += 1
    return torch.cat(rows), tokens


def _shown(steps: range, progress: bool) -> Iterator[int]:
    console = Console(stderr=True)
    yield from track(steps, "Asking the teachers", console=console, disable=not progress)
