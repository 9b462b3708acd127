"""Several sets of lens images as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.lens_images import LensImages
from darkarcs.data.ragged import RaggedTable, concatenate
from darkarcs.errors import DataError

#: Keys of a manifest that tell how the pixels came about, if not from which lenses.
_SAME = ("smooth_fit",)


def join(parts: Sequence[LensImages], manifest: Mapping[str, Any]) -> LensImages:
    """Put sets together, one after the other.

    Parameters
    ----------
    parts : sequence of LensImages
        At least one, of the same classes, shape and pixel scale, labelled or not; one in which
        no image has a certain list lacks it, and counts as having empty ones. A column that one
        lacks is filled with zeros.
    manifest : mapping
        Of the whole; content hash and number of images are set anew.

    Returns
    -------
    LensImages
        In order.

    Raises
    ------
    DataError
        If they differ in what must be the same.

    Examples
    --------
    >>> pixels = np.zeros((2, 1, 4, 4), dtype=np.float32)
    >>> one, other = (LensImages.from_arrays(pixels + i) for i in range(2))
    >>> len(join([one, other], {"source": "both"}))
    4
    """
    _check(parts)
    columns = list(dict.fromkeys(chain.from_iterable(part.metadata for part in parts)))
    kinds = list(dict.fromkeys(chain.from_iterable(part.lists for part in parts)))
    labels = [part.labels for part in parts if part.labels is not None]
    return LensImages.from_arrays(
        np.concatenate([part.images for part in parts]),
        labels=np.concatenate(labels) if labels else None,
        class_names=parts[0].class_names,
        metadata={
            name: np.concatenate([_column(part, name) for part in parts]) for name in columns
        },
        pixel_scale=parts[0].pixel_scale,
        manifest=manifest,
        lists={kind: concatenate([_list(parts, part, kind) for part in parts]) for kind in kinds},
    )


def _check(parts: Sequence[LensImages]) -> None:
    first = parts[0]
    for part in parts[1:]:
        source = part.manifest.get("source", "images")
        for what, ours, theirs in (
            ("classes", first.class_names, part.class_names),
            ("shape", first.images.shape[1:], part.images.shape[1:]),
            ("pixel scale", first.pixel_scale, part.pixel_scale),
            *((key, first.manifest.get(key), part.manifest.get(key)) for key in _SAME),
        ):
            if ours != theirs:
                told = "" if what in _SAME else f": {theirs}, not {ours}"
                raise DataError(f"{source}: cannot be joined, it differs in {what}{told}")


def _column(part: LensImages, name: str) -> NDArray[np.generic]:
    return part.metadata.get(name, np.zeros(len(part)))


def _list(parts: Sequence[LensImages], part: LensImages, kind: str) -> RaggedTable:
    if kind in part.lists:
        return part.lists[kind]
    example = next(other.lists[kind] for other in parts if kind in other.lists)
    empty = {name: values[:0] for name, values in example.columns.items()}
    return RaggedTable(empty, np.zeros(len(part) + 1, dtype=np.int64))
