"""The pickled ``[image, axion_mass]`` pairs of the axion files, read without running a pickle.

A pickle is a program that may call anything. Here it meets only stand-ins of our own: each of
the few NumPy names that such a file needs is replaced by a plain Python object that checks what
it is given and builds a numeric array or a float from raw bytes. NumPy's own reconstruction
functions are never handed out either, since a forged dtype state can make them misread memory.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from darkarcs.data.readers.decoding import BadFileError

_DTYPE_CODE = re.compile(r"[<>|=]?([biuf])([1248])|[<>|=]?O8?")
_MODULE_ALIASES = {
    "numpy.core.multiarray": "numpy.multiarray",
    "numpy._core.multiarray": "numpy.multiarray",
    "numpy.core.numeric": "numpy.numeric",
    "numpy._core.numeric": "numpy.numeric",
}
_REFUSED_OPCODES = {
    "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX",
    "NEXT_BUFFER", "READONLY_BUFFER",
}  # fmt: skip
_MAX_OPCODES = 1_000_000


class _Dtype:
    """Stands in for ``numpy.dtype``: a kind, a size, a byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_flags: Any) -> None:
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code):
            raise BadFileError(f"holds a pickled dtype {code!r}, which is not a number's")
        self.code = code.lstrip("<>|=")
        self.order = code[0] if code[0] in "<>" else "<"

    def __setstate__(self, state: Any) -> None:
        # The state is (version, byte order, subdtype, names, fields, size, alignment, flags):
        # only the order is taken.
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise BadFileError("holds a pickled dtype whose state is not a plain number's")
        if any(part is not None for part in state[2:5]):
            raise BadFileError("holds a pickled structured dtype, which is not a number's")
        if state[1] in "<>":
            self.order = state[1]

    @property
    def is_object(self) -> bool:
        return self.code.startswith("O")

    def build(self) -> np.dtype[Any]:
        if self.is_object:
            raise BadFileError("holds raw bytes that claim to be Python objects")
        return np.dtype(self.order + self.code)


class _Array:
    """Stands in for an ``numpy.ndarray`` until its state is known."""

    __slots__ = ("items", "value")

    def __init__(self) -> None:
        self.value: np.ndarray[Any, Any] | None = None
        self.items: list[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise BadFileError("holds a pickled array whose state is not an array's")
        _, shape, dtype, fortran, data = state
        count = _count(shape)
        if not isinstance(dtype, _Dtype):
            raise BadFileError("holds a pickled array without a dtype")
        if dtype.is_object:
            if not isinstance(data, list) or len(data) != count:
                raise BadFileError("holds a pickled object array whose items do not fit its shape")
            self.items = data
        else:
            self.value = _from_bytes(data, dtype, shape, "F" if fortran else "C")


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise BadFileError("holds a pickled array whose shape is not a shape")
    return math.prod(shape)


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if isinstance(data, str):  # Python 2 pickles write bytes as text
        data = data.encode("latin-1")
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise BadFileError("holds a pickled array whose values are not raw bytes")
    kind = dtype.build()
    if len(data) != _count(shape) * kind.itemsize or order not in ("C", "F"):
        raise BadFileError("holds a pickled array whose bytes do not fit its shape")
    return np.frombuffer(bytes(data), dtype=kind).reshape(shape, order=order)


def _reconstruct(*arguments: Any) -> _Array:
    if len(arguments) != 3 or arguments[0] is not _ALLOWED["numpy", "ndarray"]:
        raise BadFileError("rebuilds something that is not a numpy.ndarray")
    return _Array()


def _scalar(dtype: Any, data: Any = b"") -> float:
    return float(_from_bytes(data, dtype, (), "C"))


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> _Array:
    array = _Array()
    array.value = _from_bytes(data, dtype, shape, order)
    return array


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    # Pickle protocols 0 to 2 write bytes as _codecs.encode(text, "latin1").
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise BadFileError("encodes something that is not raw bytes")
    return text.encode("latin-1")


def _refuse_call(*_: Any) -> NoReturn:
    raise BadFileError("calls numpy.ndarray, which no saved array does")


class _Allowed:
    """A name that a pickle may mention: callable, and with no state that BUILD could change."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise BadFileError("tries to change what it was given to rebuild arrays with")


_ALLOWED: dict[tuple[str, str], _Allowed] = {
    ("numpy", "ndarray"): _Allowed(_refuse_call),
    ("numpy", "dtype"): _Allowed(_Dtype),
    ("numpy.multiarray", "_reconstruct"): _Allowed(_reconstruct),
    ("numpy.multiarray", "scalar"): _Allowed(_scalar),
    ("numpy.numeric", "_frombuffer"): _Allowed(_frombuffer),
    ("_codecs", "encode"): _Allowed(_encode),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        key = (_MODULE_ALIASES.get(module_name, module_name), global_name)
        if key not in _ALLOWED:
            raise BadFileError(
                f"is a pickle that asks for {module_name}.{global_name}, which no image needs: "
                "refused, nothing of it was run"
            )
        return _ALLOWED[key]

    def persistent_load(self, _pid: Any) -> NoReturn:
        raise BadFileError("is a pickle that asks for an outside object: refused")


def _check_opcodes(content: bytes) -> None:
    """Refuse what no saved array needs before a single opcode is obeyed."""
    for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if opcode.name in _REFUSED_OPCODES:
            raise BadFileError(f"is a pickle with the opcode {opcode.name}: refused")
        # A memo index far beyond the file's length makes the unpickler reserve memory for it.
        if opcode.name.endswith("PUT") and int(argument or 0) > len(content):
            raise BadFileError("is a pickle with a forged memo index: refused")
        if number > _MAX_OPCODES:
            raise BadFileError("is a pickle of more than a million steps: refused")


def read_image_and_mass(content: bytes) -> tuple[np.ndarray[Any, Any], float]:
    """Read a pickled object array ``[image, mass]``.

    Parameters
    ----------
    content : bytes
        The pickle: what follows the header in a ``.npy`` file of dtype object.

    Returns
    -------
    image : ndarray
        As it was saved, numeric.
    mass : float
        The axion's mass in eV, as the simulator wrote it; NaN if the array held no mass.

    Raises
    ------
    BadFileError
        If the pickle names anything but NumPy's array constructors (the message says what), or
        holds something else than an image and a number.
    """
    try:
        _check_opcodes(content)
        result = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        values = _values_of(result)
    except BadFileError:
        raise
    except Exception as error:  # a forged program can fail in any way; none of it is ours
        kind = type(error).__name__
        raise BadFileError(f"is a truncated or damaged object array ({kind})") from None
    images = [value for value in values if value is not None and value.ndim >= 2]
    numbers = [value for value in values if value is not None and value.size == 1]
    if len(images) != 1 or len(images) + len(numbers) != len(values) or len(numbers) > 1:
        raise BadFileError("holds an object array of something else than [image, mass]")
    return images[0], float(numbers[0].reshape(())) if numbers else math.nan


def _values_of(result: Any) -> list[np.ndarray[Any, Any] | None]:
    """Turn the items of the pickled array into numbers; None for what is none."""
    items = result.items if isinstance(result, _Array) else result
    if items is not None and len(items) == 1 and isinstance(items[0], list | tuple):
        items = items[0]
    return [_as_numeric(item) for item in items] if isinstance(items, list | tuple) else []


def _as_numeric(item: Any) -> np.ndarray[Any, Any] | None:
    if isinstance(item, _Array):
        return item.value
    if isinstance(item, bool | int | float):
        return np.asarray(float(item))
    return None
