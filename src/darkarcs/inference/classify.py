"""Classify images, one record a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkarcs import data
from darkarcs.inference.predictor import Predictor
from darkarcs.model_folder import TestTimeAugmentation


def classify(
    model: Path,
    paths: Sequence[str],
    *,
    skip_bad: bool = False,
    test_time_augmentation: TestTimeAugmentation | None = None,
    device: str = "cpu",
    batch_size: int = 64,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Classify images.

    Parameters
    ----------
    model : pathlib.Path
        A model folder.
    paths : sequence of str
        Images, folders or archives of images; labels are not looked at. Paths may differ in
        the size of their images.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    test_time_augmentation : {"none", "dihedral"}, optional
        Whether to average over the eight rotations and reflections; the model folder's choice
        by default.
    device : str, default "cpu"
        Where the model runs.
    batch_size : int, default 64
        Images a forward pass.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    list of dict
        For each image ``path``, ``identity``, ``class`` and ``probabilities`` by class name.

    Raises
    ------
    DarkarcsError
        Bad files, all named at once, or images that the model cannot take.
    """
    predictor = Predictor(model, device, batch_size)
    records = []
    for path in paths:
        images = data.open(path, skip_bad=skip_bad, labelled=False)
        logits = predictor.logits(images, test_time_augmentation, progress)
        probabilities = predictor.probabilities(logits)
        single = Path(path).is_file() and len(images) == 1
        for index, row in enumerate(probabilities):
            name = str(images.metadata["name"][index])
            records.append(
                {
                    "path": path if single else f"{path}/{name}",
                    "identity": str(images.metadata["identity"][index]),
                    "class": predictor.class_names[int(row.argmax())],
                    "probabilities": {
                        label: float(value)
                        for label, value in zip(predictor.class_names, row, strict=True)
                    },
                }
            )
    return records
