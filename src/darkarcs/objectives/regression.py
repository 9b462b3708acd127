"""Regression: what the substructure is, and where, beside which class it is of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.objectives.contract import (
    Batch,
    Objective,
    ObjectiveContext,
    ObjectiveOutput,
    count_token_forwards,
    objectives,
)
from darkarcs.objectives.measurement_head import (
    HeadOutput,
    HeadShape,
    MeasurementHead,
    look,
)
from darkarcs.objectives.regression_losses import (
    GaussianLoss,
    QuantileLoss,
    RegressionLoss,
    gaussian_loss,
    ordered_quantiles,
    pinball_loss,
    quantile_shares,
)
from darkarcs.objectives.substructure_map import SubstructureMap, balance_of, map_loss
from darkarcs.objectives.targets import COUNTS, TargetRequest, TargetStatistics, Transform

Level = Annotated[float, Field(gt=0.0, lt=1.0)]


class ClassTerm(Configuration):
    """The class, learned from the same backbone.

    Attributes
    ----------
    weight : float, default 1.0
        Of the cross-entropy beside the other losses; of no effect where there is one class.
    label_smoothing : float, default 0.0
        Share of the target's probability that is spread evenly over all classes.
    """

    weight: float = Field(default=1.0, ge=0.0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)


class Regression(Configuration):
    """Configuration of `RegressionObjective`.

    Attributes
    ----------
    kind : {"regression"}
        Name of the objective in a recipe.
    targets : dict of str to {"none", "log10"}
        What is measured: columns of the metadata, such as ``substructure.fraction``, each as it
        is or in dex. A lens whose value is missing, not finite or, for ``log10``, not positive
        does not enter the loss.
    loss : QuantileLoss or GaussianLoss, default ``{kind: quantile}``
        How the distribution of a number is learned.
    levels : tuple of float, default (0.68, 0.9)
        Of the central intervals.
    weight : float, default 1.0
        Of the regression beside the other losses.
    map : SubstructureMap, optional
        A map of where subhalos sit.
    classification : ClassTerm
        The class.
    hidden : int, default 128
        Width of the head's own layers.
    """

    kind: Literal["regression"] = "regression"
    targets: dict[str, Transform] = {}
    loss: RegressionLoss = QuantileLoss()
    levels: Annotated[tuple[Level, ...], Field(min_length=1)] = (0.68, 0.9)
    weight: float = Field(default=1.0, ge=0.0)
    map: SubstructureMap | None = None
    classification: ClassTerm = ClassTerm()
    hidden: int = Field(default=128, ge=1)

    @field_validator("targets", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        # --set objective.targets.substructure.fraction=log10 makes nested keys of the dots
        return dict(_flatten(value)) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.targets and self.map is None:
            raise ValueError(
                "regression learns nothing: name targets, such as {substructure.fraction: log10}, "
                "or a map"
            )
        if len(set(self.levels)) < len(self.levels):
            raise ValueError("levels must differ")
        return self

    def request(self) -> TargetRequest:
        """Say what the training loop must find in the data.

        Returns
        -------
        TargetRequest
            Columns with their transforms, and the map's cells.
        """
        return TargetRequest(
            transforms=dict(self.targets),
            cells=None if self.map is None else self.map.cells,
            min_mass=0.0 if self.map is None else self.map.min_mass,
        )


class RegressionObjective(Objective):
    """Cross-entropy of the class, a proper loss of each number, and the loss of the map.

    Numbers are brought to mean 0 and standard deviation 1 in training, so that they weigh alike.

    Parameters
    ----------
    configuration : Regression
        What is measured, and how.
    statistics : TargetStatistics
        Of the training lenses.
    shape : HeadShape
        Of the head, which is trained here and released with the model.
    """

    selects_by_loss = True
    mean: Tensor
    std: Tensor

    def __init__(
        self, configuration: Regression, statistics: TargetStatistics, shape: HeadShape
    ) -> None:
        super().__init__()
        self.configuration = configuration
        self.statistics = statistics
        self.head = MeasurementHead(shape)
        self.shares = quantile_shares(configuration.levels)
        names = list(configuration.targets)
        self.register_buffer(
            "mean", torch.tensor([statistics.mean[n] for n in names]), persistent=False
        )
        self.register_buffer(
            "std", torch.tensor([statistics.std[n] for n in names]), persistent=False
        )
        chosen = configuration.map
        self.balance = 1.0
        if chosen is not None and chosen.learns == "presence":
            self.balance = balance_of(statistics.occupied or 0.0)

    @property
    def released(self) -> nn.Module:
        """The measuring head."""
        return self.head

    def forward(
        self, model: nn.Module, batch: Batch, step: int, generator: torch.Generator
    ) -> ObjectiveOutput:
        """Compute the weighted sum of the losses of one step; see `Objective.forward`."""
        if batch.targets is None:
            raise ConfigurationError("the objective 'regression' needs targets in its batches")
        output, features = look(model, batch.images)
        measured: HeadOutput = self.head(features)
        settings = self.configuration
        parts, skills = {}, []
        loss = features.new_zeros((), dtype=torch.float32)
        if settings.targets:
            parts["regression"], skill = self._regression(measured.values, batch.targets)
            loss = loss + settings.weight * parts["regression"]
            skills.append(skill)
        if settings.map is not None and measured.map is not None:
            parts["map"] = map_loss(
                measured.map, batch.targets[COUNTS], settings.map.learns, self.balance
            )
            loss = loss + settings.map.weight * parts["map"]
            skills.append(1 - parts["map"].detach() / self._constant_map_loss(settings.map))
        if output.logits.shape[1] > 1 and settings.classification.weight:
            parts["classification"] = self._cross_entropy(output, batch.labels)
            loss = loss + settings.classification.weight * parts["classification"]
        return ObjectiveOutput(
            loss=loss,
            parts={name: part.detach() for name, part in parts.items()},
            logits=output.logits.detach(),
            token_forwards=count_token_forwards(model, batch.images),
            skill=torch.stack(skills).mean(),
        )

    def _regression(self, raw: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Loss and skill over the numbers that are known, each target weighing alike."""
        losses, skills = [], []
        for index, name in enumerate(self.configuration.targets):
            known = torch.isfinite(targets[name])
            if not bool(known.any()):
                continue
            truth = (targets[name][known] - self.mean[index]) / self.std[index]
            own = raw[known, index]
            if isinstance(self.configuration.loss, GaussianLoss):
                # the plain likelihood is the proper score that validation compares
                beta = self.configuration.loss.beta if self.training else 0.0
                losses.append(gaussian_loss(own, truth, beta).mean())
                middle = own[:, 0]
            else:
                quantiles = ordered_quantiles(own)
                losses.append(pinball_loss(quantiles, truth, self.shares).mean())
                middle = quantiles[:, len(self.shares) // 2]
            skills.append(1 - ((middle.detach() - truth) ** 2).mean())
        if not losses:  # a batch without one known number still needs a loss
            return raw.sum() * 0.0, raw.new_zeros(())
        return torch.stack(losses).mean(), torch.stack(skills).mean()

    def _constant_map_loss(self, settings: SubstructureMap) -> float:
        """Loss of the best map that is the same everywhere."""
        if settings.learns == "presence":
            return math.log(2)
        mean = self.statistics.mean_count or 0.0
        return mean - mean * math.log(mean) if mean > 0 else 1.0

    def _cross_entropy(self, output: Any, labels: Tensor) -> Tensor:
        smoothing = self.configuration.classification.label_smoothing
        given = [output.logits, output.distillation_logits]
        losses = [
            functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
            for logits in given
            if logits is not None
        ]
        return torch.stack(losses).mean()


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat += _flatten(value, f"{key}.") if isinstance(value, Mapping) else [(key, value)]
    return flat


def _from_context(configuration: Regression, context: ObjectiveContext) -> RegressionObjective:
    if context.targets is None:
        raise ConfigurationError("the objective 'regression' needs images that tell its targets")
    width, grid = measure_features(context.model, context.in_channels, context.image_size)
    shape = HeadShape(
        width=width,
        grid=grid,
        num_targets=len(configuration.targets),
        num_outputs=(
            2
            if isinstance(configuration.loss, GaussianLoss)
            else len(quantile_shares(configuration.levels))
        ),
        cells=None if configuration.map is None else configuration.map.cells,
        hidden=configuration.hidden,
    )
    return RegressionObjective(configuration, context.targets, shape)


@torch.no_grad()
def measure_features(model: nn.Module, in_channels: int, image_size: int) -> tuple[int, int]:
    """Measure what a head would read of a backbone, by showing it one empty image.

    Parameters
    ----------
    model : torch.nn.Module
        Left in the mode it was in.
    in_channels, image_size : int
        Of the images it will see.

    Returns
    -------
    width, grid : int
        Numbers of a patch, and patches along the side of an image.

    Raises
    ------
    ConfigurationError
        If the patches do not form a square.
    """
    parameter = next(model.parameters(), torch.empty(0))
    image = torch.zeros(1, in_channels, image_size, image_size, device=parameter.device)
    training = model.training
    model.eval()
    try:
        _, features = look(model, image)
    finally:
        model.train(training)
    if features.ndim == 4:
        features = features.flatten(2).transpose(1, 2)
    grid = math.isqrt(features.shape[1])
    if grid**2 != features.shape[1]:
        raise ConfigurationError(
            f"{features.shape[1]} patches form no square: regression needs square images"
        )
    return features.shape[2], grid


objectives.register("regression")((Regression, _from_context))
