"""Lens images without end: the contract between training and what simulates while it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.lens_images import LensImages
from darkarcs.data.schemes import scheme_of
from darkarcs.errors import DataError
from darkarcs.registry import Registry, nearest


class LensStream(ABC):
    """Labelled lenses of which no two are the same.

    Attributes
    ----------
    class_names : tuple of str
        In canonical order.
    pixel_scale : float, optional
        Arcsec per pixel.
    identity : str
        Names what is drawn and by which seed: two streams of one identity are equal.
    manifest : dict
        JSON-able provenance.
    """

    class_names: tuple[str, ...]
    pixel_scale: float | None
    identity: str
    manifest: dict[str, Any]

    @abstractmethod
    def batch(
        self, start: int, count: int, device: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Make the images from ``start`` up to ``start + count`` of the training part.

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

    def lenses(self, start: int, count: int, device: Any) -> LensImages:
        """Make the same images as `batch`, with their metadata and lists.

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

        Raises
        ------
        DataError
            If the stream does not know what its lenses are made of.
        """
        raise DataError(f"{self.identity}: this stream tells labels only, no other targets")

    @abstractmethod
    def images(self, part: Literal["train", "validation", "test"], num: int) -> LensImages:
        """Make the first images of a part, with their metadata.

        Parameters
        ----------
        part : {"train", "validation", "test"}
            No lens is in two of them.
        num : int
            How many.

        Returns
        -------
        LensImages
            In memory.
        """


#: Name of a scheme to the function that opens its URIs without a number of images.
STREAMS: Registry[Callable[[str], LensStream]] = Registry("stream", "darkarcs.streams")


def open_stream(uri: str) -> LensStream | None:
    """Open a URI as a stream, if it is one.

    Parameters
    ----------
    uri : str
        Such as ``scene:fair-euclid?seed=7``, without ``num``.

    Returns
    -------
    LensStream or None
        None for a path, and for a URI that says how many images.

    Raises
    ------
    DataError
        If the scheme has no streams.
    """
    scheme = scheme_of(uri)
    query = uri.partition("?")[2].split("&")
    if scheme is None or any(option.startswith("num=") for option in query):
        return None
    if scheme not in STREAMS:
        raise DataError(f"{uri}: no endless stream '{scheme}': {nearest(scheme, list(STREAMS))}")
    return STREAMS[scheme](uri)
