"""From labelled images and a recipe to tensors of the three splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.data import FittedPreprocessing, LensImages, divide
from darkarcs.errors import DataError
from darkarcs.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingData:
    """What a training loop reads.

    Attributes
    ----------
    train, validation : LensImages
        The two splits as stored.
    train_images, validation_images : torch.Tensor, shape (N, C, H, W)
        Preprocessed.
    train_labels, validation_labels : torch.Tensor, shape (N,), int64
        Class indices.
    preprocessing : FittedPreprocessing
        With constants from the training split.
    splits : dict of str to numpy.ndarray of int64
        Indices into the whole set.
    class_counts : tuple of int
        Training images in each class.
    """

    train: LensImages
    validation: LensImages
    train_images: Tensor
    validation_images: Tensor
    train_labels: Tensor
    validation_labels: Tensor
    preprocessing: FittedPreprocessing
    splits: dict[str, NDArray[np.int64]]
    class_counts: tuple[int, ...]


def prepare(images: LensImages, recipe: Recipe) -> TrainingData:
    """Divide and preprocess.

    Parameters
    ----------
    images : LensImages
        Labelled images.
    recipe : Recipe
        Its split and preprocessing.

    Returns
    -------
    TrainingData
        Tensors on the CPU.

    Raises
    ------
    DataError
        If the images cannot be divided or preprocessed.
    """
    if images.labels is not None and len(images.class_names) < 2:
        raise DataError(
            f"all images are of class '{images.class_names[0]}': there is nothing to tell apart; "
            "put each class into a folder of its name"
        )
    splits = divide(images, recipe.split)
    train, validation = images.select(splits["train"]), images.select(splits["validation"])
    fitted = recipe.preprocessing.fit(train)
    assert train.labels is not None
    assert validation.labels is not None
    counts = np.bincount(train.labels, minlength=len(images.class_names))
    for name, part in (("training", train.labels), ("validation", validation.labels)):
        missing = set(range(len(images.class_names))) - set(part.tolist())
        if missing:
            absent = ", ".join(images.class_names[i] for i in sorted(missing))
            raise DataError(f"no {name} image of class {absent}: more images or other fractions")
    return TrainingData(
        train=train,
        validation=validation,
        train_images=torch.from_numpy(fitted.apply(train.images, train.pixel_scale)),
        validation_images=torch.from_numpy(fitted.apply(validation.images, validation.pixel_scale)),
        train_labels=torch.from_numpy(train.labels),
        validation_labels=torch.from_numpy(validation.labels),
        preprocessing=fitted,
        splits=splits,
        class_counts=tuple(int(c) for c in counts),
    )
