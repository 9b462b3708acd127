"""The registry of models: a record and a factory for each name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from darkarcs.errors import ModelError
from darkarcs.registry import Registry

Build = Callable[..., nn.Module]


@dataclass(frozen=True)
class ModelSpec:
    """What the registry knows of a model.

    Attributes
    ----------
    name, family, description : str
        How it is called, what it belongs to, what it is in one line.
    build : callable
        ``build(num_classes=, in_channels=, image_size=, **overrides)`` returns the model with
        random weights.
    image_size : int, pixels
        Side of the images that it is meant for.
    in_channels : int
        Channels of the images that it is meant for.
    pretrained : str or None
        Hub repository of published weights, for ``pretrained="default"``.
    licence, source : str or None
        Of those weights.
    mean, std : float or tuple of float
        Normalization, of inputs in 0..1, that those weights were trained with.
    """

    name: str
    family: str
    description: str
    build: Build
    image_size: int = 64
    in_channels: int = 1
    pretrained: str | None = None
    licence: str | None = None
    source: str | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    @property
    def parameters(self) -> int:
        """Number of parameters for two classes of images as it is meant for; builds no weights."""
        with torch.device("meta"):
            model = self.build(
                num_classes=2, in_channels=self.in_channels, image_size=self.image_size
            )
        return sum(parameter.numel() for parameter in model.parameters())


MODELS: Registry[ModelSpec] = Registry("model", "darkarcs.models")


def register_model(
    name: str,
    *,
    family: str,
    description: str,
    image_size: int = 64,
    in_channels: int = 1,
    pretrained: str | None = None,
    licence: str | None = None,
    source: str | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
) -> Callable[[Build], ModelSpec]:
    """Register the factory that follows as a model.

    The decorated name becomes the `ModelSpec`, which is also what an entry point of the group
    ``darkarcs.models`` must point at.

    Parameters
    ----------
    name, family, description : str
        See `ModelSpec`.
    image_size : int, pixels
        See `ModelSpec`.
    in_channels : int
        See `ModelSpec`.
    pretrained, licence, source : str, optional
        See `ModelSpec`.
    mean, std : tuple of float, optional
        See `ModelSpec`.

    Returns
    -------
    callable
        A decorator of ``build(*, num_classes, in_channels, image_size, **overrides)``.

    Raises
    ------
    ConfigurationError
        If the name is taken.
    """

    def decorator(build: Build) -> ModelSpec:
        spec = ModelSpec(
            name,
            family,
            description,
            build,
            image_size,
            in_channels,
            pretrained,
            licence,
            source,
            mean,
            std,
        )
        return MODELS.register(name)(spec)

    return decorator


def find_model(name: str) -> ModelSpec:
    """Look a model up.

    Parameters
    ----------
    name : str
        A registered name.

    Returns
    -------
    ModelSpec
        Its record.

    Raises
    ------
    ConfigurationError
        If there is none of that name.
    ModelError
        If a third party's entry point gives something else than a `ModelSpec`.
    """
    spec = MODELS[name]
    if not isinstance(spec, ModelSpec):
        raise ModelError(
            f"the entry point '{name}' of the group {MODELS.group} gives a "
            f"{type(spec).__name__}: it must name a function decorated with register_model"
        )
    return spec


def list_models() -> list[ModelSpec]:
    """Return the records of all registered models, by name.

    Returns
    -------
    list of ModelSpec
        Own models and those of installed third parties; ``huggingface:<name>`` models are
        built on demand and not listed.

    Examples
    --------
    >>> [spec.name for spec in list_models() if spec.family == "resnet"]
    ['resnet18']
    """
    return [find_model(name) for name in MODELS]
