"""A stream of lenses that never ends: simulated while a model trains, none seen twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from darkarcs.data.joining import join
from darkarcs.data.lens_images import LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.scenes import BLOCK
from darkarcs.simulation.request import SimulationRequest
from darkarcs.simulation.simulate import (
    SimulatedBlock,
    manifest_of,
    simulate_block,
    to_lens_images,
)


class EndlessLenses(IterableDataset[tuple[Tensor, Tensor]]):
    """Batches of fresh lenses, made on the training device.

    Batch b holds the images from ``b * batch_size`` on, whatever came before: a resumed stream
    goes on by setting its position. In a `torch.utils.data.DataLoader` (with
    ``batch_size=None``) each of W workers makes every W-th batch, and the loader puts them back
    in order. They work on copies: here the position stays where it was, so set it before another
    pass over a loader whose workers do not persist.

    Parameters
    ----------
    request : SimulationRequest
        Scene, seed, part and options; its ``start`` is where batch 0 begins, its ``num`` is not
        looked at.
    batch_size : int
        Images a batch.
    device : torch.device or str, default "cpu"
        Where images are made and stay.

    Raises
    ------
    ConfigurationError
        If a batch would be empty.

    Examples
    --------
    >>> from darkarcs.simulation import EndlessLenses, parse_uri
    >>> lenses = EndlessLenses(parse_uri("scene:deeplense-2?seed=1"), batch_size=4)
    >>> images, labels = next(iter(lenses))
    >>> tuple(images.shape), labels.tolist(), lenses.position
    ((4, 1, 64, 64), [0, 1, 2, 0], 1)
    """

    def __init__(
        self, request: SimulationRequest, batch_size: int, device: torch.device | str = "cpu"
    ) -> None:
        self.request = request
        self.batch_size = batch_size
        self.device = torch.device(device)
        if batch_size < 1:
            raise ConfigurationError(f"batch_size = {batch_size}: a batch holds at least one image")
        #: Index of the next batch.
        self.position = 0
        self._at_work = False
        self._block = -1
        self._simulated: SimulatedBlock | None = None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        step = 1 if worker is None else worker.num_workers
        if worker is not None and not self._at_work:  # one that lives on keeps its place
            self.position += worker.id
            self._at_work = True
        while True:
            batch = self.batch(self.position)
            self.position += step
            yield batch

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Make one batch.

        Parameters
        ----------
        index : int
            Which.

        Returns
        -------
        images : Tensor, shape (B, C, H, W), float32
            On the device.
        labels : Tensor, shape (B,), int64
            On the device.
        """
        first = self.request.start + index * self.batch_size
        return self.between(first, first + self.batch_size)

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Make the images with indices from ``start`` up to ``stop``.

        Parameters
        ----------
        start, stop : int
            Of the stream, whatever the request's start.

        Returns
        -------
        images : Tensor, shape (stop - start, C, H, W), float32
            On the device.
        labels : Tensor, shape (stop - start,), int64
            On the device.
        """
        pieces = list(self._pieces(start, stop))
        labels = [torch.from_numpy(piece.parameters.labels).to(self.device) for piece in pieces]
        return torch.cat([piece.images for piece in pieces]), torch.cat(labels)

    def lenses(self, start: int, stop: int) -> LensImages:
        """Make the same images as `between`, with metadata and lists.

        Parameters
        ----------
        start, stop : int
            Of the stream, whatever the request's start.

        Returns
        -------
        LensImages
            In memory.
        """
        parts = [to_lens_images(piece, self.request) for piece in self._pieces(start, stop)]
        return parts[0] if len(parts) == 1 else join(parts, manifest_of(self.request))

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed stream needs.

        Returns
        -------
        dict
            The position.
        """
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another stream stopped.

        Parameters
        ----------
        state : dict
            From `state_dict`.
        """
        self.position = int(state["position"])

    def _pieces(self, start: int, stop: int) -> Iterator[SimulatedBlock]:
        at = start
        while at < stop:
            whole = self._get(at // BLOCK)
            cut = slice(at % BLOCK, min(BLOCK, at % BLOCK + stop - at))
            yield SimulatedBlock(whole.images[cut], whole.parameters.select(cut))
            at += cut.stop - cut.start

    def _get(self, block: int) -> SimulatedBlock:
        # neighbouring batches share a block where the batch size is no multiple of it
        if block != self._block or self._simulated is None:
            self._simulated = simulate_block(self.request, block, device=self.device)
            self._block = block
        return self._simulated
