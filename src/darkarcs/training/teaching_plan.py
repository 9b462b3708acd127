"""From a recipe's teachers to a source of their answers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import torch
from torch import Tensor

from darkarcs.data import FittedPreprocessing
from darkarcs.devices import choose_precision
from darkarcs.errors import ConfigurationError
from darkarcs.objectives import TeacherDescription, measure_shape
from darkarcs.training.answering import answer_steps, answer_views
from darkarcs.training.batches import TrainingBatches
from darkarcs.training.preparation import TrainingData
from darkarcs.training.recipe import Recipe
from darkarcs.training.stored_answers import (
    NUM_VIEWS,
    AnswersKey,
    StoredAnswers,
    choose_scheme,
    read_answers,
    write_answers,
)
from darkarcs.training.teachers import (
    Teacher,
    TeacherSettings,
    TeacherView,
    check_sees_same,
    plan_views,
    read_teachers,
)
from darkarcs.training.teaching import TeachersInLoop

ANSWERS_FILE = "teacher_answers.safetensors"


@dataclass(frozen=True)
class TeachingPlan:
    """The teachers of a run and how they will be asked.

    Attributes
    ----------
    teachers : tuple of Teacher
        At least one.
    further : tuple of FittedPreprocessing
        By which the training images are needed beside the student's.
    views : tuple of TeacherView
        How each teacher sees.
    settings : TeacherSettings
        Who guides, and whether answers are stored.
    other_classes : str, default ""
        Which of the teachers tells which other classes apart, if one does.
    """

    teachers: tuple[Teacher, ...]
    further: tuple[FittedPreprocessing, ...]
    views: tuple[TeacherView, ...]
    settings: TeacherSettings
    other_classes: str = ""

    @property
    def in_loop(self) -> bool:
        """Whether the teachers look at every batch."""
        return self.settings.answers == "loop"

    @property
    def gives_answers(self) -> bool:
        """Whether all teachers tell the student's classes apart."""
        return all(teacher.columns is not None for teacher in self.teachers)

    def describe(self) -> TeacherDescription:
        """Say what an objective may know of them.

        Returns
        -------
        TeacherDescription
            With the guide's shape, if the teachers are in the loop.
        """
        if not self.in_loop:
            return TeacherDescription(self.gives_answers, None, self.other_classes)
        guide = self.teachers[self.settings.guide]
        seen = guide.preprocessing
        shape = measure_shape(guide.model, seen.channels, seen.height)
        return TeacherDescription(self.gives_answers, shape, self.other_classes)

    def answers_a_step_image(self, num_images: int, images_seen: int) -> float:
        """Count the answers that would be stored for each image that a step sees.

        Parameters
        ----------
        num_images : int
            In the training split.
        images_seen : int
            In the whole training, repeats included.

        Returns
        -------
        float
            One where no two augmentations are alike; else eight of each image, or one where
            nothing is turned, spread over the training.
        """
        augmentations = [view.augmentation for view in self.views]
        if choose_scheme(augmentations) == "replay":
            return 1.0
        return (NUM_VIEWS if augmentations[0].dihedral else 1) * num_images / images_seen

    def teach(self, captures: Sequence[str], seed: int, device: torch.device) -> TeachersInLoop:
        """Put the teachers into the loop.

        Parameters
        ----------
        captures : sequence of str
            What is captured of the guide.
        seed : int
            Root seed of the run.
        device : torch.device
            Where the training runs.

        Returns
        -------
        TeachersInLoop
            Their models are moved to the device.
        """
        guide = self.settings.guide
        return TeachersInLoop(self.teachers, self.views, guide, captures, seed, device)


def plan_teaching(
    recipe: Recipe, prepared: TrainingData, class_names: Sequence[str]
) -> TeachingPlan | None:
    """Read the teachers that a recipe names and check that they fit the student.

    Parameters
    ----------
    recipe : Recipe
        Names them.
    prepared : TrainingData
        How the student sees.
    class_names : sequence of str
        The student's classes.

    Returns
    -------
    TeachingPlan or None
        None if there are no teachers.

    Raises
    ------
    ConfigurationError
        If a teacher sees another sky or something else than images, or cannot give what is asked
        for.
    """
    teachers = read_teachers(recipe.teacher, class_names)
    if not teachers:
        return None
    check_sees_same(teachers, prepared.train)
    further, views = plan_views(
        teachers, recipe.teacher, recipe.augmentation, prepared.preprocessing
    )
    other = next((teacher for teacher in teachers if teacher.columns is None), None)
    told = ""
    if other is not None:
        told = (
            f"the teacher {other.folder.path.name} tells other classes apart, "
            f"{', '.join(other.folder.description.class_names)}, than the student, "
            f"{', '.join(class_names)}"
        )
        if recipe.teacher.answers == "stored":
            raise ConfigurationError(f"teacher.answers is stored, but {told}")
    return TeachingPlan(teachers, tuple(further), views, recipe.teacher, told)


class AnswerStore:
    """The file of a run's stored answers: found and checked, or written.

    Parameters
    ----------
    plan : TeachingPlan
        From `plan_teaching`.
    recipe : Recipe
        Of the run.
    prepared : TrainingData
        Its images.
    class_names : sequence of str
        The student's classes.
    out : pathlib.Path
        The run's folder.

    Raises
    ------
    ConfigurationError
        If the file is there, but for something else, or cannot be written where it is to go.
    """

    def __init__(
        self,
        plan: TeachingPlan,
        recipe: Recipe,
        prepared: TrainingData,
        class_names: Sequence[str],
        out: Path,
    ) -> None:
        self.plan, self.recipe, self.prepared = plan, recipe, prepared
        named = recipe.teacher.answers_file
        self.path = out / ANSWERS_FILE if named is None else Path(os.path.expandvars(named))
        self.is_own = named is None
        self.identities = prepared.train_identities
        self.key = self._make_key(tuple(class_names))
        if self.path.exists():
            self._read()
        elif named is not None:
            self._make_folder()

    def _make_folder(self) -> None:
        """See that the file can be written before the teachers look at anything."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"teacher.answers_file: {folder} cannot be written to ({error.strerror}); name "
                "another place"
            ) from None

    def _batches(self, views: Sequence[Tensor]) -> TrainingBatches:
        prepared, recipe = self.prepared, self.recipe
        settings = recipe.training
        return TrainingBatches(
            prepared.train_images,
            prepared.train_labels,
            settings.batch_size,
            recipe.seed,
            views,
            images_per_epoch=settings.images_per_epoch,
        )

    def _make_key(self, class_names: tuple[str, ...]) -> AnswersKey:
        augmentations = [view.augmentation for view in self.plan.views]
        scheme = choose_scheme(augmentations)
        run = ""
        if scheme == "replay":
            order = hashlib.sha256("\n".join(map(str, self.identities)).encode()).hexdigest()
            batches = self._batches(())
            made = {"seed": self.recipe.seed, "batch_size": batches.batch_size, "images": order}
            if len(batches) < len(batches.images) // batches.batch_size:
                made["batches_per_epoch"] = len(batches)
            run = json.dumps(made)
        return AnswersKey(
            scheme=scheme,
            teachers=tuple(teacher.folder.model_hash for teacher in self.plan.teachers),
            class_names=class_names,
            augmentation=json.dumps([a.model_dump(mode="json") for a in augmentations]),
            run=run,
        )

    def _read(self) -> StoredAnswers:
        batches = self._batches(())
        num_rows = self.recipe.training.epochs * len(batches) * batches.batch_size
        logits, rows, record = read_answers(self.path, self.key, self.identities, num_rows)
        # a file of this run alone is part of its cost; one that is shared is only told of
        record["counted_in_this_run"] = self.is_own
        shown = self.plan.views[0].augmentation
        return StoredAnswers(logits, rows, shown, self.recipe.seed, record)

    def open(self, device: torch.device, progress: bool = False) -> StoredAnswers:
        """Read the file; write it first if it is not there.

        Parameters
        ----------
        device : torch.device
            Where the teachers run.
        progress : bool, default False
            Show a progress bar on standard error.

        Returns
        -------
        StoredAnswers
            What the training asks.
        """
        if not self.path.exists():
            self._write(device, progress)
        return self._read()

    def _write(self, device: torch.device, progress: bool) -> None:
        plan, recipe = self.plan, self.recipe
        precision = choose_precision(recipe.training.precision, device)
        bfloat16 = precision == "bf16-mixed"
        views = [self.prepared.preprocess_training(further) for further in plan.further]
        batches = self._batches(views)
        if self.key.scheme == "views":
            logits, tokens = answer_views(
                plan.teachers, plan.views, batches, device, bfloat16=bfloat16, progress=progress
            )
        else:
            logits, tokens = answer_steps(
                plan.teach((), recipe.seed, device),
                batches,
                recipe.augmentation,
                recipe.training.epochs,
                device,
                bfloat16=bfloat16,
                progress=progress,
            )
        write_answers(self.path, self.key, logits, self.identities, tokens, precision)
