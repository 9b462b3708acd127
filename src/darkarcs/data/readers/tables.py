"""Files that hold a stack of images beside columns: ``.npz`` and HDF5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.readers.decoding import MAX_CHANNELS, BadFileError, Decoded, as_stack

#: Names of the array of images, in order of preference.
IMAGE_KEYS = ("images", "image", "data", "x", "X", "img", "arr_0")
#: Names of the column of labels: numbers, words, or one-hot rows.
LABEL_KEYS = ("labels", "label", "ans", "targets", "target", "y", "classes")
#: Names of the pixel scale in arcsec, one number or a column.
SCALE_KEYS = ("pixel_scale", "pxscale", "pixscale")
_NAME_KEYS = ("class_names", "label_names", "names")


def find_key(keys: tuple[str, ...], names: Mapping[str, Any]) -> str | None:
    """Find the first of some keys that a file has.

    Parameters
    ----------
    keys : tuple of str
        In order of preference.
    names : mapping
        What the file has.

    Returns
    -------
    str or None
        None if it has none of them.
    """
    return next((key for key in keys if key in names), None)


def decode_table(arrays: Mapping[str, NDArray[Any]]) -> Decoded:
    """Make a stack of images, labels and columns out of named arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        One of `IMAGE_KEYS` holds the images, one of `LABEL_KEYS` their labels if any; every
        other one-dimensional array as long as the stack becomes metadata.

    Returns
    -------
    Decoded
        Labels that are numbers are named by ``class_names`` if the file has it, else
        ``class_0``, ``class_1``...

    Raises
    ------
    BadFileError
        If there is no array of images or the labels do not fit.
    """
    key = find_key(IMAGE_KEYS, arrays)
    if key is None:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise BadFileError(f"has no array named {', '.join(IMAGE_KEYS[:3])}... (it has {found})")
    label_key = find_key(LABEL_KEYS, arrays)
    pixels = arrays[key]
    lengths = [len(value) for name, value in arrays.items() if name != key and value.ndim == 1]
    # A column of the same length tells a stack of three images from one of three channels, and
    # so does a plural.
    is_stack = pixels.ndim and (pixels.shape[0] in lengths or key == "images")
    told = pixels.shape[0] if is_stack and pixels.shape[-1] > MAX_CHANNELS else None
    stack = as_stack(pixels, told)
    names = find_key(_NAME_KEYS, arrays)
    labels = None
    if label_key is not None:
        labels = _label_names(arrays[label_key], len(stack), arrays[names] if names else None)
    scale_key = find_key(SCALE_KEYS, arrays)
    columns = {
        name: _words(value)
        for name, value in arrays.items()
        if name not in (key, label_key, scale_key, names)
        and value.shape == (len(stack),)
        and value.dtype.kind in "biufUSO"
    }
    scale = _one_scale(arrays[scale_key]) if scale_key else None
    return Decoded(stack, str(pixels.dtype), labels, columns, scale)


def _one_scale(values: NDArray[Any]) -> float | None:
    if values.dtype.kind not in "iuf" or values.size == 0:
        return None
    low, high = float(values.min()), float(values.max())
    return low if low > 0 and high - low <= 1e-3 * high else None


def _words(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "SO":
        return values
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return np.array(texts, dtype=str)


def _label_names(
    labels: NDArray[Any], num_images: int, class_names: NDArray[Any] | None
) -> list[str]:
    if labels.ndim == 2 and labels.shape[0] == num_images and labels.dtype.kind in "biuf":
        labels = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0]  # one-hot rows
    if labels.shape != (num_images,):
        raise BadFileError(f"has labels of shape {labels.shape} for {num_images} images")
    if labels.dtype.kind in "USO":
        return [str(word) for word in _words(labels)]
    codes = labels.astype(np.int64)
    if np.any(codes != labels) or codes.min() < 0:
        raise BadFileError("has labels that are not whole numbers from 0 up")
    names = [str(word) for word in _words(class_names)] if class_names is not None else []
    if names and codes.max() >= len(names):
        raise BadFileError(f"has label {codes.max()} but {len(names)} class names")
    width = len(str(codes.max()))  # so that class_10 sorts after class_09
    return [names[code] if names else f"class_{code:0{width}d}" for code in codes]
