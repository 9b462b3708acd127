"""From a model folder and lens images to logits and attention maps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from darkarcs.data import LensImages
from darkarcs.devices import choose_device
from darkarcs.errors import ModelError
from darkarcs.evaluation import Predictions
from darkarcs.explain import (
    ErasingSettings,
    class_attention,
    reading_tokens,
    require_erasable,
)
from darkarcs.inference.erasing import predict_by_erasing
from darkarcs.inference.intake import take_images
from darkarcs.model_folder import (
    ModelFolder,
    TestTimeAugmentation,
    predict_logits,
    read_model_folder,
)
from darkarcs.trust import TRUST_FILE, Trust, read_trust


class Predictor:
    """A trained model with its preprocessing, ready for images.

    Parameters
    ----------
    folder : pathlib.Path
        A model folder.
    device : torch.device or str, default "cpu"
        Where the model runs, in float32; ``auto`` takes a GPU where there is one.
    batch_size : int, default 64
        Images a forward pass.

    Raises
    ------
    ModelError
        If the folder cannot be read.
    """

    def __init__(
        self, folder: Path, device: torch.device | str = "cpu", batch_size: int = 64
    ) -> None:
        self.device = choose_device(str(device))
        self.folder: ModelFolder = read_model_folder(folder, self.device)
        self.batch_size = batch_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits."""
        return self.folder.description.class_names

    @cached_property
    def trust(self) -> Trust | None:
        """What the model ships to judge its predictions by; None if it ships nothing.

        Raises
        ------
        ModelError
            If it is damaged, or of a model of other classes.
        """
        trust = read_trust(self.folder.path)
        if trust is not None and trust.logits.shape[1] != len(self.class_names):
            raise ModelError(
                f"{self.folder.path / TRUST_FILE}: is of a model with {trust.logits.shape[1]} "
                "classes: delete it, or make it again with 'darkarcs trust'"
            )
        return trust

    def as_taken(
        self, images: LensImages, cache: Path | None = None, progress: bool = False
    ) -> LensImages:
        """Give a model the images that it takes: residuals, or the number of channels.

        Parameters
        ----------
        images : LensImages
            As stored.
        cache : pathlib.Path, optional
            Folder where fits are kept, so that a run that was cut off goes on.
        progress : bool, default False
            Show a progress bar on standard error while smooth lenses are fitted.

        Returns
        -------
        LensImages
            Grey images that were stored with three colours have one channel for a model of one
            channel. A model of residuals gets those of smooth lenses that are fitted now, unless
            the images are residuals already. Others are as they were.

        Raises
        ------
        DataError
            If residuals are given to a model of images, or those of other fits.
        """
        return take_images(images, self.folder.description, cache, progress)

    def preprocess(self, images: LensImages) -> NDArray[np.float32]:
        """Bring images to what the model sees.

        Parameters
        ----------
        images : LensImages
            As stored.

        Returns
        -------
        numpy.ndarray, shape (N, C, S, S), float32
            By the constants in the model folder. Grey images that were stored with three
            colours are taken as grey by a model of one channel.
        """
        images = self.as_taken(images)
        fitted, scales = self.folder.description.preprocessing, images.metadata.get("pixel_scale")
        if scales is None:
            return fitted.apply(images.images, images.pixel_scale)
        # of several scales: each image by its own, so that its neighbours change nothing
        seen = np.empty((len(images), fitted.channels, fitted.height, fitted.width), np.float32)
        for scale in np.unique(scales):
            chosen = np.isnan(scales) if np.isnan(scale) else scales == scale
            own = None if np.isnan(scale) else float(scale)
            seen[chosen] = fitted.apply(images.images[chosen], own)
        return seen

    def logits(
        self,
        images: LensImages,
        test_time_augmentation: TestTimeAugmentation | None = None,
        progress: bool = False,
        erasing: ErasingSettings | None = None,
    ) -> NDArray[np.float64]:
        """Predict.

        Parameters
        ----------
        images : LensImages
            Labels are not looked at.
        test_time_augmentation : {"none", "dihedral"}, optional
            ``dihedral`` averages the log-probabilities over the eight rotations and
            reflections of each image; the model folder's choice by default.
        progress : bool, default False
            Show a progress bar on standard error.
        erasing : ErasingSettings, optional
            Predict by iterative erasing (see `predict_by_erasing`).

        Returns
        -------
        numpy.ndarray, shape (N, K), float64
            Before the temperature.
        """
        if erasing is not None:
            return self.predict_by_erasing(images, erasing, test_time_augmentation, progress)[0]
        chosen = test_time_augmentation or self.folder.description.test_time_augmentation
        with torch.inference_mode():
            parts = [
                predict_logits(self.folder.model, batch, chosen)
                for batch in self._batches(images, progress)
            ]
        return torch.cat(parts).double().cpu().numpy()

    @cached_property
    def readers(self) -> slice:
        """Tokens that the head reads; see `darkarcs.explain.reading_tokens`."""
        seen = self.folder.description.preprocessing
        image = torch.zeros(1, seen.channels, seen.height, seen.width, device=self.device)
        return reading_tokens(self.folder.model, image)

    def predict_by_erasing(
        self,
        images: LensImages,
        erasing: ErasingSettings,
        test_time_augmentation: TestTimeAugmentation | None = None,
        progress: bool = False,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict; while in doubt, erase what is not attended to and predict again.

        Parameters
        ----------
        images : LensImages
            Labels are not looked at.
        erasing : ErasingSettings
            How often, and until when; see `darkarcs.explain.iterative_erasing_prediction`.
        test_time_augmentation : {"none", "dihedral"}, optional
            See `logits`; with ``dihedral`` each of the eight views is erased by itself.
        progress : bool, default False
            Show a progress bar on standard error.

        Returns
        -------
        logits : numpy.ndarray, shape (N, K), float64
            Before the temperature. Without rounds those of `logits`, bit for bit.
        rounds_used : numpy.ndarray, shape (N,), float64
            How many rounds were needed, the mean over the views.

        Raises
        ------
        ModelError
            If there are rounds and the model has no attention.
        """
        chosen = test_time_augmentation or self.folder.description.test_time_augmentation
        temperature = self.folder.description.temperature
        if erasing.rounds:
            require_erasable(self.folder.model)
        readers = self.readers if erasing.rounds else None
        with torch.inference_mode():
            parts = [
                predict_by_erasing(self.folder.model, batch, chosen, erasing, temperature, readers)
                for batch in self._batches(images, progress)
            ]
        logits, rounds = (
            torch.cat(values).double().cpu().numpy() for values in zip(*parts, strict=True)
        )
        return logits, rounds

    def _batches(self, images: LensImages, progress: bool) -> Iterator[Tensor]:
        starts = range(0, len(images), self.batch_size)
        console = Console(stderr=True)
        for start in track(
            starts, "Predicting", console=console, disable=not progress, transient=True
        ):
            part = images.select(np.arange(start, min(start + self.batch_size, len(images))))
            yield torch.from_numpy(self.preprocess(part)).to(self.device)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn logits into calibrated probabilities.

        Parameters
        ----------
        logits : numpy.ndarray, shape (N, K)
            From `logits`.

        Returns
        -------
        numpy.ndarray, shape (N, K)
            Softmax of the logits over the temperature that was fitted on validation.
        """
        scaled = torch.from_numpy(logits) / self.folder.description.temperature
        return scaled.softmax(dim=1).numpy()

    def predict(
        self,
        images: LensImages,
        split: str,
        test_time_augmentation: TestTimeAugmentation | None = None,
        progress: bool = False,
        erasing: ErasingSettings | None = None,
    ) -> Predictions:
        """Predict lens images, as a table that evaluation starts from.

        Parameters
        ----------
        images : LensImages
            Labelled or not.
        split : str
            What the images are: ``"test"``, ``"all"``.
        test_time_augmentation : {"none", "dihedral"}, optional
            See `logits`.
        progress : bool, default False
            Show a progress bar on standard error.
        erasing : ErasingSettings, optional
            See `logits`.

        Returns
        -------
        Predictions
            Labels are renumbered to the model's classes; logits are divided by the temperature,
            so that their softmax are the probabilities that ``classify`` gives. With erasing
            ``?`` and the strategy follow the model's hash: it is not the plain model that
            predicted.

        Raises
        ------
        ModelError
            If the images are of a class that the model does not know.
        """
        labels = self._renumber(images)
        logits = self.logits(images, test_time_augmentation, progress, erasing)
        strategy = "" if erasing is None else f"?{erasing.label()}"
        return Predictions(
            identities=images.metadata["identity"],
            groups=images.metadata["group"],
            names=images.metadata["name"],
            labels=labels,
            logits=logits / self.folder.description.temperature,
            class_names=self.class_names,
            split=split,
            model_hash=self.folder.model_hash + strategy,
        )

    def _renumber(self, images: LensImages) -> NDArray[np.int64] | None:
        if images.labels is None:
            return None
        known = {name: index for index, name in enumerate(self.class_names)}
        if "sub" in known:  # any substructure is the positive class of a two-class model
            known = {"cdm": known["sub"], "axion": known["sub"], **known}
        unknown = [name for name in images.class_names if name not in known]
        if unknown:
            raise ModelError(
                f"the data hold class {', '.join(unknown)}, but the model tells apart "
                f"{', '.join(self.class_names)}: evaluate on data of these classes"
            )
        numbers = np.array([known[name] for name in images.class_names], dtype=np.int64)
        return numbers[images.labels]

    def attention(self, images: LensImages) -> NDArray[np.float32] | None:
        """Give the attention map of each image.

        Parameters
        ----------
        images : LensImages
            A few images.

        Returns
        -------
        numpy.ndarray, shape (N, G, G), float32, or None
            Attention of the last layer to each patch from what the head reads (the class
            token, or the mean of the patches), averaged over heads; None for a model without
            attention.
        """
        model = self.folder.model
        if not getattr(model, "supports_attention", False):
            return None
        maps = []
        with torch.inference_mode():
            for batch in self._batches(images, progress=False):
                captured = model(batch, capture=("attention.-1",)).captured["attention.-1"]
                prefix = int(getattr(model, "num_prefix_tokens", 0))
                rows = captured.float().cpu().numpy()
                maps.append(class_attention(rows, prefix, readers=self.readers))
        return np.concatenate(maps).astype(np.float32)
