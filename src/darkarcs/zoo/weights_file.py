"""What is in a weights file, and the same in half the bits; without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from darkarcs.errors import ModelError

#: What a model stores beside its trained numbers.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def read_weights(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a safetensors file as NumPy arrays.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    weights : dict of str to NDArray
        Tensors by name.
    metadata : dict of str to str
        The file's own notes.

    Raises
    ------
    ModelError
        If the file is missing, is damaged, or holds a type that NumPy does not know.
    """
    try:
        with safe_open(path, framework="numpy") as stream:
            names = list(stream.keys())
            return {name: stream.get_tensor(name) for name in names}, dict(stream.metadata() or {})
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from None


def halve(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Round 32-bit and 64-bit floating-point tensors to 16 bits; keep the others.

    Parameters
    ----------
    weights : mapping of str to NDArray
        Tensors by name.

    Returns
    -------
    dict of str to NDArray
        The same names and shapes.

    Raises
    ------
    ModelError
        If a number is not finite, or is larger than half precision holds (65504).

    Examples
    --------
    >>> import numpy as np
    >>> halve({"weight": np.ones(2, np.float32), "count": np.array(3)})["weight"].dtype
    dtype('float16')
    """
    result: dict[str, NDArray[Any]] = {}
    for name, tensor in weights.items():
        if not np.issubdtype(tensor.dtype, np.floating):
            result[name] = tensor
            continue
        largest = float(np.abs(tensor).max(initial=0.0))
        if not largest <= float(np.finfo(np.float16).max):
            raise ModelError(f"'{name}' holds {largest:.3g}, which half precision cannot store")
        result[name] = tensor.astype(np.float16)
    return result


def count_parameters(path: Path) -> int:
    """Count the trained numbers in a weights file from its header alone.

    Parameters
    ----------
    path : pathlib.Path
        A safetensors file.

    Returns
    -------
    int
        Sum of the tensors' sizes, running statistics of batch normalization left out.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    counted = [
        entry["shape"] for name, entry in _header(path).items() if not name.endswith(_STATISTICS)
    ]
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in counted)


def stored_type(path: Path) -> str:
    """Name the number types in a weights file.

    Parameters
    ----------
    path : pathlib.Path
        A safetensors file.

    Returns
    -------
    str
        For example ``"F16"``, as safetensors spells it; several are joined by ``+``.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    return "+".join(sorted({str(entry["dtype"]) for entry in _header(path).values()}))


def _header(path: Path) -> dict[str, dict[str, Any]]:
    """Read names, shapes and types: eight bytes of length, then as much JSON."""
    try:
        with Path(path).open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > Path(path).stat().st_size:
                raise ValueError("the header is longer than the file")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        for entry in header.values():
            entry["shape"], entry["dtype"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{path}: cannot be read as safetensors") from None
    result: dict[str, dict[str, Any]] = header
    return result
