"""From the decoded files of a set to `LensImages`, or to one error that names all bad files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.data.lens_images import LensImages
from darkarcs.data.readers.folders import classes_from_folders
from darkarcs.errors import DataError
from darkarcs.labels import canonical_class, order_classes

logger = logging.getLogger(__name__)

#: How many bad files an error lists by name.
MAX_LISTED = 20


@dataclass(frozen=True)
class Sample:
    """One good image of a file and what the file says about it.

    Parameters
    ----------
    name : str
        Path inside the set; ``path#3`` for the fourth image of a stack.
    image : ndarray, shape (C, H, W)
        In the file's dtype.
    identity : str
        From `darkarcs.data.lens_images.pixel_identity`.
    dtype : str
        What the file holds.
    format : str
        Name of the file's format.
    label : str or None
        Class name, if the file itself tells.
    columns : dict
        Metadata of this image.
    pixel_scale : float or None
        Arcsec per pixel.
    position : int, default 0
        In the file's stack.
    """

    name: str
    image: NDArray[Any]
    identity: str
    dtype: str
    format: str
    label: str | None
    columns: dict[str, Any]
    pixel_scale: float | None
    position: int = 0

    @property
    def order(self) -> tuple[str, int]:
        """Sort by file and, in a stack, by position: #10 after #9."""
        return self.name.removesuffix(f"#{self.position}"), self.position


def assemble(
    samples: Sequence[Sample],
    bad: Sequence[tuple[str, str]],
    *,
    source: str,
    container: str,
    skip_bad: bool,
) -> LensImages:
    """Put samples together, or say what is wrong with which files.

    Parameters
    ----------
    samples : sequence of Sample
        The images that could be read.
    bad : sequence of (str, str)
        Name and reason of those that could not.
    source : str
        What was opened, for messages and the manifest.
    container : str
        Kind of container, for the manifest.
    skip_bad : bool
        Whether to go on without the bad ones.

    Returns
    -------
    LensImages
        Sorted by name.

    Raises
    ------
    DataError
        If there are no images, or bad ones that are not to be skipped.
    """
    if not samples and not bad:
        raise DataError(
            f"{source}: no images found (looked for JPEG, PNG, TIFF, .npy, .npz, FITS and HDF5)"
        )
    kept = sorted(samples, key=lambda sample: sample.order)
    skipped = list(bad)
    kept, odd = _split_by_shape(kept)
    skipped += odd
    labels = _labels(kept)
    unlabelled = [s for s, label in zip(kept, labels, strict=True) if label is None]
    if unlabelled and len(unlabelled) < len(kept):
        reason = "lies in no class folder, but other images do"
        skipped += [(sample.name, reason) for sample in unlabelled]
        kept = [s for s, label in zip(kept, labels, strict=True) if label is not None]
        labels = [label for label in labels if label is not None]
    skipped.sort()
    if skipped and not (skip_bad and kept):
        raise DataError(_complaint(source, skipped, len(kept) + len(skipped), bool(kept)))
    if skipped:
        total = len(kept) + len(skipped)
        told = "\n".join(_listed(skipped))
        number = len(skipped)
        logger.warning("%s: going on without %d bad of %d images:\n%s", source, number, total, told)
    return _build(kept, labels, skipped, source=source, container=container)


def _split_by_shape(samples: list[Sample]) -> tuple[list[Sample], list[tuple[str, str]]]:
    counts = Counter(sample.image.shape for sample in samples)
    if len(counts) < 2:
        return samples, []
    # Ties go to the shape met first in the order of names: any rule, but always the same.
    usual, number = counts.most_common(1)[0]
    share = "most" if number > len(samples) / 2 else "the largest group of"
    odd = [
        (s.name, f"has shape {s.image.shape}, {share} images have {usual} (channels first)")
        for s in samples
        if s.image.shape != usual
    ]
    return [sample for sample in samples if sample.image.shape == usual], odd


def _labels(samples: Sequence[Sample]) -> list[str | None]:
    """Take what the files say of their classes, else what the folders say."""
    if any(sample.label is not None for sample in samples):
        return [None if s.label is None else canonical_class(s.label) for s in samples]
    return classes_from_folders([sample.name for sample in samples])


def _complaint(source: str, skipped: Sequence[tuple[str, str]], total: int, some: bool) -> str:
    number = f"{len(skipped)} of {total} images" if some else f"none of the {total} images"
    verb = "cannot be used; go on without them by --skip-bad" if some else "can be used"
    lines = [f"{source}: {number} {verb}:"]
    return "\n".join([*lines, *_listed(skipped)])


def _listed(skipped: Sequence[tuple[str, str]]) -> list[str]:
    lines = [f"  {name}: {reason}" for name, reason in skipped[:MAX_LISTED]]
    if len(skipped) > MAX_LISTED:
        lines.append(f"  and {len(skipped) - MAX_LISTED} more")
    return lines


def _build(
    samples: Sequence[Sample],
    labels: Sequence[str | None],
    skipped: Sequence[tuple[str, str]],
    *,
    source: str,
    container: str,
) -> LensImages:
    images = np.empty((len(samples), *samples[0].image.shape), dtype=np.float32)
    for position, sample in enumerate(samples):
        images[position] = sample.image
    class_names = order_classes(label for label in labels if label is not None)
    index = {name: position for position, name in enumerate(class_names)}
    codes = [index[label] for label in labels if label is not None] if class_names else None
    metadata: dict[str, NDArray[Any]] = {
        "identity": np.array([sample.identity for sample in samples], dtype="U64"),
        "name": np.array([sample.name for sample in samples], dtype=str),
    }
    for column in sorted({key for sample in samples for key in sample.columns}):
        if column not in ("identity", "name"):
            metadata[column] = _column([sample.columns.get(column) for sample in samples])
    pixel_scale = _common_scale([sample.pixel_scale for sample in samples], metadata, source)
    manifest = {
        "source": source,
        "format": container,
        "file_formats": dict(sorted(Counter(sample.format for sample in samples).items())),
        "file_dtypes": dict(sorted(Counter(sample.dtype for sample in samples).items())),
        "num_distinct": len({sample.identity for sample in samples}),
        "skipped": [{"name": name, "reason": reason} for name, reason in skipped],
    }
    return LensImages.from_arrays(images, codes, class_names, metadata, pixel_scale, manifest)


def _column(values: Sequence[Any]) -> NDArray[Any]:
    """Make a column; where an image has no value it holds NaN, or "" among words."""
    if any(isinstance(value, str) for value in values):
        return np.array(["" if value is None else str(value) for value in values], dtype=str)
    if any(value is None for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return np.array(values)


def _common_scale(
    scales: Sequence[float | None], metadata: dict[str, NDArray[Any]], source: str
) -> float | None:
    known = [scale for scale in scales if scale is not None]
    if not known:
        return None
    # Headers of one instrument differ in the last digits; a tenth of a per cent is no difference.
    if len(known) == len(scales) and max(known) - min(known) <= 1e-3 * max(known):
        return float(np.median(known))
    metadata["pixel_scale"] = np.array([np.nan if s is None else s for s in scales])
    unknown = len(scales) - len(known)
    logger.warning(
        "%s: pixel scales differ, %g to %g arcsec%s: predictions bring each image to the model's "
        "field of view by its own; training would take pixels as they come",
        *(source, min(known), max(known), f", {unknown} unknown" if unknown else ""),
    )
    return None
