"""What every reader of a format shares: its result, its registry, and the order of axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from darkarcs.registry import Registry

#: How many leading bytes `Format.recognises` is shown.
HEAD_BYTES = 512

#: A first or last axis up to this long holds channels; a longer one holds images.
MAX_CHANNELS = 4


class BadFileError(Exception):
    """One file cannot be used; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class Decoded:
    """The images of one file.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        In the file's own dtype.
    dtype : str
        The dtype that the file holds, for `darkarcs data inspect`.
    label_names : list of str, optional
        A class name for each image, where the file itself tells.
    columns : dict of str to ndarray, each of shape (N,)
        Metadata that the file itself holds.
    pixel_scale : float, optional
        Arcsec per pixel, where the file itself tells.
    """

    images: NDArray[Any]
    dtype: str
    label_names: list[str] | None = None
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    pixel_scale: float | None = None


@dataclass(frozen=True)
class Format:
    """How files of one format are recognised and decoded.

    Parameters
    ----------
    name : str
        For the manifest.
    recognises : callable
        Tells from the first `HEAD_BYTES` bytes of a file whether it is of this format.
    decode : callable
        Reads a seekable binary stream; raises `BadFileError` with the reason if it cannot.
    """

    name: str
    recognises: Callable[[bytes], bool]
    decode: Callable[[BinaryIO], Decoded]


#: Every format, by name; third parties add theirs through the entry-point group.
FORMATS: Registry[Format] = Registry("image format", "darkarcs.formats")


def find_format(head: bytes) -> Format | None:
    """Find the format of a file by its first bytes.

    Parameters
    ----------
    head : bytes
        Its first `HEAD_BYTES` bytes.

    Returns
    -------
    Format or None
        None if no format recognises them.
    """
    for name in FORMATS:
        if FORMATS[name].recognises(head):
            return FORMATS[name]
    return None


def as_stack(array: NDArray[Any], num_images: int | None = None) -> NDArray[Any]:
    """Order the axes of any layout that is in use as (N, C, H, W).

    Two axes are one image. Of three axes, a first or last one of at most `MAX_CHANNELS` holds
    channels; otherwise the first counts images. Four axes are a stack of images with channels
    second or last.

    Parameters
    ----------
    array : ndarray, 2 to 4 axes
        As stored.
    num_images : int, optional
        How many images there are, where something else tells (a column of labels): it decides
        that a short first axis counts images.

    Returns
    -------
    ndarray, shape (N, C, H, W)
        A view where possible, same dtype.

    Raises
    ------
    BadFileError
        If the shape is none of these, or the values are not real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> [as_stack(np.zeros(s)).shape for s in [(9, 9), (1, 9, 9), (9, 9, 3), (7, 9, 9)]]
    [(1, 1, 9, 9), (1, 1, 9, 9), (1, 3, 9, 9), (7, 1, 9, 9)]
    """
    if array.dtype.kind not in "biuf":
        raise BadFileError(f"holds values of dtype {array.dtype}, not real numbers")
    shape = array.shape
    if array.ndim < 2 or array.ndim > 4 or 0 in shape:
        raise BadFileError(f"has shape {shape}, which is not an image")
    if array.ndim == 2:
        stack = array[None, None]
    elif array.ndim == 3:
        if num_images == shape[0]:
            stack = array[:, None]
        elif shape[0] <= MAX_CHANNELS:
            stack = array[None]
        elif shape[2] <= MAX_CHANNELS:
            stack = np.moveaxis(array, 2, 0)[None]
        else:
            stack = array[:, None]
    elif shape[1] <= MAX_CHANNELS:
        stack = array
    elif shape[3] <= MAX_CHANNELS:
        stack = np.moveaxis(array, 3, 1)
    else:
        raise BadFileError(f"has shape {shape}: no axis of at most {MAX_CHANNELS} channels")
    if min(stack.shape[2:]) < 2:
        raise BadFileError(f"has shape {shape}, which is not an image")
    return stack
