"""Training on an endless stream: every batch is new, made while the model trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from darkarcs.data import FittedPreprocessing
from darkarcs.data.streams import LensStream
from darkarcs.training.batches import TrainingBatch
from darkarcs.training.target_maker import TargetMaker


class StreamBatches:
    """Batches of fresh lenses; an epoch is a number of images that are never shown again.

    Epoch ``e`` holds the images from ``e * images_per_epoch`` on, so a resumed run sees what an
    uninterrupted one would. While a batch trains the next one is made in a thread beside it.

    Parameters
    ----------
    stream : LensStream
        Where the lenses come from.
    preprocessings : sequence of FittedPreprocessing
        The model's own, then those by which teachers see the same images.
    images_per_epoch : int
        Lenses between two validations.
    batch_size : int
        Images a batch; an incomplete last batch is left out.
    device : torch.device
        Where the images are made and used.
    targets : TargetMaker, optional
        Makes what the objective asks for beside labels.
    """

    def __init__(
        self,
        stream: LensStream,
        preprocessings: Sequence[FittedPreprocessing],
        images_per_epoch: int,
        batch_size: int,
        device: torch.device,
        targets: TargetMaker | None = None,
    ) -> None:
        self.stream = stream
        self.preprocessings = tuple(preprocessings)
        self.images_per_epoch = images_per_epoch
        self.batch_size = min(batch_size, images_per_epoch)
        self.device = device
        self.targets = targets
        self.epoch = 0

    def __len__(self) -> int:
        return self.images_per_epoch // self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration makes.

        Parameters
        ----------
        epoch : int
            Zero-based.
        """
        self.epoch = epoch

    def batch(self, index: int) -> TrainingBatch:
        """Make one batch of the current epoch.

        Parameters
        ----------
        index : int
            Which.

        Returns
        -------
        TrainingBatch
            On the device; ``indices`` are positions in the stream.
        """
        start = self.epoch * self.images_per_epoch + index * self.batch_size
        targets = None
        if self.targets is None:
            images, labels = self.stream.batch(start, self.batch_size, self.device)
        else:
            lenses = self.stream.lenses(start, self.batch_size, self.device)
            assert lenses.labels is not None
            images, labels = lenses.images, lenses.labels
            made = self.targets.make(lenses)
            targets = {name: values.to(self.device) for name, values in made.items()}
        scale = self.stream.pixel_scale
        ready, *views = (
            torch.from_numpy(preprocessing.apply(images, scale)).to(self.device)
            for preprocessing in self.preprocessings
        )
        indices = torch.arange(start, start + self.batch_size, device=self.device)
        return TrainingBatch(
            ready,
            torch.from_numpy(labels).to(self.device),
            indices,
            targets=targets,
            views=tuple(views),
        )

    def __iter__(self) -> Iterator[TrainingBatch]:
        # one thread, so that the stream is asked for one batch at a time and in order
        with ThreadPoolExecutor(max_workers=1) as producer:
            upcoming = producer.submit(self.batch, 0)
            for index in range(len(self)):
                batch = upcoming.result()
                if index + 1 < len(self):
                    upcoming = producer.submit(self.batch, index + 1)
                yield batch
