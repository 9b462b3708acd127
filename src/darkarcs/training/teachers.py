"""Teachers: model folders, frozen, and how each of them sees the student's images."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from darkarcs import fitting
from darkarcs.configuration import Configuration
from darkarcs.data import Augmentation, FittedPreprocessing, LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.model_folder import SMOOTH_FIT, ModelFolder, read_model_folder, short_identities
from darkarcs.released import resolve

logger = logging.getLogger(__name__)

#: Fields of view that differ by less than this, in pixels of the stored images, are the same.
FIELD_TOLERANCE = 0.5
#: By part of what a model has seen: how its record says so.
_USES = {
    "train": "trained_on",
    "unlabelled": "shown_without_labels",
    "validation": "selected_on",
}
_USUAL = ("selected_on", "validation")


class TeacherSettings(Configuration):
    """Who teaches, and what they are shown.

    Attributes
    ----------
    models : tuple of str
        Names of released models, model folders, or run folders that hold one; ``${VARIABLE}`` is
        read from the environment.
        Several are an ensemble: the mean of their probabilities is learned.
    answers : {"loop", "stored"}, default "loop"
        Run the teachers on each batch, or take their logits from a file that is written once.
    answers_file : str, optional
        Where stored answers are, or go if they are not there yet, so that several students
        share them; beside the run by default.
    view : {"same", "clean"}, default "same"
        Whether a teacher sees the augmented image of the student, or one without its blur and
        noise; turned, scaled and shifted it is in any case.
    guide : int, default 0
        Number of the teacher whose hidden states and attention are learned.
    """

    models: tuple[str, ...] = ()
    answers: Literal["loop", "stored"] = "loop"
    answers_file: str | None = None
    view: Literal["same", "clean"] = "same"
    guide: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Teacher:
    """One teacher.

    Attributes
    ----------
    folder : ModelFolder
        Its model, in evaluation mode, and description.
    columns : torch.Tensor, shape (K,), int64, or None
        Which of its logits belongs to each of the student's classes; None if it tells other
        classes apart.
    """

    folder: ModelFolder
    columns: Tensor | None

    @property
    def model(self) -> nn.Module:
        """The frozen model."""
        return self.folder.model

    @property
    def preprocessing(self) -> FittedPreprocessing:
        """How it sees images as stored."""
        return self.folder.description.preprocessing


@dataclass(frozen=True)
class TeacherView:
    """How a teacher sees a batch.

    Attributes
    ----------
    source : int or None
        Position among the batch's further views; None for the student's own images.
    augmentation : Augmentation
        What is done to them; it draws what the student's augmentation draws.
    as_student : bool
        Whether that gives the student's augmented images themselves.
    """

    source: int | None
    augmentation: Augmentation
    as_student: bool


def read_teachers(settings: TeacherSettings, class_names: Sequence[str]) -> tuple[Teacher, ...]:
    """Read the teachers' model folders.

    Parameters
    ----------
    settings : TeacherSettings
        Names them.
    class_names : sequence of str
        The student's classes, in the order of its logits.

    Returns
    -------
    tuple of Teacher
        On the CPU, without gradients; empty if there are none.

    Raises
    ------
    ConfigurationError
        If ``guide`` is the number of no teacher.
    ModelError
        If there is no such model, or its folder cannot be read.
    """
    if settings.models and settings.guide >= len(settings.models):
        raise ConfigurationError(
            f"teacher.guide = {settings.guide}: there are {len(settings.models)} teachers, "
            "counted from 0"
        )
    teachers = []
    for name in settings.models:
        folder = read_model_folder(resolve(os.path.expandvars(name)))
        folder.model.requires_grad_(False)
        own = list(folder.description.class_names)
        same = sorted(own) == sorted(class_names)
        columns = torch.tensor([own.index(n) for n in class_names]) if same else None
        teachers.append(Teacher(folder, columns))
    return tuple(teachers)


def plan_views(
    teachers: Sequence[Teacher],
    settings: TeacherSettings,
    augmentation: Augmentation,
    student: FittedPreprocessing,
) -> tuple[list[FittedPreprocessing], tuple[TeacherView, ...]]:
    """Decide how each teacher gets to see the student's images.

    The augmentation of a teacher draws from the same stream as the student's and makes its
    geometric steps first, so both see one sky; its lengths are brought to the teacher's pixels.

    Parameters
    ----------
    teachers : sequence of Teacher
        From `read_teachers`.
    settings : TeacherSettings
        What they are shown.
    augmentation : Augmentation
        The student's.
    student : FittedPreprocessing
        The student's.

    Returns
    -------
    further : list of FittedPreprocessing
        Those beside the student's by which the training images are needed.
    views : tuple of TeacherView
        One a teacher.

    Raises
    ------
    ConfigurationError
        If a teacher has another field of view, another number of channels, or cannot be shown
        the student's noise.
    """
    further: list[FittedPreprocessing] = []
    views = []
    for teacher in teachers:
        own = teacher.preprocessing
        _check_field_of_view(own, student, teacher.folder.path)
        ratio = own.height / student.height
        shown = _seen_augmentation(augmentation, settings.view, ratio)
        if own == student:
            views.append(TeacherView(None, shown, as_student=shown == augmentation))
            continue
        if shown.noise:
            raise ConfigurationError(
                f"augmentation.noise is in the student's units and cannot be shown to the "
                f"teacher {teacher.folder.path.name}, whose preprocessing differs: set "
                "teacher.view to clean"
            )
        if own not in further:
            further.append(own)
        views.append(TeacherView(further.index(own), shown, as_student=False))
    return further, tuple(views)


def describe_teachers(
    teachers: Sequence[Teacher], images: LensImages, splits: dict[str, Any]
) -> list[dict[str, Any]]:
    """Say who the teachers are, and whether they know what the student is judged by.

    Parameters
    ----------
    teachers : sequence of Teacher
        From `read_teachers`.
    images : LensImages
        All labelled images.
    splits : dict of str to numpy.ndarray of int64
        How they were divided.

    Returns
    -------
    list of dict
        ``name``, ``model_hash``, and how many images of the student's validation and test
        splits the teacher was ``trained_on``, ``shown_without_labels`` and ``selected_on``. A
        warning is logged for each of the first two, and for test images that it was selected on.
    """
    records = []
    for teacher in teachers:
        known = {
            what: {
                name: _count(images, splits[name], teacher.folder.seen.get(part))
                for name in ("validation", "test")
                if name in splits
            }
            for part, what in _USES.items()
        }
        for what, counts in known.items():
            # a teacher of the same split was selected on the images that select its student
            judged = {k: n for k, n in counts.items() if n and (what, k) != _USUAL}
            if judged:
                logger.warning(
                    "the teacher %s was %s images by which the student is judged, %s: its figures "
                    "there will be too good",
                    teacher.folder.path.name,
                    what.replace("_", " "),
                    " and ".join(f"{n} of the {name} split" for name, n in judged.items()),
                )
        described = teacher.folder.description
        records.append({"name": described.name, "model_hash": teacher.folder.model_hash, **known})
    return records


def check_sees_same(teachers: Sequence[Teacher], images: LensImages) -> None:
    """Check that teachers of residuals are shown residuals of their fits, and others images.

    Parameters
    ----------
    teachers : sequence of Teacher
        From `read_teachers`.
    images : LensImages
        The student's.

    Raises
    ------
    ConfigurationError
        If not.
    """
    shown = images.manifest.get(SMOOTH_FIT)
    for teacher in teachers:
        wanted = teacher.folder.description.smooth_fit
        if wanted == shown or (wanted and shown and fitting.same_fits(wanted, shown)):
            continue
        looks = "images" if wanted is None else "residuals of smooth fits, of one scene and version"
        others = "residuals" if shown is not None else "images"
        raise ConfigurationError(
            f"the teacher {teacher.folder.path.name} looks at {looks}, and the student is trained "
            f"on {others}{'' if (wanted is None) == (shown is not None) else ' of other fits'}: "
            "choose a teacher that sees what the student sees"
        )


def _count(images: LensImages, indices: Any, seen: Any) -> int:
    if seen is None:
        return 0
    identities = short_identities(images.metadata["identity"][indices])
    return int(np.isin(identities, seen).sum())


def _seen_augmentation(
    augmentation: Augmentation, view: Literal["same", "clean"], ratio: float
) -> Augmentation:
    changes: dict[str, float] = {"shift_pixels": augmentation.shift_pixels * ratio}
    if view == "clean":  # blur and noise are drawn last: what comes before draws the same
        changes |= {"psf_blur_pixels": 0.0, "noise": 0.0}
    else:
        changes |= {"psf_blur_pixels": augmentation.psf_blur_pixels * ratio}
    return augmentation.model_copy(update=changes)


def _check_field_of_view(
    teacher: FittedPreprocessing, student: FittedPreprocessing, path: Path
) -> None:
    if teacher.channels != student.channels:
        raise ConfigurationError(
            f"the teacher {path.name} takes {teacher.channels} channels, the images have "
            f"{student.channels}"
        )
    known = teacher.pixel_scale is not None and student.pixel_scale is not None
    scale = teacher.pixel_scale / student.pixel_scale if known else 1.0  # type: ignore[operator]
    field = teacher.crop_height * scale
    if abs(field - student.crop_height) > FIELD_TOLERANCE or teacher.height != teacher.width:
        raise ConfigurationError(
            f"the teacher {path.name} sees {field:g} pixels of the stored images, the student "
            f"{student.crop_height:g}: both must see the same sky; set "
            f"preprocessing.crop_pixels={round(field)} (preprocessing.size is free)"
        )
