"""NumPy's ``.npy``: plain arrays, and the object arrays of the axion files."""

from __future__ import annotations

import ast
import math
import re
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.readers.decoding import FORMATS, BadFileError, Decoded, Format, as_stack
from darkarcs.data.readers.restricted_pickle import read_image_and_mass

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 10_000
_PLAIN_DTYPE = re.compile(r"[<>|=]?([biufc][0-9]+|[US][0-9]+)")


def read_header(stream: BinaryIO) -> tuple[str, bool, tuple[int, ...]]:
    """Read the header of a ``.npy`` stream.

    Parameters
    ----------
    stream : binary file
        At the start of the array; left at the start of its values.

    Returns
    -------
    dtype : str
        As written, ``"|O"`` for an object array.
    fortran : bool
        Whether the first axis runs fastest.
    shape : tuple of int
        Shape of the array.

    Raises
    ------
    BadFileError
        If it is damaged.
    """
    magic = stream.read(8)
    if len(magic) < 8 or not magic.startswith(_MAGIC) or magic[6] not in (1, 2, 3):
        raise BadFileError("has a damaged .npy header")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    text = stream.read(min(length, _MAX_HEADER))
    try:
        if len(text) < length:
            raise ValueError
        header = ast.literal_eval(text.decode("utf-8" if magic[6] == 3 else "latin-1"))
        dtype, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        raise BadFileError("has a damaged .npy header") from None
    if not isinstance(dtype, str):
        raise BadFileError("holds a structured array, which is not an image")
    return dtype, bool(fortran), tuple(shape)


def read_array(stream: BinaryIO) -> NDArray[Any]:
    """Read a plain array; an object array is refused.

    Parameters
    ----------
    stream : binary file
        At the start of the ``.npy`` content.

    Returns
    -------
    ndarray
        Of the dtype that is stored.

    Raises
    ------
    BadFileError
        If it is truncated, damaged or holds Python objects.
    """
    dtype, fortran, shape = read_header(stream)
    return _read_values(stream, dtype, fortran, shape)


def _read_values(
    stream: BinaryIO, dtype: str, fortran: bool, shape: tuple[int, ...]
) -> NDArray[Any]:
    if not _PLAIN_DTYPE.fullmatch(dtype):
        raise BadFileError(f"holds values of dtype {dtype!r}, not real numbers")
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise BadFileError(f"holds values of dtype {dtype!r}, not real numbers") from None
    expected = math.prod(shape) * kind.itemsize
    content = stream.read()
    if len(content) < expected:
        raise BadFileError(f"is truncated: {len(content)} of {expected} bytes of values are there")
    values = np.frombuffer(content, dtype=kind, count=math.prod(shape))
    return values.reshape(shape, order="F" if fortran else "C")


def _decode(stream: BinaryIO) -> Decoded:
    dtype, fortran, shape = read_header(stream)
    if dtype.lstrip("|<>=").startswith("O"):
        image, mass = read_image_and_mass(stream.read())
        stack = as_stack(image)
        masses = np.full(len(stack), mass)
        return Decoded(stack, f"object[{image.dtype}]", columns={"axion_mass": masses})
    array = _read_values(stream, dtype, fortran, shape)
    return Decoded(as_stack(array), dtype=str(array.dtype))


FORMATS.register("npy")(Format("npy", lambda head: head.startswith(_MAGIC), _decode))
