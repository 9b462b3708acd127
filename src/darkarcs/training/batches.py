"""Batches from images held in memory; every batch is a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.errors import DataError
from darkarcs.objectives import Batch
from darkarcs.seeding import numpy_generator


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
        Class indices.
    batch_size : int
        Images a batch; more than N is taken as N. An incomplete last batch is left out.
    seed : int
        Root seed.

    Raises
    ------
    DataError
        If there is no image.
    """

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int, seed: int) -> None:
        if len(images) == 0:
            raise DataError("no training images are left after the split")
        self.images = images
        self.labels = labels
        self.batch_size = min(batch_size, len(images))
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.images) // self.batch_size

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

    def __iter__(self) -> Iterator[Batch]:
        order = torch.from_numpy(self.order()).to(self.images.device)
        for index in range(len(self)):
            chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
            yield Batch(self.images[chosen], self.labels[chosen], chosen)


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
    """

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int) -> None:
        self.images = images
        self.labels = labels
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.images), self.batch_size):
            stop = start + self.batch_size
            yield Batch(self.images[start:stop], self.labels[start:stop])
