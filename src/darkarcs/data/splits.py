"""Splits decided by what is in the pixels, so that a renamed or shuffled set splits alike.

Images that share an identity (exact duplicates) or a group (a pair, a source galaxy) form a
unit that no split cuts. Units are stratified by class, put into an order by a keyed hash, and
cut at the fractions asked for; nothing depends on names, on order or on the machine.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.lens_images import LensImages
from darkarcs.errors import DataError

#: Indices of each part: keys "train", "validation" and "test".
Splits = dict[str, NDArray[np.int64]]

SPLIT_NAMES = ("train", "validation", "test")


def split(
    lens_images: LensImages, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0
) -> Splits:
    """Divide lens images into train, validation and test.

    Parameters
    ----------
    lens_images : LensImages
        Labelled or not; labels are stratified.
    fractions : sequence of 3 float, default (0.7, 0.1, 0.2)
        Of train, validation and test; they sum to 1, and each is met within one unit a class.
    seed : int, default 0
        Another seed, another division.

    Returns
    -------
    dict of str to ndarray of int64
        Sorted indices under "train", "validation" and "test": disjoint, together everything.

    Raises
    ------
    DataError
        If the fractions are not three that sum to 1, or a part would be empty.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.random.default_rng(0).normal(size=(20, 1, 4, 4))
    >>> lenses = LensImages.from_arrays(pixels, [0, 1] * 10, ("no_sub", "sub"))
    >>> {name: len(part) for name, part in split(lenses).items()}
    {'train': 14, 'validation': 2, 'test': 4}
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(
            f"split fractions {tuple(fractions)} must be three (train, validation, test), none "
            "negative, that sum to 1"
        )
    parts = _cut(lens_images, fractions, seed)
    for name, fraction in zip(SPLIT_NAMES, fractions, strict=True):
        if fraction > 0 and not np.any(parts == SPLIT_NAMES.index(name)):
            raise DataError(
                f"the {name} split would be empty: {len(lens_images)} images are too few for the "
                f"fractions {tuple(fractions)}"
            )
    return {name: np.flatnonzero(parts == i) for i, name in enumerate(SPLIT_NAMES)}


def folds(lens_images: LensImages, num_folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Assign each image to one of several folds of equal size, for cross-validation.

    Parameters
    ----------
    lens_images : LensImages
        Labelled or not.
    num_folds : int, default 5
        At least 2.
    seed : int, default 0
        Another seed, another division.

    Returns
    -------
    ndarray of int64, shape (N,)
        0 to ``num_folds - 1``; stratified, duplicates and groups together, as in `split`.

    Raises
    ------
    DataError
        If there are fewer than two folds, or a fold would be empty.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.random.default_rng(0).normal(size=(10, 1, 4, 4))
    >>> np.bincount(folds(LensImages.from_arrays(pixels), num_folds=5)).tolist()
    [2, 2, 2, 2, 2]
    """
    if num_folds < 2:
        raise DataError(f"{num_folds} folds: there must be at least 2")
    parts = _cut(lens_images, [1 / num_folds] * num_folds, seed)
    if len(np.unique(parts)) < num_folds:
        raise DataError(f"{len(lens_images)} images are too few for {num_folds} folds")
    return parts


def subset(lens_images: LensImages, num_per_class: int, seed: int = 0) -> LensImages:
    """Choose a few images of each class, for training with few labels.

    A smaller subset of the same seed lies inside a larger one, and exact duplicates count once.

    Parameters
    ----------
    lens_images : LensImages
        Labelled.
    num_per_class : int
        How many distinct images of each class.
    seed : int, default 0
        Another seed, another choice.

    Returns
    -------
    LensImages
        In the original order.

    Raises
    ------
    DataError
        If the images are unlabelled or a class has too few.
    """
    if lens_images.labels is None:
        raise DataError("a subset with so many of each class needs labelled images")
    identities = lens_images.metadata["identity"]
    chosen: list[int] = []
    for code, name in enumerate(lens_images.class_names):
        first: dict[str, int] = {}
        for index in np.flatnonzero(lens_images.labels == code):
            first.setdefault(str(identities[index]), int(index))
        if num_per_class < 1 or num_per_class > len(first):
            raise DataError(
                f"cannot take {num_per_class} images of class {name}: there are {len(first)} "
                "distinct ones"
            )
        ordered = sorted(first, key=lambda identity: _hash(seed, identity))
        chosen += [first[identity] for identity in ordered[:num_per_class]]
    return lens_images.select(np.sort(chosen))


def split_hashes(
    lens_images: LensImages, splits: Mapping[str, NDArray[np.int64]]
) -> dict[str, str]:
    """Name each part of a split by a short hash of the images in it.

    Parameters
    ----------
    lens_images : LensImages
        What was split.
    splits : mapping of str to ndarray of int
        From `split`.

    Returns
    -------
    dict of str to str
        16 hexadecimal digits for each part, blind to names and order: equal if and only if the
        parts hold the same pixels.
    """
    identities = lens_images.metadata["identity"]
    return {
        name: hashlib.blake2b(
            "\n".join(sorted(str(identity) for identity in identities[indices])).encode(),
            digest_size=8,
        ).hexdigest()
        for name, indices in splits.items()
    }


def _hash(seed: int, key: str) -> bytes:
    return hashlib.blake2b(f"{int(seed)}\x1f{key}".encode(), digest_size=16).digest()


def _units(lens_images: LensImages) -> list[list[int]]:
    """Join images that share an identity or a group, through any chain of sharing."""
    parent = list(range(len(lens_images)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for column in ("identity", "group"):
        for index, value in enumerate(lens_images.metadata[column]):
            other = first.setdefault((column, str(value)), index)
            parent[root(index)] = root(other)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index in range(len(lens_images)):
        members[root(index)].append(index)
    return list(members.values())


def _cut(lens_images: LensImages, fractions: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Number the part that each image falls into."""
    groups, labels = lens_images.metadata["group"], lens_images.labels
    strata: defaultdict[tuple[int, ...], list[tuple[bytes, list[int]]]] = defaultdict(list)
    for unit in _units(lens_images):
        # A unit of several classes (a pair with and without substructure) is its own stratum.
        stratum = () if labels is None else tuple(sorted({int(labels[i]) for i in unit}))
        key = min(str(groups[i]) for i in unit)
        strata[stratum].append((_hash(seed, key), unit))
    edges = np.cumsum(fractions)
    parts = np.full(len(lens_images), -1, dtype=np.int64)
    for units in strata.values():
        total, before = sum(len(unit) for _, unit in units), 0
        for _, unit in sorted(units):
            # The middle of the unit decides, so that each edge is met within half a unit.
            middle = (before + len(unit) / 2) / total
            part = int(np.searchsorted(edges, middle, side="right"))
            parts[unit] = min(part, len(fractions) - 1)
            before += len(unit)
    return parts
