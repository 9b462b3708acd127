"""From a trained model and its images to what travels with it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.errors import DataError
from darkarcs.models import ImageClassifier
from darkarcs.seeding import numpy_generator
from darkarcs.trust.familiarity import Observed, fit_familiarity
from darkarcs.trust.network import NetworkView, view_images
from darkarcs.trust.statistics import image_statistics
from darkarcs.trust.trust_file import Trust

#: Training images that references are fitted to at most: more cost time and change little.
MAX_TRAINING = 2048
#: Fewer than this and nothing can be said.
MIN_IMAGES = 8


def observe(images: LensImages, view: NetworkView, preprocessing: FittedPreprocessing) -> Observed:
    """Bring together what scores are computed from.

    Parameters
    ----------
    images : LensImages
        As stored, with the model's number of channels.
    view : NetworkView
        What the network made of them.
    preprocessing : FittedPreprocessing
        The model's.

    Returns
    -------
    Observed
        In the order of the images.
    """
    return Observed(
        image_statistics(images, preprocessing),
        view.features.double().cpu().numpy(),
        view.logits.double().cpu().numpy(),
    )


def fit_trust(
    model: ImageClassifier,
    preprocessing: FittedPreprocessing,
    train: LensImages,
    validation: LensImages,
    validation_logits: NDArray[np.float64],
    test_time_augmentation: str,
    seed: int = 0,
) -> Trust:
    """Fit what tells familiar images from strange ones, and keep what sets are made from.

    Parameters
    ----------
    model : ImageClassifier
        Trained, in evaluation mode.
    preprocessing : FittedPreprocessing
        The model's.
    train, validation : LensImages
        The two labelled splits as stored. At most `MAX_TRAINING` of the first are looked at,
        those first in the order of their identity.
    validation_logits : ndarray, shape (N, K)
        As the model predicts them, divided by its temperature.
    test_time_augmentation : str
        How they were predicted.
    seed : int, default 0
        Root of the division of the training images.

    Returns
    -------
    Trust
        To be stored beside the model.

    Raises
    ------
    DataError
        If there are no labels, or fewer than `MIN_IMAGES` images of a split.
    """
    if train.labels is None or validation.labels is None:
        raise DataError("trust is fitted on labelled images")
    if min(len(train), len(validation)) < MIN_IMAGES:
        raise DataError(
            f"trust needs at least {MIN_IMAGES} training and validation images, not "
            f"{len(train)} and {len(validation)}"
        )
    order = np.argsort(train.metadata["identity"], kind="stable")[:MAX_TRAINING]
    sample = train.select(order)
    assert sample.labels is not None
    observed = []
    for part in (sample, validation):
        pixels = preprocessing.apply(part.images, part.pixel_scale)
        view = view_images(model, torch.from_numpy(pixels))
        observed.append(observe(part, view, preprocessing))
    familiarity = fit_familiarity(
        observed[0], sample.labels, observed[1], numpy_generator(seed, "trust")
    )
    return Trust(
        familiarity=familiarity,
        logits=validation_logits.astype(np.float32).astype(np.float64),
        labels=validation.labels,
        test_time_augmentation=test_time_augmentation,
        num_training=len(sample),
    )
