"""What a quick look at labelled images finds that no training should rest on."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath

from darkarcs.data import LensImages
from darkarcs.data.inspection import find_duplicates

logger = logging.getLogger(__name__)


def warn_of_giveaways(images: LensImages, source: str) -> None:
    """Log a warning for labels that contradict each other, and for classes told by their files.

    Parameters
    ----------
    images : LensImages
        Labelled or not.
    source : str
        What they were opened from, for the message.
    """
    if images.labels is None:
        return
    duplicates = find_duplicates(images)
    if number := duplicates["num_across_classes"]:
        names = " and ".join(duplicates["groups"][0]["names"][:2])
        logger.warning(
            "%s: %s more than one class, such as %s: no model is right about both "
            "('darkarcs data inspect' names them)",
            source,
            "an image lies in" if number == 1 else f"{number} images lie in",
            names,
        )
    formats = _formats(images)
    every = [name for names in formats.values() for name in names]
    if len(formats) > 1 and len(every) == len(set(every)):
        told = ", ".join(f"{name}: {' '.join(sorted(formats[name]))}" for name in formats)
        logger.warning(
            "%s: each class has a file format of its own (%s), which leaves traces in the pixels "
            "that a model can learn instead of lensing ('darkarcs data audit' looks for more)",
            source,
            told,
        )


def _formats(images: LensImages) -> dict[str, set[str]]:
    """Give the file endings of each class; nothing where images have none."""
    formats: dict[str, set[str]] = {}
    for label, name in zip(images.label_names, images.metadata["name"], strict=True):
        if ending := PurePosixPath(str(name)).suffix.lower():
            formats.setdefault(str(label), set()).add(ending)
    return formats if "" not in formats else {}
