"""Batches from images held in memory; every batch is a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.errors import DataError
from darkarcs.objectives import Batch
from darkarcs.seeding import numpy_generator, torch_generator


@dataclass(frozen=True)
class TrainingBatch(Batch):
    """A batch before augmentation, also as teachers see it.

    Attributes
    ----------
    views : tuple of torch.Tensor, each of shape (B, C, H', W')
        The same images by further preprocessings.
    """

    views: tuple[Tensor, ...] = ()


def move_batch(batch: Batch, device: torch.device) -> TrainingBatch:
    """Move a batch to a device; what is there already is not copied.

    Parameters
    ----------
    batch : Batch
        Anywhere; a plain one has no further views.
    device : torch.device
        Where to.

    Returns
    -------
    TrainingBatch
        With all its tensors there.
    """
    views = batch.views if isinstance(batch, TrainingBatch) else ()
    return TrainingBatch(
        images=batch.images.to(device),
        labels=batch.labels.to(device),
        indices=None if batch.indices is None else batch.indices.to(device),
        views=tuple(view.to(device) for view in views),
        targets=(
            None
            if batch.targets is None
            else {name: values.to(device) for name, values in batch.targets.items()}
        ),
    )


def augmentation_generator(seed: int, step: int) -> torch.Generator:
    """Make the stream that a step's augmentation draws from.

    On the CPU, so that a run's draws do not depend on its device; made anew by each who needs
    the same draws: the student's images, each teacher's, and the replay of stored answers.

    Parameters
    ----------
    seed : int
        Root seed of the run.
    step : int
        Index of the optimizer step.

    Returns
    -------
    torch.Generator
        At its beginning.
    """
    return torch_generator(seed, "augmentation", step)


class TrainingBatches:
    """Shuffled batches of an epoch.

    The images stay where they are (one tensor, on the training device where it fits) and a
    batch is one gather; no worker processes, no copies. The order of epoch ``e`` depends on the
    seed and ``e`` alone, so a resumed run sees the batches that an uninterrupted one would.

    Parameters
    ----------
    images : torch.Tensor, shape (N, C, H, W), float32
        Preprocessed images.
    labels : torch.Tensor, shape (N,), int64
        Class indices, `darkarcs.objectives.UNLABELLED` where there is none.
    batch_size : int
        Images a batch; more than N is taken as N. An incomplete last batch is left out.
    seed : int
        Root seed.
    views : sequence of torch.Tensor, each of shape (N, C, H', W')
        The same images by further preprocessings, for teachers.
    targets : dict of str to torch.Tensor, each of shape (N, ...), optional
        What the objective asked for beside labels.
    images_per_epoch : int, optional
        The first so many of each epoch's order; None for all.

    Raises
    ------
    DataError
        If there is no image.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        seed: int,
        views: Sequence[Tensor] = (),
        targets: dict[str, Tensor] | None = None,
        images_per_epoch: int | None = None,
    ) -> None:
        if len(images) == 0:
            raise DataError("no training images are left after the split")
        self.images = images
        self.labels = labels
        self.length = min(images_per_epoch or len(images), len(images))
        self.batch_size = min(batch_size, self.length)
        self.seed = seed
        self.views = tuple(views)
        self.targets = targets
        self.epoch = 0

    def __len__(self) -> int:
        return self.length // self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows.

        Parameters
        ----------
        epoch : int
            Zero-based.
        """
        self.epoch = epoch

    def order(self) -> NDArray[np.int64]:
        """Give the order of the current epoch.

        Returns
        -------
        numpy.ndarray, shape (N,), int64
            A permutation.
        """
        return numpy_generator(self.seed, "order", self.epoch).permutation(len(self.images))

    def __iter__(self) -> Iterator[TrainingBatch]:
        order = torch.from_numpy(self.order()).to(self.images.device)
        for index in range(len(self)):
            chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
            views = tuple(view[chosen] for view in self.views)
            yield TrainingBatch(
                self.images[chosen],
                self.labels[chosen],
                chosen,
                targets=_rows(self.targets, chosen),
                views=views,
            )


class OrderedBatches:
    """Batches in order, all images, for validation.

    Parameters
    ----------
    images : torch.Tensor, shape (N, C, H, W), float32
        Preprocessed images.
    labels : torch.Tensor, shape (N,), int64
        Class indices.
    batch_size : int
        Images a batch; the last one may be smaller.
    targets : dict of str to torch.Tensor, each of shape (N, ...), optional
        What the objective asked for beside labels.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        targets: dict[str, Tensor] | None = None,
    ) -> None:
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.targets = targets

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[TrainingBatch]:
        for start in range(0, len(self.images), self.batch_size):
            chosen = slice(start, start + self.batch_size)
            yield TrainingBatch(
                self.images[chosen], self.labels[chosen], targets=_rows(self.targets, chosen)
            )


def _rows(targets: dict[str, Tensor] | None, chosen: Tensor | slice) -> dict[str, Tensor] | None:
    if targets is None:
        return None
    return {name: values[chosen] for name, values in targets.items()}
