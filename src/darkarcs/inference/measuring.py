"""Measure lens images with a model folder that holds a measuring head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.errors import DataError
from darkarcs.evaluation.conformal_regression import apply_correction
from darkarcs.evaluation.measurements import MeasuredNumber, Measurements
from darkarcs.inference.predictor import Predictor
from darkarcs.measurement import (
    Measurement,
    find_targets,
    predict_measurements,
    read_measurement,
)
from darkarcs.model_folder import TestTimeAugmentation
from darkarcs.objectives import COUNTS, TargetRequest
from darkarcs.objectives.regression_losses import GaussianLoss, quantile_shares

Floats = NDArray[np.float64]


class Measurer:
    """A trained model that measures, ready for images.

    Parameters
    ----------
    folder : pathlib.Path
        A model folder trained with ``objective.kind=regression``.
    device : torch.device or str, default "cpu"
        Where the model runs.
    batch_size : int, default 64
        Images a forward pass.

    Raises
    ------
    ModelError
        If the folder cannot be read or holds no measuring head.
    """

    def __init__(
        self, folder: Path, device: torch.device | str = "cpu", batch_size: int = 64
    ) -> None:
        self.predictor = Predictor(folder, device, batch_size)
        self.measuring = read_measurement(folder, self.predictor.device)

    @property
    def description(self) -> Measurement:
        """What is measured, and how it was calibrated."""
        return self.measuring.description

    def measure(
        self,
        images: LensImages,
        split: str = "all",
        test_time_augmentation: TestTimeAugmentation | None = None,
        progress: bool = False,
    ) -> tuple[Measurements, NDArray[np.float32] | None]:
        """Measure lens images.

        Parameters
        ----------
        images : LensImages
            Their truth is noted beside what is measured, where they have one.
        split : str, default "all"
            What the images are.
        test_time_augmentation : {"none", "dihedral"}, optional
            See `Predictor.logits`. Intervals are calibrated for the model folder's choice, which
            is the default.
        progress : bool, default False
            Show a progress bar on standard error.

        Returns
        -------
        measurements : Measurements
            With calibrated intervals.
        maps : ndarray of float32, shape (N, G, G), or None
            Probability that each cell holds a subhalo.
        """
        folder = self.predictor.folder
        chosen = test_time_augmentation or folder.description.test_time_augmentation
        quantiles: list[NDArray[np.float32]] = []
        maps: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for batch in self._batches(images, progress):
                measured = predict_measurements(
                    folder.model, self.measuring.head, self.description, batch, chosen
                )
                quantiles.append(measured.quantiles.float().cpu().numpy())
                if measured.map is not None:
                    maps.append(measured.map.float().cpu().numpy())
        described = self.description
        width = len(quantile_shares(described.levels))
        empty = np.empty((0, len(described.targets), width), dtype=np.float32)
        numbers = _numbers(
            np.concatenate([empty, *quantiles]).astype(np.float64),
            described,
            {name: self._truth(images, name) for name in described.request().transforms},
        )
        # a head is nothing without its backbone
        model_hash = f"{folder.model_hash}+{self.measuring.head_hash[:16]}"
        return (
            Measurements(
                identities=images.metadata["identity"],
                groups=images.metadata["group"],
                names=images.metadata["name"],
                classes=images.label_names,
                numbers=numbers,
                split=split,
                model_hash=model_hash,
            ),
            np.concatenate(maps) if maps else None,
        )

    def _batches(self, images: LensImages, progress: bool) -> Iterator[torch.Tensor]:
        size = self.predictor.batch_size
        starts = range(0, len(images), size)
        console = Console(stderr=True)
        for start in track(
            starts, "Measuring", console=console, disable=not progress, transient=True
        ):
            part = images.select(np.arange(start, min(start + size, len(images))))
            yield torch.from_numpy(self.predictor.preprocess(part)).to(self.predictor.device)

    def _truth(self, images: LensImages, name: str) -> Floats:
        request = TargetRequest(transforms={name: self.description.request().transforms[name]})
        try:
            found = self._find(images, request)[name]
        except DataError:  # images of the sky have none
            return np.full(len(images), np.nan)
        return found.astype(np.float64)

    def _find(self, images: LensImages, request: TargetRequest) -> dict[str, NDArray[np.float32]]:
        preprocessing = self.predictor.folder.description.preprocessing
        return find_targets(images, request, preprocessing, self.description.shape.grid)

    def true_map(self, images: LensImages) -> NDArray[np.float32] | None:
        """Count the subhalos in the cells of the map.

        Parameters
        ----------
        images : LensImages
            As stored.

        Returns
        -------
        ndarray of float32, shape (N, G, G), or None
            None where the model makes no map, or the images do not tell.
        """
        request = self.description.request()
        if request.cells is None:
            return None
        only_map = TargetRequest(cells=request.cells, min_mass=request.min_mass)
        try:
            return self._find(images, only_map)[COUNTS]
        except DataError:
            return None

    def cell_radius(self, images: LensImages) -> NDArray[np.float32] | None:
        """Compute the distance of the map's cells to the lens.

        Parameters
        ----------
        images : LensImages
            With the columns ``lens.einstein_radius``, ``lens.centre_x``, ``lens.centre_y``.

        Returns
        -------
        ndarray of float32, shape (N, G, G), or None
            In Einstein radii; None where a column is missing.
        """
        request = self.description.request()
        preprocessing = self.predictor.folder.description.preprocessing
        if request.cells is None:
            return None
        return cell_radius(images, preprocessing, self.description.shape.grid * request.cells)


def cell_radius(
    images: LensImages, preprocessing: FittedPreprocessing, side: int
) -> NDArray[np.float32] | None:
    """Compute the distance of the centres of cells to the lens, in Einstein radii.

    Parameters
    ----------
    images : LensImages
        With the columns ``lens.einstein_radius``, ``lens.centre_x``, ``lens.centre_y``.
    preprocessing : FittedPreprocessing
        Its field of view is divided into cells.
    side : int
        Cells along the side.

    Returns
    -------
    ndarray of float32, shape (N, side, side), or None
        None where a column or the pixel scale is missing.
    """
    names = ("lens.einstein_radius", "lens.centre_x", "lens.centre_y")
    if preprocessing.pixel_scale is None or any(name not in images.metadata for name in names):
        return None
    radius, centre_x, centre_y = (images.metadata[name][:, None, None] for name in names)
    shares = (np.arange(side) + 0.5) / side - 0.5
    y = shares[:, None] * preprocessing.crop_height * preprocessing.pixel_scale - centre_y
    x = shares[None, :] * preprocessing.crop_width * preprocessing.pixel_scale - centre_x
    return np.asarray(np.hypot(x, y) / radius, dtype=np.float32)


def _numbers(
    quantiles: Floats, description: Measurement, truths: dict[str, Floats]
) -> dict[str, MeasuredNumber]:
    shares = np.array(quantile_shares(description.levels))
    scaled = isinstance(description.loss, GaussianLoss)
    numbers = {}
    for index, target in enumerate(description.targets):
        own = quantiles[:, index]  # (N, Q)
        bounds = []
        for level in description.levels:
            low = int(np.argmin(np.abs(shares - (1 - level) / 2)))
            bounds.append(
                apply_correction(
                    own[:, low],
                    own[:, len(shares) - 1 - low],
                    target.corrections.get(f"{level:g}", 0.0),
                    scaled=scaled,
                )
            )
        numbers[target.name] = MeasuredNumber(
            transform=target.transform,
            truth=truths[target.name],
            median=own[:, len(shares) // 2],
            lower=np.stack([lower for lower, _ in bounds], axis=1),
            upper=np.stack([upper for _, upper in bounds], axis=1),
            levels=description.levels,
        )
    return numbers
