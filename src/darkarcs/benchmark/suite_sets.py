"""The images of a suite and the predictions on them, piece by piece, each made only once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darkarcs.data import LensImages, load, save
from darkarcs.data.resampling import border_median
from darkarcs.data.stretching import brightness
from darkarcs.errors import DarkarcsError, DataError, OutputExistsError
from darkarcs.evaluation import Predictions, read_predictions, write_predictions
from darkarcs.inference import Predictor, SharedImages
from darkarcs.model_folder import TestTimeAugmentation, short_identities
from darkarcs.scenes import BLOCK
from darkarcs.simulation import SimulationRequest, simulate

#: Images a piece: what an interruption loses, and what lies in memory at once.
PIECE = 8 * BLOCK
#: Images whose brightness is by so much other than in training are in other units, most likely.
BRIGHTER = 5.0
SPLIT = "test"


@dataclass(frozen=True)
class Piece:
    """Some images of a set.

    Attributes
    ----------
    request : SimulationRequest
        What they are.
    file : pathlib.Path
        Where they are kept.
    """

    request: SimulationRequest
    file: Path

    @property
    def key(self) -> str:
        """Name of the piece within its set.

        Returns
        -------
        str
            First image and number.
        """
        return f"{self.request.start:07d}-{self.request.num}"

    def images(self) -> LensImages:
        """Simulate the images, or read them from where they are kept.

        Returns
        -------
        LensImages
            With all parameters.
        """
        if self.file.is_file():
            try:
                return load(self.file)
            except DataError:  # damaged: made again
                self.file.unlink()
        images = simulate(self.request)
        with suppress(OutputExistsError):  # another run that shares the folder was first
            save(images, self.file)
        return images


def request_key(request: SimulationRequest) -> str:
    """Name a set by all that decides its images, but for their number.

    Parameters
    ----------
    request : SimulationRequest
        Of the set.

    Returns
    -------
    str
        Scene's name and sixteen hexadecimal digits.
    """
    options = request.model_dump(mode="json", exclude={"scene", "num", "start"})
    text = f"{request.scene.identity} {sorted(options.items())}"
    return f"{request.scene.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def pieces(request: SimulationRequest, num: int, cache: Path) -> Iterator[Piece]:
    """Cut a set into pieces.

    Parameters
    ----------
    request : SimulationRequest
        Of the set.
    num : int
        How many of its images, from the first.
    cache : pathlib.Path
        Folder where images are kept, by what decides them.

    Yields
    ------
    Piece
        Of at most `PIECE` images.
    """
    folder = cache / "images" / request_key(request)
    for first in range(0, num, PIECE):
        count = min(PIECE, num - first)
        part = request.model_copy(update={"start": first, "num": count})
        yield Piece(part, folder / f"{first:07d}-{count}.h5")


@dataclass
class Contender:
    """A model with what it has predicted of the set at hand.

    Attributes
    ----------
    predictor : Predictor
        The model.
    augmentation : {"none", "dihedral"}
        How it predicts.
    parts : list of Predictions
        Of the pieces so far.
    notes : list of str
        What a reader of the numbers must know.
    problem : str
        Why it cannot read the set.
    overlap : int
        Images of the set that it was trained or selected on.
    """

    predictor: Predictor
    augmentation: TestTimeAugmentation
    parts: list[Predictions] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    overlap: int = 0

    @property
    def name(self) -> str:
        """Name of the model.

        Returns
        -------
        str
            As its folder says.
        """
        return self.predictor.folder.description.name

    def begin(self) -> None:
        """Forget the set before."""
        self.parts, self.notes, self.problem, self.overlap = [], [], "", 0

    def predict(self, piece: Piece, shared: SharedImages, cache: Path) -> None:
        """Predict a piece, or read what was predicted of it before.

        Parameters
        ----------
        piece : Piece
            Which.
        shared : SharedImages
            Its images, for all models.
        cache : pathlib.Path
            Folder where predictions are kept, by model and set.
        """
        if self.problem:
            return
        images = shared.images
        if not self.parts:
            self.notes = notes_on(self.predictor, images)
        folder = self.predictor.folder
        key = f"{folder.model_hash[:16]}-{self.augmentation}"
        file = cache / "predictions" / key / request_key(piece.request) / f"{piece.key}.csv"
        seen = [values for name, values in folder.seen.items() if name != "unlabelled"]
        short = short_identities(images.metadata["identity"])
        self.overlap += sum(int(np.isin(short, values).sum()) for values in seen)
        known = _known(file, images)
        if known is not None:
            self.parts.append(known)
            return
        try:
            predicted = self._predict(shared)
        except DarkarcsError as error:
            self.problem = f"cannot read: {error}"
            return
        with suppress(OutputExistsError):  # as for images
            write_predictions(predicted, file)
        self.parts.append(predicted)

    def _predict(self, shared: SharedImages) -> Predictions:
        images = shared.taken_by(self.predictor)
        try:
            return self.predictor.predict(images, SPLIT, self.augmentation)
        except DarkarcsError:
            if _knows(self.predictor.class_names, images.class_names):
                raise
        # other classes than the set's: what remains is substructure against none
        blind = LensImages(
            images=images.images,
            metadata=images.metadata,
            pixel_scale=images.pixel_scale,
            manifest=images.manifest,
        )
        return self.predictor.predict(blind, SPLIT, self.augmentation)


def _known(file: Path, images: LensImages) -> Predictions | None:
    """Read predictions of these images; what is damaged or of others is thrown away."""
    if not file.is_file():
        return None
    try:
        known = read_predictions(file)
    except DataError:
        known = None
    if known is None or not np.array_equal(known.identities, images.metadata["identity"]):
        file.unlink()
        return None
    return known


def _knows(own: tuple[str, ...], others: tuple[str, ...]) -> bool:
    known = {*own, "cdm", "axion"} if "sub" in own else set(own)
    return set(others) <= known


def notes_on(predictor: Predictor, images: LensImages) -> list[str]:
    """Say in what a set differs from what a model expects, as far as its folder tells.

    Parameters
    ----------
    predictor : Predictor
        The model.
    images : LensImages
        Some of the set.

    Returns
    -------
    list of str
        Pixels, units, and whether it was trained on this scene.
    """
    description = predictor.folder.description
    preprocessing = description.preprocessing
    found = []
    if preprocessing.pixel_scale is None:
        same = preprocessing.input_height == images.images.shape[-1]
        if not same:
            found.append("does not know its pixel scale: pixels are taken as they come")
    elif images.pixel_scale and abs(preprocessing.pixel_scale / images.pixel_scale - 1) > 1e-6:
        found.append(
            f"resampled from {images.pixel_scale:g} to {preprocessing.pixel_scale:g} arcsec"
        )
    units_matter = preprocessing.settings.normalization != "per_image"
    if units_matter and images.num_channels == 1 and description.smooth_fit is None:
        above = brightness(images.images - border_median(images.images))
        ratio = float(np.median(above)) / float(np.median(preprocessing.scale))
        if not 1 / BRIGHTER < ratio < BRIGHTER:
            found.append(
                f"other units: images are {ratio:.1g} times as bright as those it was trained on"
            )
    scene = str(images.manifest.get("scene_identity", "")).rpartition("/")[0]
    stream = description.data.get("stream") or {}
    if scene and str(stream.get("identity", "")).startswith(f"{scene}/"):
        found.append("trained on this scene")
    return found


def images_hash(identities: NDArray[np.str_], names: NDArray[np.str_]) -> str:
    """Hash which images were used, as `darkarcs.data.LensImages.content_hash` does.

    Parameters
    ----------
    identities, names : ndarray of str, shape (N,)
        Identity and class of each image.

    Returns
    -------
    str
        SHA-256 of the sorted lines.
    """
    lines = sorted(f"{one} {name}\n" for one, name in zip(identities, names, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
