"""What a network makes of images on the way to its logits, whatever the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from darkarcs.models import ImageClassifier


@dataclass(frozen=True)
class NetworkView:
    """What was seen on the way.

    Attributes
    ----------
    features : Tensor, shape (B, D), float32
        What the classifier was given: the pooled representation.
    logits : Tensor, shape (B, K), float32
        What the classifier made of them.
    """

    features: Tensor
    logits: Tensor


class ClassifierTap:
    """Listen at a model's classifier while it predicts.

    Only the first pass after `take` is kept: under test-time augmentation that is the image as
    it is, so that the features do not depend on how the model predicts.

    Parameters
    ----------
    model : ImageClassifier
        Any model of the registry.

    Examples
    --------
    >>> from darkarcs.models import create_model
    >>> model = create_model("d4_cnn", num_classes=2, in_channels=1, image_size=32).eval()
    >>> with ClassifierTap(model) as tap:
    ...     output = model(torch.zeros(3, 1, 32, 32))
    >>> view = tap.take()
    >>> tuple(view.features.shape), bool((view.logits == output.logits).all())
    ((3, 64), True)
    """

    def __init__(self, model: ImageClassifier) -> None:
        self._classifier = model.classifier
        self._handle: Any = None
        self._view: NetworkView | None = None

    def __enter__(self) -> Self:
        self._handle = self._classifier.register_forward_hook(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handle.remove()

    def _listen(self, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        if self._view is None:
            self._view = NetworkView(_pooled(given[0]), output.detach().float())

    def take(self) -> NetworkView:
        """Give what was seen since the last time.

        Returns
        -------
        NetworkView
            Of the first pass.

        Raises
        ------
        RuntimeError
            If the classifier was not called.
        """
        view, self._view = self._view, None
        if view is None:
            raise RuntimeError("the model has not predicted since")
        return view


def _pooled(features: Tensor) -> Tensor:
    """Bring features of any layout to (B, D)."""
    features = features.detach().float()
    return features if features.ndim == 2 else features.flatten(2).mean(dim=2)


def view_images(
    model: ImageClassifier,
    images: Tensor,
    batch_size: int = 64,
    done: Callable[[], None] | None = None,
) -> NetworkView:
    """Pass images through a model and keep features and logits.

    Parameters
    ----------
    model : ImageClassifier
        In evaluation mode, on the CPU or not.
    images : Tensor, shape (N, C, S, S)
        Preprocessed.
    batch_size : int, default 64
        Images a forward pass.
    done : callable, optional
        Called after each batch.

    Returns
    -------
    NetworkView
        On the CPU.
    """
    device = next(model.parameters()).device
    views = []
    with torch.inference_mode(), ClassifierTap(model) as tap:
        for start in range(0, len(images), batch_size):
            model(images[start : start + batch_size].to(device))
            views.append(tap.take())
            if done is not None:
                done()
    return NetworkView(
        torch.cat([view.features for view in views]).cpu(),
        torch.cat([view.logits for view in views]).cpu(),
    )
