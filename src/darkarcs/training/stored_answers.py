"""Teachers' logits written once, so that a machine without their cost can distil.

Two schemes, chosen by what the teachers see:

``views``
    They see nothing but flips and quarter turns: the logits of the eight views of each image
    are stored. Any seed, batch size and length of training can use the file, and any subset of
    its images.
``replay``
    They see shifts, angles or noise: no two steps show the same image. The whole run's batches
    are replayed and the logits of each step stored, after TinyViT [1]_. The file serves the
    seed, batch size and images that it was made for.

A file says which teachers, images and augmentation it is for and is refused for others.

References
----------
.. [1] Wu et al. 2022, arXiv:2207.10666, section 3.1.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from darkarcs.data import Augmentation
from darkarcs.data.augmentation import apply_dihedral
from darkarcs.errors import ConfigurationError
from darkarcs.objectives import TeacherAnswers
from darkarcs.training.batches import TrainingBatch, augmentation_generator
from darkarcs.training.teaching import Teaching

NUM_VIEWS = 8
#: Bytes of an image's hash that are stored.
KEY_BYTES = 16

Scheme = Literal["views", "replay"]


@dataclass(frozen=True)
class AnswersKey:
    """What a file of answers is for; two that are equal can stand in for each other.

    Attributes
    ----------
    scheme : {"views", "replay"}
        See the module.
    teachers : tuple of str
        Hash of each model folder, in order.
    class_names : tuple of str
        In the order of the logits.
    augmentation : str
        What the teachers see done to an image, as JSON.
    run : str
        For ``replay``: seed, batch size and order of the images, as JSON; empty for ``views``.
    """

    scheme: Scheme
    teachers: tuple[str, ...]
    class_names: tuple[str, ...]
    augmentation: str
    run: str = ""

    def metadata(self) -> dict[str, str]:
        """Write it as safetensors metadata.

        Returns
        -------
        dict of str to str
            One entry an attribute.
        """
        return {
            "scheme": self.scheme,
            "teachers": json.dumps(self.teachers),
            "class_names": json.dumps(self.class_names),
            "augmentation": self.augmentation,
            "run": self.run,
        }


def choose_scheme(augmentations: list[Augmentation]) -> Scheme:
    """Choose how answers can be stored.

    Parameters
    ----------
    augmentations : list of Augmentation
        What is done to the images that each teacher sees.

    Returns
    -------
    {"views", "replay"}
        ``views`` if there are no more than eight views of an image.
    """
    exact = {Augmentation(dihedral=True), Augmentation(dihedral=False)}
    return "views" if set(augmentations) <= exact else "replay"


def image_keys(identities: NDArray[np.str_]) -> NDArray[np.uint8]:
    """Shorten identities to fixed bytes.

    Parameters
    ----------
    identities : numpy.ndarray of str, shape (N,)
        Of images.

    Returns
    -------
    numpy.ndarray, shape (N, 16), uint8
        A hash of each.
    """
    digests = [hashlib.blake2b(str(i).encode(), digest_size=KEY_BYTES).digest() for i in identities]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, KEY_BYTES).copy()


def drawn_elements(augmentation: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """Find out which elements of the dihedral group an augmentation draws.

    A tiny image with four different pixels is augmented in place of the real one and read off,
    so that nothing is assumed of how the augmentation draws.

    Parameters
    ----------
    augmentation : Augmentation
        Nothing but flips and quarter turns, or nothing at all.
    count : int
        Images in the batch.
    generator : torch.Generator
        The step's.

    Returns
    -------
    torch.Tensor, shape (count,), int64
        As `darkarcs.data.augmentation.apply_dihedral` numbers them.

    Examples
    --------
    >>> drawn_elements(Augmentation(dihedral=False), 3, torch.Generator())
    tensor([0, 0, 0])
    """
    marked = torch.arange(4.0).reshape(1, 1, 2, 2)
    known = apply_dihedral(marked.expand(NUM_VIEWS, 1, 2, 2), torch.arange(NUM_VIEWS)).flatten(1)
    seen = augmentation.apply(marked.repeat(count, 1, 1, 1), generator).flatten(1)
    elements: Tensor = (seen[:, None] == known[None]).all(dim=2).int().argmax(dim=1)
    return elements


class StoredAnswers(Teaching):
    """Answers from a file.

    Parameters
    ----------
    logits : torch.Tensor
        For ``views`` of shape (N, V, M, K), by image and view; for ``replay`` of shape
        (S * B, M, K), in the order of the steps.
    rows : torch.Tensor, shape (N',), int64, or None
        For ``views``: where in the file each training image is.
    augmentation : Augmentation
        What the teachers saw.
    seed : int
        Root seed of the run.
    record : dict
        For `describe`: the file's name, what it cost, who paid.
    """

    def __init__(
        self,
        logits: Tensor,
        rows: Tensor | None,
        augmentation: Augmentation,
        seed: int,
        record: dict[str, Any],
    ) -> None:
        self.logits = logits
        self.rows = rows
        self.augmentation = augmentation
        self.seed = seed
        self.record = record
        if record["counted_in_this_run"]:
            self.token_forwards_before = int(record["token_forwards"])

    def answer(self, batch: TrainingBatch, images: Tensor, step: int) -> TeacherAnswers:
        """Look the logits up; see `Teaching.answer`."""
        count = len(images)
        if self.rows is None:
            logits = self.logits[step * count : (step + 1) * count]
        else:
            assert batch.indices is not None
            elements = drawn_elements(
                self.augmentation, count, augmentation_generator(self.seed, step)
            )
            logits = self.logits[self.rows[batch.indices.cpu()], elements]
        return TeacherAnswers(logits.transpose(0, 1).to(images.device))  # (M, B, K)

    def describe(self) -> dict[str, Any]:
        """Name the file and its cost; see `Teaching.describe`."""
        return {"answers": "stored", **self.record}


def write_answers(
    path: Path,
    key: AnswersKey,
    logits: Tensor,
    identities: NDArray[np.str_],
    token_forwards: int,
    precision: str,
) -> None:
    """Write a file of answers, in one step that cannot be half done.

    Parameters
    ----------
    path : pathlib.Path
        A safetensors file.
    key : AnswersKey
        What it is for.
    logits : torch.Tensor
        As in `StoredAnswers`.
    identities : numpy.ndarray of str, shape (N,)
        Of the images, in the order of the rows.
    token_forwards : int
        What the file cost.
    precision : str
        In which it was computed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # two students may begin at once: each writes its own, and the last one stays
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    metadata = {
        **key.metadata(),
        "token_forwards": str(token_forwards),
        "precision": precision,
    }
    tensors = {"logits": logits.contiguous(), "images": torch.from_numpy(image_keys(identities))}
    save_file(tensors, temporary, metadata)
    temporary.replace(path)


def read_answers(
    path: Path, key: AnswersKey, identities: NDArray[np.str_], num_rows: int
) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
    """Read a file of answers and check that it is for this run.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    key : AnswersKey
        What it must be for.
    identities : numpy.ndarray of str, shape (N,)
        Of the training images.
    num_rows : int
        For ``replay``: images that the run will draw.

    Returns
    -------
    logits : torch.Tensor
        As in `StoredAnswers`.
    rows : torch.Tensor, shape (N,), int64, or None
        As in `StoredAnswers`.
    record : dict
        ``scheme``, ``token_forwards`` and ``precision``.

    Raises
    ------
    ConfigurationError
        If it cannot be read, or is for other teachers, images or augmentation.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            logits, keys = file.get_tensor("logits"), file.get_tensor("images").numpy()
    except (OSError, SafetensorError) as error:
        raise ConfigurationError(f"{path}: cannot be read as stored answers ({error})") from None
    for name, wanted in key.metadata().items():
        if metadata.get(name) != wanted:
            raise ConfigurationError(
                f"{path}: holds answers for another {_MEANING[name]}; name another "
                "teacher.answers_file, and it will be written"
            )
    rows = None
    if key.scheme == "views":
        where = {bytes(row): position for position, row in enumerate(keys)}
        found = [where.get(bytes(row), -1) for row in image_keys(identities)]
        rows = torch.tensor(found, dtype=torch.int64)
        missing = int((rows < 0).sum())
        if missing:
            raise ConfigurationError(
                f"{path}: lacks {missing} of the {len(rows)} training images; name another "
                "teacher.answers_file, and it will be written"
            )
    elif len(logits) < num_rows:
        raise ConfigurationError(
            f"{path}: holds {len(logits)} answers, the run draws {num_rows} images: it was made "
            "for fewer epochs; name another teacher.answers_file, and it will be written"
        )
    record = {
        "file": path.name,
        "scheme": key.scheme,
        "token_forwards": int(metadata["token_forwards"]),
        "precision": metadata["precision"],
    }
    return logits, rows, record


_MEANING = {
    "scheme": "augmentation",
    "teachers": "teacher, or another version of it",
    "class_names": "set of classes",
    "augmentation": "augmentation",
    "run": "seed, batch size, length of an epoch or set of images",
}
