"""What travels with a model beside its weights: ``trust.safetensors``, optional, not executable.

Tensors hold the references and the calibration; the file's own JSON notes say what they are.
A model folder without it works, and flags nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from darkarcs.configuration import Configuration
from darkarcs.errors import DarkarcsError, ModelError
from darkarcs.trust.calibration import Tail
from darkarcs.trust.densities import GaussianClasses, halve
from darkarcs.trust.familiarity import REASONS, Familiarity

TRUST_FILE = "trust.safetensors"


class TrustNotes(Configuration):
    """JSON notes of the file.

    Attributes
    ----------
    schema_version : int
        Version of this schema.
    rank : int
        See `darkarcs.trust.calibration.flag_rank`.
    test_time_augmentation : str
        How the logits were predicted.
    num_training : int
        Training images looked at.
    combination : {"max", "sum"}
        See `Familiarity`; files that do not say hold the largest.
    """

    schema_version: Literal[1] = 1
    rank: int
    test_time_augmentation: str
    num_training: int
    combination: Literal["max", "sum"] = "max"


@dataclass(frozen=True)
class Trust:
    """What a model ships so that its predictions can be judged.

    Attributes
    ----------
    familiarity : Familiarity
        Flags images that are unlike the training set.
    logits : ndarray, shape (n, K), float64
        Of the validation images, divided by the temperature: prediction sets start from them.
    labels : ndarray of int64, shape (n,)
        Their classes.
    test_time_augmentation : str
        How they were predicted; sets are valid for predictions made alike.
    num_training : int
        Training images looked at.
    """

    familiarity: Familiarity
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    test_time_augmentation: str
    num_training: int

    def to_bytes(self) -> bytes:
        """Give the content of ``trust.safetensors``.

        Returns
        -------
        bytes
            The same for the same trust.
        """
        known = self.familiarity
        tensors: dict[str, NDArray[Any]] = {
            "neighbours": known.neighbours.astype(np.float16),
            "calibration": known.calibration,
            "validation.logits": self.logits.astype(np.float32),
            "validation.labels": self.labels.astype(np.int64),
        }
        for name, gaussian in known.gaussians.items():
            tensors[f"gaussian.{name}.means"] = gaussian.means.astype(np.float32)
            halves, scale = halve(gaussian.whitening)
            tensors[f"gaussian.{name}.whitening"] = halves
            tensors[f"gaussian.{name}.scale"] = scale.astype(np.float32)
        for name, tail in known.tails.items():
            tensors[f"tail.{name}"] = np.append(tail.knots, tail.excess)
        notes = TrustNotes(
            rank=known.rank,
            test_time_augmentation=self.test_time_augmentation,
            num_training=self.num_training,
            combination=known.combination,
        )
        ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
        return save(ordered, {"trust": json.dumps(notes.model_dump(mode="json"))})


def read_trust(model_folder: Path) -> Trust | None:
    """Read what a model ships, if it ships it.

    Parameters
    ----------
    model_folder : pathlib.Path
        A model folder.

    Returns
    -------
    Trust or None
        None where there is no ``trust.safetensors``.

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    path = Path(model_folder) / TRUST_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            notes = TrustNotes.parse(json.loads((file.metadata() or {})["trust"]), str(path))
        return _rebuild(tensors, notes)
    except (OSError, SafetensorError, KeyError, ValueError, IndexError, DarkarcsError) as error:
        raise ModelError(
            f"{path}: cannot be read ({error}); delete it, or make it again with 'darkarcs trust'"
        ) from None


def _rebuild(tensors: dict[str, NDArray[Any]], notes: TrustNotes) -> Trust:
    names = {key.split(".")[1] for key in tensors if key.startswith("gaussian.")}
    gaussians = {
        name: GaussianClasses(
            tensors[f"gaussian.{name}.means"].astype(np.float64),
            tensors[f"gaussian.{name}.whitening"].astype(np.float64)
            * tensors[f"gaussian.{name}.scale"].astype(np.float64),
        )
        for name in REASONS
        if name in names
    }
    tails = {
        name: Tail(tensors[f"tail.{name}"][:-1], float(tensors[f"tail.{name}"][-1]))
        for name in REASONS
        if f"tail.{name}" in tensors
    }
    return Trust(
        familiarity=Familiarity(
            gaussians=gaussians,
            neighbours=tensors["neighbours"].astype(np.float64),
            tails=tails,
            calibration=tensors["calibration"].astype(np.float64),
            rank=notes.rank,
            combination=notes.combination,
        ),
        logits=tensors["validation.logits"].astype(np.float64),
        labels=tensors["validation.labels"].astype(np.int64),
        test_time_augmentation=notes.test_time_augmentation,
        num_training=notes.num_training,
    )
