"""Exact and near duplicates within a set, across its classes and splits, and between sets.

Exact duplicates share their identity, the hash of their pixels; near duplicates are those of
`darkarcs.audit.fingerprints`. Duplicates join into sets: if a is like b and b like c, there is
one set of three. The default split never cuts exact duplicates, but it cannot know of near ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from darkarcs.audit.fingerprints import THRESHOLD, contrast, fingerprints, near_pairs
from darkarcs.data import LensImages, split
from darkarcs.errors import DataError


@dataclass(frozen=True)
class Copy:
    """One image of a set of duplicates.

    Parameters
    ----------
    name : str
        Path inside the set.
    label : str
        Class name, empty if unlabelled.
    split : str
        Part of the default split of its own set, empty if that cannot be divided.
    source : str
        The set it comes from.
    """

    name: str
    label: str
    split: str
    source: str


@dataclass(frozen=True)
class DuplicateSet:
    """Images that are the same picture.

    Parameters
    ----------
    copies : tuple of Copy
        Two or more.
    exact : bool
        Whether all pixels of all copies are equal.
    correlation : float
        The lowest among the pairs that joined them; 1 where exact.
    """

    copies: tuple[Copy, ...]
    exact: bool
    correlation: float

    @property
    def across_classes(self) -> bool:
        """Whether the labels contradict each other."""
        return len({copy.label for copy in self.copies} - {""}) > 1

    @property
    def across_splits(self) -> bool:
        """Whether the default split of one set divides them."""
        parts: defaultdict[str, set[str]] = defaultdict(set)
        for copy in self.copies:
            parts[copy.source].add(copy.split)
        return any(len(names - {""}) > 1 for names in parts.values())

    @property
    def across_sources(self) -> bool:
        """Whether they come from several of the sets given."""
        return len({copy.source for copy in self.copies}) > 1


@dataclass(frozen=True)
class DuplicateReport:
    """All duplicates found.

    Parameters
    ----------
    sets : tuple of DuplicateSet
        Across sources first, then across splits, then across classes.
    num_images : int
        How many were compared.
    num_within_groups : int
        Pairs of near duplicates that share a group, left out: they are so by design (the same
        lens with and without substructure), and no split cuts them.
    num_groups_across_sources : int
        Groups that several of the sets given share, of which no image is exactly the same: the
        same source galaxy or pair in training and test.
    """

    sets: tuple[DuplicateSet, ...]
    num_images: int
    num_within_groups: int
    num_groups_across_sources: int

    def count(self, which: str) -> int:
        """Count the sets of duplicates of a kind.

        Parameters
        ----------
        which : {"exact", "across_classes", "across_splits", "across_sources"}
            An attribute of `DuplicateSet`.

        Returns
        -------
        int
            How many.
        """
        return sum(bool(getattr(found, which)) for found in self.sets)

    def as_json(self) -> dict[str, Any]:
        """Write as what JSON holds.

        Returns
        -------
        dict
            Counts, and all sets with the names, classes, splits and sources of their copies.
        """
        return {
            "num_images": self.num_images,
            "num_exact": self.count("exact"),
            "num_near": len(self.sets) - self.count("exact"),
            "num_across_classes": self.count("across_classes"),
            "num_across_splits": self.count("across_splits"),
            "num_across_sources": self.count("across_sources"),
            "num_within_groups": self.num_within_groups,
            "num_groups_across_sources": self.num_groups_across_sources,
            "threshold": THRESHOLD,
            "sets": [
                {
                    "exact": found.exact,
                    "correlation": found.correlation,
                    "copies": [vars(copy) for copy in found.copies],
                }
                for found in self.sets
            ],
        }


def find_duplicates(sets: Sequence[LensImages], progress: bool = False) -> DuplicateReport:
    """Find duplicates in one set of images or among several.

    Parameters
    ----------
    sets : sequence of LensImages
        One or more; they may differ in shape.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    DuplicateReport
        Of all sets together.

    Examples
    --------
    >>> pixels = np.random.default_rng(0).normal(size=(20, 1, 32, 32))
    >>> pixels[7] = pixels[2, :, ::-1]
    >>> report = find_duplicates([LensImages.from_arrays(pixels, [0, 1] * 10, ("no_sub", "sub"))])
    >>> [[copy.name for copy in found.copies] for found in report.sets]
    [['000002', '000007']]
    >>> report.count("exact"), report.count("across_classes")
    (0, 1)
    """
    copies = [copy for number, part in enumerate(sets) for copy in _copies(part, number, sets)]
    identities = np.concatenate([part.metadata["identity"].astype(str) for part in sets])
    groups = np.concatenate([part.metadata["group"].astype(str) for part in sets])
    joined = _Joined(len(copies))
    first: dict[str, int] = {}
    for index, identity in enumerate(identities.tolist()):
        joined.join(first.setdefault(identity, index), index, 1.0)
    # One of each picture is compared, so that many exact copies do not hide a near one.
    distinct = np.array(sorted(first.values()))
    squares = np.concatenate([fingerprints(part.images) for part in sets])[distinct]
    num_within_groups = 0
    for one, other, correlation in near_pairs(contrast(squares), progress=progress):
        one, other = int(distinct[one]), int(distinct[other])
        if groups[one] == groups[other]:
            num_within_groups += 1
            continue
        joined.join(one, other, correlation)
    found = [
        DuplicateSet(
            tuple(copies[index] for index in members),
            len(set(identities[members].tolist())) == 1,
            correlation,
        )
        for members, correlation in joined.sets()
    ]
    found.sort(key=lambda x: (not x.across_sources, not x.across_splits, not x.across_classes))
    return DuplicateReport(tuple(found), len(copies), num_within_groups, _shared_groups(sets))


def _copies(lens_images: LensImages, number: int, sets: Sequence[LensImages]) -> list[Copy]:
    sources = [str(part.manifest.get("source", "")) for part in sets]
    # Two sets in memory, or one given twice, are still two.
    source = (
        sources[number]
        if sources.count(sources[number]) == 1
        else (f"{sources[number]} ({number + 1})")
    )
    parts = np.full(len(lens_images), "", dtype="U10")
    try:
        for name, indices in split(lens_images).items():
            parts[indices] = name
    except DataError:  # too few images to be divided: then no split cuts a duplicate either
        parts[:] = ""
    columns = (lens_images.metadata["name"], lens_images.label_names, parts)
    return [
        Copy(str(name), str(label), str(part), source)
        for name, label, part in zip(*columns, strict=True)
    ]


def _shared_groups(sets: Sequence[LensImages]) -> int:
    """Count groups in several sets that no shared image explains."""
    seen: dict[str, int] = {}
    shared: set[str] = set()
    identities: set[str] = set()
    for number, part in enumerate(sets):
        own = part.metadata["identity"].astype(str).tolist()
        for identity, group in zip(own, part.metadata["group"].astype(str).tolist(), strict=True):
            if seen.setdefault(group, number) != number and identity not in identities:
                shared.add(group)
        identities.update(own)
    return len(shared)


class _Joined:
    """Disjoint sets of indices, each with the lowest correlation that joined it."""

    def __init__(self, number: int) -> None:
        self._parent = list(range(number))
        self._lowest = [1.0] * number

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, first: int, second: int, correlation: float) -> None:
        """Join two; the smaller root stays."""
        low, high = sorted((self._root(first), self._root(second)))
        self._parent[high] = low
        self._lowest[low] = min(self._lowest[low], self._lowest[high], correlation)

    def sets(self) -> list[tuple[list[int], float]]:
        """Members and lowest correlation of each set of two or more."""
        members: defaultdict[int, list[int]] = defaultdict(list)
        for index in range(len(self._parent)):
            members[self._root(index)].append(index)
        return [(own, self._lowest[root]) for root, own in members.items() if len(own) > 1]
