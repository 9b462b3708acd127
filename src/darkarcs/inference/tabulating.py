"""From logits to the table that evaluation starts from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from darkarcs.data import LensImages
from darkarcs.errors import ModelError
from darkarcs.evaluation import Predictions
from darkarcs.model_folder import ModelFolder


def tabulate(
    folder: ModelFolder,
    images: LensImages,
    logits: NDArray[np.float64],
    split: str,
    strategy: str = "",
) -> Predictions:
    """Put what a model said beside what the images are.

    Parameters
    ----------
    folder : ModelFolder
        The model.
    images : LensImages
        Labelled or not.
    logits : ndarray, shape (N, K)
        After the temperature.
    split : str
        What the images are: ``"test"``, ``"all"``.
    strategy : str, default ""
        Follows the model's hash where it did not predict plainly.

    Returns
    -------
    Predictions
        As `darkarcs.inference.Predictor.predict` gives them.

    Raises
    ------
    ModelError
        If the images are of a class that the model does not know.
    """
    return Predictions(
        identities=images.metadata["identity"],
        groups=images.metadata["group"],
        names=images.metadata["name"],
        labels=renumbered(images, folder.description.class_names),
        logits=logits,
        class_names=folder.description.class_names,
        split=split,
        model_hash=folder.model_hash + strategy,
    )


def renumbered(images: LensImages, class_names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """Number labels by a model's classes.

    Parameters
    ----------
    images : LensImages
        Labelled or not.
    class_names : tuple of str
        Of the model.

    Returns
    -------
    ndarray of int64, shape (N,), or None
        None for images without labels.

    Raises
    ------
    ModelError
        If the images are of a class that is not among them.
    """
    if images.labels is None:
        return None
    known = {name: index for index, name in enumerate(class_names)}
    if "sub" in known:  # any substructure is the positive class of a two-class model
        known = {"cdm": known["sub"], "axion": known["sub"], **known}
    unknown = [name for name in images.class_names if name not in known]
    if unknown:
        raise ModelError(
            f"the data hold class {', '.join(unknown)}, but the model tells apart "
            f"{', '.join(class_names)}: evaluate on data of these classes"
        )
    numbers = np.array([known[name] for name in images.class_names], dtype=np.int64)
    return numbers[images.labels]
