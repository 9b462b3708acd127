"""From images and a recipe to tensors: labelled splits, and images without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.data import FittedPreprocessing, LensImages, divide
from darkarcs.data.streams import LensStream
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.objectives import UNLABELLED
from darkarcs.training.recipe import Recipe
from darkarcs.training.unlabelled import gather_unlabelled, learns_without_labels


@dataclass(frozen=True)
class TrainingData:
    """What a training loop reads.

    Attributes
    ----------
    train, validation : LensImages
        The two labelled splits as stored.
    unlabelled : tuple of LensImages
        Further training images, their labels unknown or thrown away.
    train_images, validation_images : torch.Tensor, shape (N, C, H, W)
        Preprocessed; for training the labelled ones first, then the unlabelled.
    train_labels, validation_labels : torch.Tensor, shape (N,), int64
        Class indices; `darkarcs.objectives.UNLABELLED` where there is none.
    preprocessing : FittedPreprocessing
        With constants from the labelled training images.
    splits : dict of str to numpy.ndarray of int64
        Indices into the whole labelled set.
    class_counts : tuple of int
        Labelled training images in each class.
    stream : LensStream, optional
        Where training images come from that are made while the model trains; ``train`` is then
        the sample of them that the preprocessing was fitted on.
    """

    train: LensImages
    validation: LensImages
    unlabelled: tuple[LensImages, ...]
    train_images: Tensor
    validation_images: Tensor
    train_labels: Tensor
    validation_labels: Tensor
    preprocessing: FittedPreprocessing
    splits: dict[str, NDArray[np.int64]]
    class_counts: tuple[int, ...]
    stream: LensStream | None = None

    def preprocess_training(self, preprocessing: FittedPreprocessing) -> Tensor:
        """Preprocess all training images, as the student or as a teacher sees them.

        Parameters
        ----------
        preprocessing : FittedPreprocessing
            Whose.

        Returns
        -------
        torch.Tensor, shape (N, C, H, W)
            In the order of ``train_images``.
        """
        return _preprocess((self.train, *self.unlabelled), preprocessing)

    @property
    def train_identities(self) -> NDArray[np.str_]:
        """Identity of each training image, in the order of ``train_images``."""
        parts = (self.train, *self.unlabelled)
        return np.concatenate([part.metadata["identity"] for part in parts])


def prepare(images: LensImages, recipe: Recipe, further: LensImages | None = None) -> TrainingData:
    """Divide and preprocess.

    Parameters
    ----------
    images : LensImages
        Labelled images.
    recipe : Recipe
        Its split and preprocessing.
    further : LensImages, optional
        Unlabelled images. Those that are among the labelled ones, whatever their split, or of
        the same group as one, are left out.

    Returns
    -------
    TrainingData
        Tensors on the CPU.

    Raises
    ------
    DataError
        If the images cannot be divided or preprocessed.
    """
    if images.labels is not None and len(images.class_names) < 2 and not _takes_one_class(recipe):
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
    unlabelled = gather_unlabelled(images, splits, recipe, further)
    num_unlabelled = sum(len(part) for part in unlabelled)
    unknown = torch.full((num_unlabelled,), UNLABELLED, dtype=torch.int64)
    return TrainingData(
        train=train,
        validation=validation,
        unlabelled=unlabelled,
        train_images=_preprocess((train, *unlabelled), fitted),
        validation_images=_preprocess((validation,), fitted),
        train_labels=torch.cat([torch.from_numpy(train.labels), unknown]),
        validation_labels=torch.from_numpy(validation.labels),
        preprocessing=fitted,
        splits=splits,
        class_counts=tuple(int(c) for c in counts),
    )


def prepare_stream(stream: LensStream, recipe: Recipe) -> TrainingData:
    """Prepare training on an endless stream.

    Parameters
    ----------
    stream : LensStream
        Labelled lenses.
    recipe : Recipe
        Its stream settings and preprocessing.

    Returns
    -------
    TrainingData
        Validation images on the CPU, and the stream.

    Raises
    ------
    DataError
        If there is one class only, or the images cannot be preprocessed.
    """
    if len(stream.class_names) < 2 and not _takes_one_class(recipe):
        raise DataError(f"all images are of class '{stream.class_names[0]}': add another class")
    train = stream.images("train", recipe.stream.num_fit)
    validation = stream.images("validation", recipe.stream.num_validation)
    fitted = recipe.preprocessing.fit(train)
    assert train.labels is not None
    assert validation.labels is not None
    counts = np.bincount(train.labels, minlength=len(stream.class_names))
    return TrainingData(
        train=train,
        validation=validation,
        unlabelled=(),
        train_images=_preprocess((train,), fitted),
        validation_images=_preprocess((validation,), fitted),
        train_labels=torch.from_numpy(train.labels),
        validation_labels=torch.from_numpy(validation.labels),
        preprocessing=fitted,
        splits={"validation": np.arange(len(validation))},
        class_counts=tuple(int(c) for c in counts),
        stream=stream,
    )


def refuse_with_stream(recipe: Recipe, further: LensImages | None) -> None:
    """Refuse what only a set of images can give.

    Parameters
    ----------
    recipe : Recipe
        Of a run on an endless stream.
    further : LensImages, optional
        Unlabelled images.

    Raises
    ------
    ConfigurationError
        If few labels, unlabelled images or stored answers are asked for.
    """
    asked = {
        "split.num_per_class": recipe.split.num_per_class is not None,
        "split.fold": recipe.split.fold is not None,
        "training.images_per_epoch (not stream.images_per_epoch)": (
            recipe.training.images_per_epoch is not None
        ),
        "unlabelled images": further is not None or recipe.unlabelled != "none",
        "stored teachers' answers": bool(recipe.teacher.models)
        and recipe.teacher.answers == "stored",
    }
    for what, is_asked in asked.items():
        if is_asked:
            raise ConfigurationError(
                f"{what} needs a set of images, and this is an endless stream: say how many by num="
            )


def _takes_one_class(recipe: Recipe) -> bool:
    """Whether lenses of one class differ in what the objective learns, or no label is used."""
    return hasattr(recipe.objective, "request") or learns_without_labels(recipe)


def _preprocess(parts: Sequence[LensImages], preprocessing: FittedPreprocessing) -> Tensor:
    return torch.cat(
        [torch.from_numpy(preprocessing.apply(p.images, p.pixel_scale)) for p in parts]
    )
