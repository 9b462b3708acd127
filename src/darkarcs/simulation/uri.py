"""``scene:`` URIs, wherever a path to data is asked for; found through entry points."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.lens_images import LensImages
from darkarcs.data.streams import LensStream
from darkarcs.errors import ConfigurationError
from darkarcs.simulation.endless import EndlessLenses
from darkarcs.simulation.progress import show_progress
from darkarcs.simulation.request import SimulationRequest, parse_uri
from darkarcs.simulation.simulate import manifest_of, simulate


def open_scene(uri: str) -> LensImages:
    """Open a ``scene:`` URI as a set of images; `darkarcs.data.open` finds this function.

    Parameters
    ----------
    uri : str
        See `parse_uri`; it must say ``num``.

    Returns
    -------
    LensImages
        Simulated on the CPU.
    """
    return _simulate(parse_uri(uri))


def open_scene_stream(uri: str) -> SceneStream:
    """Open a ``scene:`` URI as a stream; `darkarcs.data.streams.open_stream` finds this function.

    Parameters
    ----------
    uri : str
        See `parse_uri`; without ``num``, ``start`` and ``part``, which training chooses.

    Returns
    -------
    SceneStream
        Without end.
    """
    return SceneStream(parse_uri(uri))


class SceneStream(LensStream):
    """A scene as a `darkarcs.data.streams.LensStream`.

    Parameters
    ----------
    request : SimulationRequest
        Scene, seed and options.

    Raises
    ------
    ConfigurationError
        If the request says which part or where to begin.
    """

    def __init__(self, request: SimulationRequest) -> None:
        if request.part != "train" or request.start:
            raise ConfigurationError(
                f"{request.source}: training chooses part and start of an endless stream by itself"
            )
        self.request = request
        self.class_names = request.scene.class_names
        self.pixel_scale: float | None = request.scene.instrument.pixel_scale
        self.identity = f"{request.scene.identity}/{request.seed}"
        self.manifest: dict[str, Any] = manifest_of(request)
        self._lenses: EndlessLenses | None = None

    def batch(
        self, start: int, count: int, device: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Make training images; see `LensStream.batch`.

        Parameters
        ----------
        start, count : int
            Which.
        device : torch.device or str
            Where they are made.

        Returns
        -------
        images : ndarray of float32, shape (count, C, H, W)
            As a data set stores them.
        labels : ndarray of int64, shape (count,)
            Index into the class names.
        """
        images, labels = self._endless(count, device).between(start, start + count)
        return images.cpu().numpy(), labels.cpu().numpy()

    def lenses(self, start: int, count: int, device: Any) -> LensImages:
        """Make training images with their metadata and lists; see `LensStream.lenses`.

        Parameters
        ----------
        start, count : int
            Which.
        device : torch.device or str
            Where they are made.

        Returns
        -------
        LensImages
            In memory.
        """
        return self._endless(count, device).lenses(start, start + count)

    def _endless(self, count: int, device: Any) -> EndlessLenses:
        if self._lenses is None:  # keeps the last block for the batch that goes on in it
            self._lenses = EndlessLenses(self.request, count, device)
        return self._lenses

    def images(self, part: Literal["train", "validation", "test"], num: int) -> LensImages:
        """Make the first images of a part; see `LensStream.images`.

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
        return _simulate(self.request.model_copy(update={"part": part, "num": num}))


def _simulate(request: SimulationRequest) -> LensImages:
    with show_progress(f"simulating {request.scene.name}", request.num or 0) as advance:
        return simulate(request, progress=advance)
