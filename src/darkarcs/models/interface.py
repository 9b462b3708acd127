"""What every model of the registry takes, returns and declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from darkarcs.errors import ModelError

Erased = Literal["mask_token", "skip"]


@dataclass
class ModelOutput:
    """What a model returns.

    Attributes
    ----------
    logits : Tensor, shape (B, K)
        One number a class, float32 (float64 for a float64 model). A model with a distillation
        token returns its class token's logits while training and, as DeiT does, the mean of
        both heads in evaluation mode.
    distillation_logits : Tensor, shape (B, K), or None
        The distillation token's own logits, in both modes.
    captured : dict of str to Tensor
        What was asked for by ``capture``, under the names that were asked for.
    """

    logits: Tensor
    distillation_logits: Tensor | None = None
    captured: dict[str, Tensor] = field(default_factory=dict)


class Capture:
    """What to keep of a forward pass: names in, tensors out.

    Parameters
    ----------
    names : sequence of str
        ``"hidden.3"``, ``"attention.-1"`` (counted from the end), ``"attention"`` (all layers,
        stored as ``attention.0``, ``attention.1`` ...) or a name without layers.
    layered : mapping of str to int
        Kinds that exist once a layer, with the number of layers.
    single : sequence of str
        Names that exist once.

    Raises
    ------
    ModelError
        If a name does not exist; the message lists those that do.

    Examples
    --------
    >>> capture = Capture(["hidden.-1", "tokens"], {"hidden": 4}, ["tokens"])
    >>> capture.kinds_at(3), capture.kinds_at(0), capture.wants("tokens")
    (frozenset({'hidden'}), frozenset(), True)
    >>> Capture(["hiden.1"], {"hidden": 4}, ["tokens"])
    Traceback (most recent call last):
        ...
    darkarcs.errors.ModelError: cannot capture 'hiden.1': this model has hidden.0..3, tokens
    """

    def __init__(
        self, names: Sequence[str], layered: Mapping[str, int], single: Sequence[str] = ()
    ) -> None:
        if isinstance(names, str):
            names = (names,)
        self._targets: dict[tuple[str, int], list[str]] = {}
        self.tensors: dict[str, Tensor] = {}
        for name in names:
            for key, stored_as in _resolve(name, layered, single):
                self._targets.setdefault(key, []).append(stored_as)

    def kinds_at(self, layer: int) -> frozenset[str]:
        """Say which kinds are wanted of a layer.

        Parameters
        ----------
        layer : int
            Its index from the input.

        Returns
        -------
        frozenset of str
            For example ``attention`` and ``hidden``.
        """
        return frozenset(kind for kind, index in self._targets if index == layer)

    def wants(self, name: str) -> bool:
        """Say whether a name without layers is wanted.

        Parameters
        ----------
        name : str
            For example ``patch_tokens``.

        Returns
        -------
        bool
            Whether it was asked for.
        """
        return (name, -1) in self._targets

    def store(self, tensors: Mapping[str, Tensor], layer: int = -1) -> None:
        """Keep, of what a layer offers by kind, what was asked for.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            What there is, by kind.
        layer : int, default -1
            Index of the layer; -1 for names without layers.
        """
        for kind, tensor in tensors.items():
            for name in self._targets.get((kind, layer), ()):
                self.tensors[name] = tensor


def _resolve(
    name: str, layered: Mapping[str, int], single: Sequence[str]
) -> Iterator[tuple[tuple[str, int], str]]:
    kind, dot, index = name.partition(".")
    if name in single:
        yield (name, -1), name
    elif kind in layered and not dot:
        yield from (((kind, layer), f"{kind}.{layer}") for layer in range(layered[kind]))
    elif kind in layered and _is_index(index) and -layered[kind] <= int(index) < layered[kind]:
        yield (kind, int(index) % layered[kind]), name
    else:
        known = [f"{kind}.0..{count - 1}" for kind, count in layered.items()]
        listing = ", ".join([*known, *single]) or "nothing to capture"
        raise ModelError(f"cannot capture '{name}': this model has {listing}")


def _is_index(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


class ImageClassifier(nn.Module):
    """Base of the models: an `nn.Module` that maps images to a `ModelOutput`.

    Parameters
    ----------
    num_classes, in_channels : int
        Of the logits, and of the images.

    Attributes
    ----------
    in_channels, num_classes : int
        Of the images, and of the logits.
    patch_size : int or None
        Pixels along the side of a patch; None where there are no patches.
    num_prefix_tokens : int
        Tokens before the patch tokens (class, distillation, registers).
    supports_attention : bool
        Whether ``capture=("attention.3",)`` gives probabilities (B, heads, tokens, tokens).
    input_kernel : str or None
        Name of the first convolution's weight, whose channels a checkpoint's are fitted to.
    load_report : object or None
        What came from a checkpoint (`darkarcs.models.LoadReport`).
    """

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        if num_classes < 1 or in_channels < 1:
            raise ModelError("num_classes and in_channels must be at least 1")
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.patch_size: int | None = None
        self.num_prefix_tokens = 0
        self.supports_attention = False
        self.input_kernel: str | None = None
        self.load_report: Any = None

    @property
    def classifier(self) -> nn.Module:
        """The module that turns features into logits."""
        raise NotImplementedError

    @property
    def heads(self) -> list[nn.Module]:
        """All modules that give logits: the classifier, and a distillation head if any."""
        return [self.classifier]

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return every parameter once, in groups from the input to the head."""
        raise NotImplementedError

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: Erased = "mask_token",
    ) -> ModelOutput:
        """Classify images.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Preprocessed images.
        patch_mask : Tensor, shape (B, num_patches), bool, optional
            True where a patch is erased.
        capture : sequence of str, default ()
            What to return beside the logits, by name.
        erased : {"mask_token", "skip"}, default "mask_token"
            Whether erased patches are replaced by the learned mask token or left out of the
            sequence (then every image must erase the same number).

        Returns
        -------
        ModelOutput
            Logits and what was captured.
        """
        raise NotImplementedError

    def rebuild_options(self) -> dict[str, Any]:
        """Give the overrides with which `create_model` builds this very architecture again.

        Returns
        -------
        dict
            Plain data; with it nothing is fetched and no checkpoint is looked at.
        """
        return {}

    def num_tokens(self, height: int, width: int) -> int:
        """Count the tokens of one image; 0 for a model without tokens.

        Parameters
        ----------
        height, width : int, pixels
            Of the image.

        Returns
        -------
        int
            Patches and prefix tokens: the currency in which trainings are compared.
        """
        if self.patch_size is None:
            return 0
        patches = (height // self.patch_size) * (width // self.patch_size)
        return patches + self.num_prefix_tokens

    def check_images(self, images: Tensor) -> None:
        """Raise `ModelError` unless images have the shape that the model takes.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            What is to be checked.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ModelError(
                f"the model takes images (B, {self.in_channels}, H, W), not "
                f"{tuple(images.shape)}: build it with in_channels={images.shape[-3]}"
                if images.ndim == 4
                else f"the model takes images (B, {self.in_channels}, H, W), "
                f"not an array with {images.ndim} axes"
            )

    def refuse_patch_mask(self, patch_mask: Tensor | None) -> None:
        """Raise `ModelError` if a patch mask is given to a model without mask token.

        Parameters
        ----------
        patch_mask : Tensor or None
            What `forward` received.
        """
        if patch_mask is not None:
            raise ModelError(
                f"{type(self).__name__} has no mask token: erase pixels of the images instead "
                "of passing patch_mask, or use a vit or compact_vit model"
            )


def as_logits(logits: Tensor) -> Tensor:
    """Return logits at least in float32, whatever autocast computed them in.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of any precision.

    Returns
    -------
    Tensor, shape (B, K)
        In float32, or float64 for a float64 model.
    """
    return logits if logits.dtype == torch.float64 else logits.float()
