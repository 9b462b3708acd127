"""Training images without labels: which may join, and which must not."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from darkarcs.data import LensImages, divide
from darkarcs.errors import DataError
from darkarcs.training.recipe import Recipe

logger = logging.getLogger(__name__)

#: The only class of a run that has no labels at all.
NO_CLASS = "unlabelled"


def learns_without_labels(recipe: Recipe) -> bool:
    """Tell whether a recipe has no use for any label.

    Parameters
    ----------
    recipe : Recipe
        Its objective decides.

    Returns
    -------
    bool
        True if one class is as good as several.
    """
    return bool(getattr(recipe.objective, "is_self_supervised", False))


def as_one_class(images: LensImages) -> LensImages:
    """Put images without labels into one class, `NO_CLASS`, as such a run divides them.

    Parameters
    ----------
    images : LensImages
        Labelled or not.

    Returns
    -------
    LensImages
        Unchanged if labelled.
    """
    if images.labels is not None:
        return images
    labels = np.zeros(len(images), dtype=np.int64)
    return LensImages.from_arrays(
        images.images,
        labels,
        (NO_CLASS,),
        images.metadata,
        images.pixel_scale,
        images.manifest,
        images.lists,
    )


def gather_unlabelled(
    images: LensImages,
    splits: dict[str, NDArray[np.int64]],
    recipe: Recipe,
    further: LensImages | None,
) -> tuple[LensImages, ...]:
    """Gather what a run learns from without labels.

    Parameters
    ----------
    images : LensImages
        All labelled images.
    splits : dict of str to numpy.ndarray of int64
        Their division, with few labels if the recipe says so.
    recipe : Recipe
        Its ``unlabelled`` and ``split``.
    further : LensImages, optional
        Images from elsewhere.

    Returns
    -------
    tuple of LensImages
        Without labels; exact duplicates once. No image of the validation or test split, and
        none that shares a group with one, is among them.

    Raises
    ------
    DataError
        If nothing is left of what was asked for.
    """
    parts = []
    if recipe.unlabelled == "rest":
        parts.append(_rest_of_training(images, splits, recipe))
    if further is not None:
        parts.append(_not_among(further, images))
    return tuple(parts)


def _rest_of_training(
    images: LensImages, splits: dict[str, NDArray[np.int64]], recipe: Recipe
) -> LensImages:
    whole = divide(images, recipe.split.model_copy(update={"num_per_class": None}))["train"]
    identities = images.metadata["identity"]
    chosen = identities[splits["train"]]
    rest = whole[~np.isin(identities[whole], chosen)]
    _, first = np.unique(identities[rest], return_index=True)
    if len(first) == 0:
        raise DataError(
            "unlabelled: rest finds nothing: split.num_per_class takes the whole training split"
        )
    return _without_labels(images.select(rest[np.sort(first)]))


def _not_among(further: LensImages, images: LensImages) -> LensImages:
    known = np.zeros(len(further), dtype=bool)
    for column in ("identity", "group"):
        known |= np.isin(further.metadata[column], images.metadata[column])
    fresh = np.flatnonzero(~known)
    _, first = np.unique(further.metadata["identity"][fresh], return_index=True)
    if len(first) == 0:
        raise DataError(
            "every unlabelled image is among the labelled ones: leave --unlabelled away, or set "
            "unlabelled=rest to use the rest of a few-label training split"
        )
    if len(first) < len(further):
        logger.warning(
            "%d of %d unlabelled images are left out: duplicates, or among the labelled ones",
            len(further) - len(first),
            len(further),
        )
    return _without_labels(further.select(fresh[np.sort(first)]))


def _without_labels(part: LensImages) -> LensImages:
    return LensImages.from_arrays(
        part.images, None, (), part.metadata, part.pixel_scale, part.manifest
    )
