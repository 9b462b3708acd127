"""Any image classifier of the transformers library, behind our models' interface."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from darkarcs.errors import ConfigurationError, MissingExtraError, ModelError
from darkarcs.models.interface import Capture, Erased, ImageClassifier, ModelOutput, as_logits
from darkarcs.models.pretrained import HUB_PREFIX, LoadReport
from darkarcs.models.weight_adaptation import adapt_channels

HUGGINGFACE_PREFIX = "huggingface:"


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")  # ten seconds, so only on demand
    except ImportError:
        raise MissingExtraError("a huggingface: model", "huggingface") from None


class HuggingFaceClassifier(ImageClassifier):
    """An image classifier of transformers as an `ImageClassifier`.

    Parameters
    ----------
    wrapped : nn.Module
        A ``...ForImageClassification`` of transformers.
    num_classes, in_channels : int
        Number of logits, and of the images' channels.

    Attributes
    ----------
    config : dict
        The architecture as plain data: ``create_model(name, config=...)`` builds it again
        without any download.
    """

    def __init__(self, wrapped: nn.Module, *, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.wrapped = wrapped
        wrapped_config: Any = wrapped.config
        self.config: dict[str, Any] = wrapped_config.to_diff_dict()
        depth = getattr(wrapped_config, "num_hidden_layers", None)
        heads = getattr(wrapped_config, "num_attention_heads", None)
        patch_size = getattr(wrapped_config, "patch_size", None)
        # windowed and convolutional attention has no (tokens, tokens) matrix
        windowed = hasattr(wrapped_config, "window_size") or not isinstance(heads, int)
        self.supports_attention = isinstance(depth, int) and not windowed
        if self.supports_attention and isinstance(patch_size, int):
            self.patch_size = patch_size
        self.num_prefix_tokens = self._count_prefix_tokens()
        parameters = inspect.signature(wrapped.forward).parameters
        self._options: dict[str, Any] = {}
        if "interpolate_pos_encoding" in parameters:
            self._options["interpolate_pos_encoding"] = True

    def rebuild_options(self) -> dict[str, Any]:
        """Give the configuration of transformers."""
        return {"config": self.config}

    def _count_prefix_tokens(self) -> int:
        if not self.supports_attention:
            return 0
        names = {name.rpartition(".")[2]: p for name, p in self.wrapped.named_parameters()}
        prefixes = ("cls_token", "distillation_token", "register_tokens")
        return sum(names[name].shape[1] for name in prefixes if name in names)

    @property
    def classifier(self) -> nn.Module:
        """The wrapped model's own classifier."""
        for name in ("classifier", "head", "fc"):
            module = getattr(self.wrapped, name, None)
            if isinstance(module, nn.Module):
                return module
        raise ModelError(f"{type(self.wrapped).__name__} has no classifier that we know of")

    @property
    def heads(self) -> list[nn.Module]:
        """All classifiers of the wrapped model."""
        distillation = getattr(self.wrapped, "distillation_classifier", None)
        return [self.classifier, *([distillation] if isinstance(distillation, nn.Module) else [])]

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: Erased = "mask_token",
    ) -> ModelOutput:
        """Classify images; ``hidden.i`` and ``attention.i`` are as transformers gives them."""
        self.check_images(images)
        self.refuse_patch_mask(patch_mask)
        names = (capture,) if isinstance(capture, str) else tuple(capture)
        options = dict(self._options)
        if any(name.startswith("hidden") for name in names):
            options["output_hidden_states"] = True
        if self.supports_attention and any(name.startswith("attention") for name in names):
            options["output_attentions"] = True
        output = self.wrapped(pixel_values=images, return_dict=True, **options)
        hidden = (output.get("hidden_states") or ())[1:]  # the first are the embeddings
        attention = output.get("attentions") or ()
        taps = Capture(names, self._layered(len(hidden), len(attention)))
        for layer, tensor in enumerate(hidden):
            taps.store({"hidden": tensor}, layer)
        for layer, tensor in enumerate(attention):
            taps.store({"attention": tensor}, layer)
        return ModelOutput(as_logits(output.logits), captured=taps.tensors)

    def _layered(self, num_hidden: int, num_attention: int) -> dict[str, int]:
        depth = int(getattr(self.wrapped.config, "num_hidden_layers", 0) or 0)
        layered = {"hidden": num_hidden or depth}
        if self.supports_attention:
            layered["attention"] = num_attention or depth
        return layered

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return every parameter once: embeddings, the layers or stages, what follows them."""
        heads = {id(p) for head in self.heads for p in head.parameters()}
        layers = _main_layers(self.wrapped)
        inner = [[p for p in layer.parameters() if id(p) not in heads] for layer in layers]
        taken = {id(p) for group in inner for p in group} | heads
        names = [name for name, p in self.named_parameters() if id(p) in taken - heads]
        order = {name: index for index, (name, _) in enumerate(self.named_parameters())}
        last_inner = order[names[-1]] if names else -1
        first: list[nn.Parameter] = []
        after: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            if id(parameter) not in taken:
                (after if order[name] > last_inner else first).append(parameter)
        after += [p for p in self.parameters() if id(p) in heads]
        return [first, *inner, after]


def _main_layers(model: nn.Module) -> list[nn.Module]:
    # breadth first: the outermost list with more than one entry is the encoder's
    queue: list[nn.Module] = [model]
    while queue:
        module = queue.pop(0)
        if isinstance(module, nn.ModuleList) and len(module) > 1:
            return list(module)
        queue += module.children()
    return []


def create_huggingface_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: int,
    pretrained: str | None = None,
    config: dict[str, Any] | None = None,
    **unknown: Any,
) -> HuggingFaceClassifier:
    """Build an image classifier of transformers.

    Parameters
    ----------
    name : str
        Repository of the hub, or a local folder with ``config.json``.
    num_classes, in_channels : int
        Number of logits, and of the images' channels.
    image_size : int, pixels
        For a model of random weights whose positions depend on it.
    pretrained : str, optional
        "default" loads the weights of the same name or folder; another name or folder loads
        those. Only safetensors are read.
    config : dict, optional
        The architecture, as `HuggingFaceClassifier.config` gives it; then nothing is fetched.
    **unknown : Any
        No other option exists.

    Returns
    -------
    HuggingFaceClassifier
        The model.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    ModelError
        If there is no such model, or it classifies no images.
    ConfigurationError
        If an option does not exist.
    """
    if unknown:
        raise ConfigurationError(
            f"model: unknown key '{next(iter(unknown))}': a huggingface: model has one, 'config'"
        )
    transformers = _transformers()
    automatic = transformers.AutoModelForImageClassification
    source = name if pretrained in (None, "default") else str(pretrained).removeprefix(HUB_PREFIX)
    try:
        loaded_config = _read_config(transformers, source, config)
        loaded_config.num_labels = num_classes
        if pretrained is None:
            _set_if_present(loaded_config, "num_channels", in_channels)
            if config is None:  # a stored architecture keeps the size its positions are for
                _set_if_present(loaded_config, "image_size", image_size)
            wrapped = automatic.from_config(loaded_config, attn_implementation="eager")
            return HuggingFaceClassifier(wrapped, num_classes=num_classes, in_channels=in_channels)
        wrapped, information = automatic.from_pretrained(
            source,
            config=loaded_config,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            attn_implementation="eager",
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"huggingface:{source}: cannot be used ({reason})") from None
    report = _report(source, wrapped, information)
    _set_channels(wrapped, in_channels, report)
    model = HuggingFaceClassifier(wrapped, num_classes=num_classes, in_channels=in_channels)
    model.load_report = report
    return model


def _read_config(transformers: Any, source: str, config: dict[str, Any] | None) -> Any:
    if config is not None:
        values = dict(config)
        return transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    return transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)


def _set_if_present(config: Any, key: str, value: int) -> None:
    if hasattr(config, key):
        setattr(config, key, value)


def _report(source: str, wrapped: nn.Module, information: dict[str, Any]) -> LoadReport:
    missing = sorted(information["missing_keys"])
    mismatched = sorted(str(entry[0]) for entry in information["mismatched_keys"])
    absent = {*missing, *mismatched}
    return LoadReport(
        source=str(Path(source)) if Path(source).exists() else source,
        loaded=[key for key in wrapped.state_dict() if key not in absent],
        left_out=[f"{key} (another shape)" for key in mismatched]
        + [f"{key} (the model has none)" for key in sorted(information["unexpected_keys"])],
        missing=sorted(absent),
    )


def _set_channels(wrapped: nn.Module, in_channels: int, report: LoadReport) -> None:
    first = next(((n, m) for n, m in wrapped.named_modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or first[1].in_channels == in_channels:
        return
    name, convolution = first
    old = convolution.in_channels
    convolution.weight = nn.Parameter(adapt_channels(convolution.weight.detach(), in_channels))
    convolution.in_channels = in_channels
    module: Any
    for module in wrapped.modules():  # transformers compares these with the images' channels
        if getattr(module, "num_channels", None) == old:
            module.num_channels = in_channels
    _set_if_present(wrapped.config, "num_channels", in_channels)
    report.resized.append(f"{name}.weight ({old} to {in_channels} channels)")
    report.loaded.remove(f"{name}.weight")
