"""A pool of rendered lenses, observed anew each time: training where rendering binds.

Rendering a lens with hundreds of subhalos costs a hundred times what its noise does. A pool holds
noiseless images, made once by ``darkarcs simulate SCENE --noiseless --num 50000 --out POOL.h5``;
as a stream, ``pool:POOL.h5``, each pass shows them in a new order and under new noise. The lenses
are as many as the pool holds, so a model can learn them by heart: validation, on fresh lenses,
shows it.

In a pool of pairs (``--paired``) a lens with substructure comes right after the same lens without,
turned and mirrored alike, each under its own noise. What tells the two apart is then not drowned
in what tells lenses apart; switch off ``augmentation.dihedral``, which would turn them differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import parse_qsl

import numpy as np
import torch
from numpy.typing import NDArray

from darkarcs.configuration import apply_overrides
from darkarcs.data import store
from darkarcs.data.augmentation import apply_dihedral
from darkarcs.data.lens_images import LensImages
from darkarcs.data.streams import LensStream
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.scenes import LensParameters
from darkarcs.scenes.priors import draw_columns
from darkarcs.scenes.streams import Streams
from darkarcs.seeding import numpy_generator, torch_generator
from darkarcs.simulation.simulate import manifest_of, request_of
from darkarcs.simulation.uri import SceneStream


def open_pool(uri: str) -> PooledLenses:
    """Open a ``pool:`` URI; `darkarcs.data.streams.open_stream` finds this function.

    Parameters
    ----------
    uri : str
        ``pool:FILE.h5?seed=0&noise.exposure_factor=100``: noiseless lenses that ``darkarcs
        simulate`` wrote, the seed of order and noise, and changes of the scene's noise: a
        training may begin with deep images.

    Returns
    -------
    PooledLenses
        Without end.

    Raises
    ------
    ConfigurationError
        If an option does not exist.
    DataError
        If the file is no store.
    """
    path, _, query = uri.removeprefix("pool:").partition("?")
    seed, changes = "0", []
    for key, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if key == "seed":
            seed = value
        elif key.startswith("noise."):
            changes.append(f"{key}={value}")
        else:
            raise ConfigurationError(f"{uri}: no option '{key}': there are seed and noise.KEY")
    if not seed.isdecimal():
        raise ConfigurationError(f"{uri}: seed must be a whole number")
    return PooledLenses(store.load(path), path, int(seed), changes)


class PooledLenses(LensStream):
    """Noiseless lenses of one file: in each pass a new order and new noise.

    Image i of the stream is lens ``order[i % len(pool)]`` of pass ``i // len(pool)``; pairs stay
    together and are turned alike, each pass anew. Its noise comes from a stream that the batch's
    start and size address, so a resumed run sees what an uninterrupted one would.

    Parameters
    ----------
    lenses : LensImages
        Noiseless, of the training part, as ``darkarcs simulate --noiseless`` wrote them.
    path : str
        Their file, for messages.
    seed : int
        Of order and noise.
    changes : sequence of str
        Of the scene's noise, each ``noise.key=value``.

    Raises
    ------
    ConfigurationError
        If the noise has no such key.
    DataError
        If the lenses were not simulated, are not noiseless, are not of the training part or
        hold half a pair.
    """

    def __init__(
        self, lenses: LensImages, path: str, seed: int, changes: Sequence[str] = ()
    ) -> None:
        try:
            request = request_of(lenses.manifest)
        except ConfigurationError as error:
            raise DataError(f"{path}: no pool of lenses: {error}") from None
        if not request.noiseless or request.part != "train":
            raise DataError(
                f"{path}: a pool holds noiseless lenses of the training part: make it by "
                f"darkarcs simulate {request.scene.name} --noiseless --num 50000 --out POOL.h5"
            )
        if lenses.labels is None or not len(lenses):
            raise DataError(f"{path}: holds no labelled lenses")
        #: Images that stay together.
        self.together = len(request.scene.class_names) if request.paired else 1
        if request.start % self.together or len(lenses) % self.together:
            raise DataError(f"{path}: begins or ends within a pair; let --num be a multiple of 2")
        scene = apply_overrides(lenses.manifest["scene"], changes)
        whole = request_of({**lenses.manifest, "scene": scene})
        self.request = whole.model_copy(update={"noiseless": False, "num": None, "start": 0})
        self.class_names = request.scene.class_names
        self.pixel_scale: float | None = request.scene.instrument.pixel_scale
        noise = f"/{'&'.join(changes)}" if changes else ""
        self.identity = f"pool/{lenses.content_hash}/{seed}{noise}"
        self.manifest: dict[str, Any] = {
            **manifest_of(self.request),
            "pool": {"content_hash": lenses.content_hash, "num": len(lenses), "seed": seed},
        }
        self.seed = seed
        self.pool = lenses
        self._pass = -1
        self._order: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._turns: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def batch(
        self, start: int, count: int, device: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Observe training images; see `LensStream.batch`.

        Parameters
        ----------
        start, count : int
            Which.
        device : torch.device or str
            Where the noise is drawn.

        Returns
        -------
        images : ndarray of float32, shape (count, C, H, W)
            As a data set stores them.
        labels : ndarray of int64, shape (count,)
            Index into the class names.
        """
        rows, turns = self.rows(start, count)
        assert self.pool.labels is not None
        labels = self.pool.labels[rows]
        noiseless = torch.from_numpy(self.pool.images[rows]).to(device)
        if self.together > 1:
            noiseless = apply_dihedral(noiseless, torch.from_numpy(turns))
        generator = torch_generator(self.seed, "pool", "noise", start, count, device=device)
        scene = self.request.scene
        images = scene.observe(noiseless, self._parameters(start, labels), generator)
        return images.cpu().numpy(), labels

    def lenses(self, start: int, count: int, device: Any) -> LensImages:
        """Observe the same images as `batch`, with metadata and lists; see `LensStream.lenses`.

        Parameters
        ----------
        start, count : int
            Which.
        device : torch.device or str
            Where the noise is drawn.

        Returns
        -------
        LensImages
            In memory; columns of the noise are those of the pool's file.

        Raises
        ------
        DataError
            For pairs, whose positions are not turned with them.
        """
        if self.together > 1:
            raise DataError(f"{self.identity}: pairs are turned, and their tables are not")
        images, _ = self.batch(start, count, device)
        return replace(self.pool.select(self.rows(start, count)[0]), images=images)

    def rows(self, start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tell which lenses of the pool are shown, and how they are turned.

        Parameters
        ----------
        start, count : int
            Of the stream.

        Returns
        -------
        rows : ndarray of int64, shape (count,)
            Of the pool.
        turns : ndarray of int64, shape (count,)
            Elements of the dihedral group, zero for lenses that are not in pairs; see
            `darkarcs.data.augmentation.apply_dihedral`.
        """
        passes, place = np.divmod(np.arange(start, start + count), len(self.pool))
        rows, turns = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        for number in np.unique(passes):
            chosen = passes == number
            self._go_to(int(number))
            rows[chosen], turns[chosen] = self._order[place[chosen]], self._turns[place[chosen]]
        return rows, turns

    def images(self, part: Literal["train", "validation", "test"], num: int) -> LensImages:
        """Make the first images of a part, all fresh; see `LensStream.images`.

        Parameters
        ----------
        part : {"train", "validation", "test"}
            Which.
        num : int
            How many.

        Returns
        -------
        LensImages
            With every parameter in the metadata.
        """
        return SceneStream(self.request).images(part, num)

    def _go_to(self, number: int) -> None:
        """Draw order and orientations of a pass."""
        if number == self._pass:
            return
        random = numpy_generator(self.seed, "pool", "order", number)
        groups = random.permutation(len(self.pool) // self.together)
        within = np.arange(self.together)
        self._order = (groups[:, None] * self.together + within).ravel()
        elements = (
            1
            if self.together == 1
            else 8
            if self.pool.images.shape[-1] == self.pool.images.shape[-2]
            else 4
        )
        self._turns = np.repeat(random.integers(elements, size=len(groups)), self.together)
        self._pass = number

    def _parameters(self, start: int, labels: NDArray[np.int64]) -> LensParameters:
        """What an observation asks for: the columns of the noise, drawn anew."""
        shown = np.arange(start, start + len(labels))
        streams = Streams(self.seed, ("pool", "exposure"))
        return LensParameters(
            scene=self.request.scene.identity,
            seed=self.seed,
            part="train",
            indices=shown,
            labels=labels,
            class_names=self.class_names,
            groups=np.empty(0, dtype=str),
            columns=draw_columns(self.request.scene.noise, "noise", streams, shown),
            masses={},
            fields={},
        )
