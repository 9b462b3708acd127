"""What a recipe says about splits, and how a model folder repeats it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from darkarcs.configuration import Configuration
from darkarcs.data.lens_images import LensImages
from darkarcs.data.splits import folds, split, subset
from darkarcs.errors import DataError


class SplitSettings(Configuration):
    """How labelled images are divided; always by content hash, never by order or name.

    Attributes
    ----------
    train, validation, test : float, default 0.7, 0.1, 0.2
        Shares of each class. With ``fold`` set, the test share is ``1 / num_folds`` instead and
        the rest is divided between training and validation in the ratio given here.
    seed : int, default 0
        Another seed gives another division.
    num_folds : int, default 5
        Number of folds, used where ``fold`` is set.
    fold : int, optional
        Which fold is the test split.
    num_per_class : int, optional
        Few-label runs: this many labels a class in all, those for stopping included; a share
        ``validation / (train + validation)`` of them selects. Drawn anew for each ``subset_seed``.
    subset_seed : int, default 0
        Seed of the few-label draw.
    """

    train: float = Field(default=0.7, gt=0, lt=1)
    validation: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.2, ge=0, lt=1)
    seed: int = 0
    num_folds: int = Field(default=5, ge=2)
    fold: int | None = None
    num_per_class: int | None = Field(default=None, ge=2)
    subset_seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> SplitSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train + validation + test must be 1")
        if self.fold is not None and not 0 <= self.fold < self.num_folds:
            raise ValueError(f"fold must lie between 0 and {self.num_folds - 1}")
        return self


def divide(images: LensImages, settings: SplitSettings) -> dict[str, NDArray[np.int64]]:
    """Divide labelled images as a recipe says.

    Parameters
    ----------
    images : LensImages
        Labelled images.
    settings : SplitSettings
        Fractions or fold, and the few-label draw.

    Returns
    -------
    dict of str to numpy.ndarray of int64
        Indices of ``train``, ``validation`` and ``test``.

    Raises
    ------
    DataError
        If the images are unlabelled or a class is too small to be divided.
    """
    if images.labels is None:
        raise DataError(
            "training needs labels: put the images of each class into a folder of its name"
        )
    selecting = settings.validation / (settings.train + settings.validation)
    if settings.fold is None:
        fractions = (settings.train, settings.validation, settings.test)
        splits = split(images, fractions, seed=settings.seed)
    else:
        fold = folds(images, settings.num_folds, settings.seed)
        rest = np.flatnonzero(fold != settings.fold)
        inner = split(images.select(rest), (1 - selecting, selecting, 0.0), settings.seed)
        splits = {name: rest[indices] for name, indices in inner.items()}
        splits["test"] = np.flatnonzero(fold == settings.fold)
    if settings.num_per_class is not None:
        num_validation = max(1, round(selecting * settings.num_per_class))
        counts = {"train": settings.num_per_class - num_validation, "validation": num_validation}
        for name, count in counts.items():
            splits[name] = _few(images, splits[name], count, settings.subset_seed)
    return splits


def _few(
    images: LensImages, indices: NDArray[np.int64], num_per_class: int, seed: int
) -> NDArray[np.int64]:
    chosen = subset(images.select(indices), num_per_class, seed).metadata["identity"]
    identities = images.metadata["identity"][indices]
    _, first = np.unique(identities, return_index=True)
    return indices[np.sort(first[np.isin(identities[first], chosen)])]
