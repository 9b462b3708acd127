"""`audit`: open sets of labelled images and say what gives their classes away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from darkarcs import data
from darkarcs.audit.duplicates import DuplicateReport, find_duplicates
from darkarcs.audit.feature_table import FeatureTable
from darkarcs.audit.features import FAMILIES, measure
from darkarcs.audit.file_facts import FileFacts, file_facts
from darkarcs.audit.leaks import LEVEL, Kind, Leak, find_leaks
from darkarcs.audit.null_tests import NullSample, NullTestReport, null_test
from darkarcs.audit.profiles import ClassProfile, class_profiles
from darkarcs.data import LensImages
from darkarcs.errors import DataError
from darkarcs.evaluation.provenance import command_line
from darkarcs.seeding import numpy_generator

#: From the URI of a scene to what draws its null samples; None for what is no scene.
FindNullSample = Callable[[str], NullSample | None]


@dataclass(frozen=True)
class SetAudit:
    """What was found in one set.

    Parameters
    ----------
    source : str
        What was opened.
    lens_facts : dict
        ``num_images``, ``shape`` (C, H, W), ``class_counts``, ``num_skipped``,
        ``content_hash`` and ``file_kinds``.
    leaks : tuple of Leak
        One a family, then all together; empty if they could not be looked for.
    reason : str
        Why there are no leaks in the table, else empty.
    profiles : tuple of ClassProfile
        Mean radial profile of each class, for the figure.
    null_tests : NullTestReport or None
        For a scene.
    """

    source: str
    lens_facts: dict[str, Any]
    leaks: tuple[Leak, ...]
    reason: str
    profiles: tuple[ClassProfile, ...]
    null_tests: NullTestReport | None

    @property
    def verdict(self) -> str:
        """The worst verdict of all families; empty where there is none."""
        found = {leak.verdict for leak in self.leaks}
        return next((name for name in ("leaks", "carries", "clean") if name in found), "")

    def as_json(self) -> dict[str, Any]:
        """Write as what JSON holds.

        Returns
        -------
        dict
            ``source``, the facts, ``verdict``, ``leaks``, ``reason``, ``null_tests``.
        """
        tests = self.null_tests
        return {
            "source": self.source,
            **self.lens_facts,
            "verdict": self.verdict or None,
            "leaks": [leak.as_json() for leak in self.leaks],
            "reason": self.reason or None,
            "null_tests": None if tests is None else tests.as_json(),
        }


@dataclass(frozen=True)
class AuditReport:
    """What was found in all sets given.

    Parameters
    ----------
    sets : tuple of SetAudit
        In the order given.
    duplicates : DuplicateReport
        Of all sets together.
    seed : int
        Of folds, trees and the choice of images.
    """

    sets: tuple[SetAudit, ...]
    duplicates: DuplicateReport
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Write as what JSON holds.

        Returns
        -------
        dict
            ``sets``, ``duplicates``, ``level``, ``seed``, ``version``, ``command``.
        """
        return {
            "sets": [part.as_json() for part in self.sets],
            "duplicates": self.duplicates.as_json(),
            "level": LEVEL,
            "seed": self.seed,
            "version": version("darkarcs"),
            "command": command_line(),
        }


def audit(
    paths: Sequence[str | Path],
    *,
    seed: int = 0,
    max_images: int | None = None,
    find_null_sample: FindNullSample | None = None,
    null_images: int = 2000,
    progress: bool = False,
) -> AuditReport:
    """Look for what tells the classes of labelled sets apart, and for duplicates.

    Parameters
    ----------
    paths : sequence of str or pathlib.Path
        Anything that `darkarcs.data.open` takes; bad files are left out and counted. Each set
        has its own table; duplicates are looked for within and between all of them.
    seed : int, default 0
        Of folds, trees and the choice of images.
    max_images : int, optional
        Look at no more of each set, chosen at random by whole groups.
    find_null_sample : callable, optional
        For scenes, which then are put to the null tests.
    null_images : int, default 2000
        Images that each null test draws.
    progress : bool, default False
        Show progress bars on standard error.

    Returns
    -------
    AuditReport
        Without labels, or with too few images, a set has no table of leaks but says why.

    Raises
    ------
    DataError
        If a set cannot be opened.
    """
    opened = [_few(data.open(path, skip_bad=True), max_images, seed) for path in paths]
    audits = []
    for path, lens_images in zip(paths, opened, strict=True):
        sample = find_null_sample(str(path)) if find_null_sample is not None else None
        tests = None
        if sample is not None:
            tests = null_test(sample, seed, null_images, progress=progress)
        names = lens_images.metadata["name"].tolist()
        facts = file_facts(path, names)
        audits.append(audit_images(lens_images, facts, tests, seed=seed, progress=progress))
    return AuditReport(tuple(audits), find_duplicates(opened, progress=progress), seed)


def audit_images(
    lens_images: LensImages,
    files: FileFacts | None = None,
    null_tests: NullTestReport | None = None,
    *,
    seed: int = 0,
    progress: bool = False,
) -> SetAudit:
    """Look for what tells the classes of images in memory apart.

    Parameters
    ----------
    lens_images : LensImages
        Labelled or not.
    files : FileFacts, optional
        Of the files they came from.
    null_tests : NullTestReport, optional
        Kept with the audit.
    seed : int, default 0
        Of folds and trees.
    progress : bool, default False
        Show progress bars on standard error.

    Returns
    -------
    SetAudit
        The table of one set.
    """
    manifest = lens_images.manifest
    lens_facts = {
        "num_images": len(lens_images),
        "shape": list(lens_images.images.shape[1:]),
        "class_counts": lens_images.class_counts(),
        "num_skipped": len(manifest.get("skipped", [])),
        "content_hash": lens_images.content_hash,
        "file_kinds": None if files is None else files.kinds,
    }
    leaks: tuple[Leak, ...] = ()
    profiles: tuple[ClassProfile, ...] = ()
    reason = "there are no labels" if lens_images.labels is None else ""
    if not reason:
        tables = measure(lens_images.images, progress=progress)
        profiles = class_profiles(tables["radial_profile"], lens_images)
        try:
            rows = _rows(tables, files)
            leaks = tuple(find_leaks(lens_images, rows, seed=seed, progress=progress))
        except DataError as error:
            reason = str(error)
    source = str(manifest.get("source", ""))
    return SetAudit(source, lens_facts, leaks, reason, profiles, null_tests)


def _rows(
    tables: dict[str, FeatureTable], files: FileFacts | None
) -> dict[str, tuple[Kind, FeatureTable]]:
    rows: dict[str, tuple[Kind, FeatureTable]] = {
        family.name: (family.kind, tables[name]) for name, family in FAMILIES.items()
    }
    if files is not None:
        rows["file facts"] = ("artefact", files.container)
        if files.compressed_size is not None:
            rows["compressed size"] = ("content", files.compressed_size)
    return rows


def _few(lens_images: LensImages, number: int | None, seed: int) -> LensImages:
    """Choose images at random, by whole groups, until there are enough."""
    if number is None or len(lens_images) <= number:
        return lens_images
    _, group = np.unique(lens_images.metadata["group"], return_inverse=True)
    order = numpy_generator(seed, "audit", "few").permutation(int(group.max()) + 1)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    by_rank = np.argsort(rank[group], kind="stable")
    last = rank[group][by_rank[number - 1]]
    kept = np.flatnonzero(rank[group] <= last)
    if len(kept) > number:  # the last group would be cut: it is left out
        kept = np.flatnonzero(rank[group] < last)
    return lens_images.select(kept) if len(kept) else lens_images.select(by_rank[:number])
