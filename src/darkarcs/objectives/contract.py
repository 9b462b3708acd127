"""The contract between a training loop and what it optimises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.objectives.targets import TargetStatistics
from darkarcs.objectives.teaching import TeacherAnswers, TeacherDescription
from darkarcs.registry import Registry

#: Label of an image whose class is unknown: no loss may use it.
UNLABELLED = -1


@dataclass(frozen=True)
class Batch:
    """Images and labels of one optimizer step, on the training device.

    Attributes
    ----------
    images : torch.Tensor, shape (B, C, H, W)
        Preprocessed and augmented images.
    labels : torch.Tensor, shape (B,), int64
        Class indices; `UNLABELLED` where the class is unknown.
    indices : torch.Tensor, shape (B,), int64, optional
        Positions in the training set.
    teacher : TeacherAnswers, optional
        What the teachers say to these images, where the recipe names any.
    targets : dict of str to torch.Tensor, optional
        What the objective asked for beside labels; see `darkarcs.objectives.targets`.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor | None = None
    teacher: TeacherAnswers | None = None
    targets: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class ObjectiveContext:
    """What an objective may know of the run it is made for.

    Attributes
    ----------
    model : torch.nn.Module
        The model that will be trained, for its shapes (patch size, width, depth); the objective
        must not keep it.
    class_counts : tuple of int, length K
        Labelled training images in each class.
    in_channels, image_size : int
        Of the preprocessed images.
    num_steps : int
        Optimizer steps in the whole run, for schedules.
    seed : int
        Root seed of the run, for initial weights of the objective's own modules.
    teacher : TeacherDescription, optional
        Of the teachers, where the recipe names any.
    targets : TargetStatistics, optional
        Of what the objective asked for beside labels.
    """

    model: nn.Module
    class_counts: tuple[int, ...]
    in_channels: int
    image_size: int
    num_steps: int
    seed: int
    teacher: TeacherDescription | None = None
    targets: TargetStatistics | None = None


@dataclass(frozen=True)
class ObjectiveOutput:
    """What one step of an objective gives back.

    Attributes
    ----------
    loss : torch.Tensor, shape ()
        What is minimised.
    parts : dict of str to torch.Tensor
        The named terms of the loss, detached, for the log.
    logits : torch.Tensor, shape (B, K)
        The prediction for the whole image, detached; for what is left of it where an objective
        without labels never looks at the whole.
    token_forwards : int
        Tokens that went forward through a transformer in this step, teachers and decoders
        included; the currency in which runs are compared. Zero for a model without tokens.
    skill : torch.Tensor, shape (), optional
        Of an objective that measures: one less its error over that of the best constant answer,
        detached.
    """

    loss: Tensor
    parts: dict[str, Tensor]
    logits: Tensor
    token_forwards: int
    skill: Tensor | None = None


class Objective(nn.Module):
    """Base of all objectives; owns its extra modules, which are trained but not released.

    Attributes
    ----------
    uses_unlabelled : bool
        Whether images without a class can be learned from.
    is_self_supervised : bool
        Whether no label is used at all: then the loss on the validation images selects.
    selects_by_loss : bool
        Whether the loss on the validation images selects although labels are used.
    uses_teacher : bool
        Whether it reads ``batch.teacher``.
    teacher_captures : tuple of str
        What to capture of the teacher, such as ``hidden.3``.
    """

    uses_unlabelled: bool = False
    is_self_supervised: bool = False
    selects_by_loss: bool = False
    uses_teacher: bool = False
    teacher_captures: tuple[str, ...] = ()

    @property
    def released(self) -> nn.Module | None:
        """The module of its own that the best epoch keeps and the model folder holds, if any."""
        return None

    def forward(
        self, model: nn.Module, batch: Batch, step: int, generator: torch.Generator
    ) -> ObjectiveOutput:
        """Compute the loss of one step.

        Parameters
        ----------
        model : torch.nn.Module
            Called as ``model(images, patch_mask=None, capture=())``.
        batch : Batch
            Images and labels.
        step : int
            Index of the optimizer step, for schedules.
        generator : torch.Generator
            The step's own stream: the objective draws from nothing else.

        Returns
        -------
        ObjectiveOutput
            The loss and what the log needs.
        """
        raise NotImplementedError


#: Objectives by the ``kind`` of their configuration: the configuration's class and a factory
#: ``(configuration, context) -> Objective``.
objectives: Registry[tuple[type[Configuration], Callable[..., Objective]]] = Registry(
    "objective", "darkarcs.objectives"
)


def count_token_forwards(model: nn.Module, images: Tensor) -> int:
    """Count the tokens of one forward pass.

    Parameters
    ----------
    model : torch.nn.Module
        A model whose optional method ``num_tokens(height, width)`` counts the tokens of one image.
    images : torch.Tensor, shape (B, C, H, W)
        The batch.

    Returns
    -------
    int
        Images times tokens an image; zero for a model without tokens.
    """
    num_tokens: Any = getattr(model, "num_tokens", None)
    if num_tokens is None:
        return 0
    batch_size, _, height, width = images.shape
    return batch_size * int(num_tokens(height, width))
