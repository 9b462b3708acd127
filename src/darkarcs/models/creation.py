"""`create_model`: from a name to a model, with or without published weights."""

from __future__ import annotations

from typing import Any

from darkarcs.errors import ModelError
from darkarcs.models import compact_transformers, d4_cnn, fit_evidence, resnet, transformer_variants
from darkarcs.models.catalogue import ModelSpec, find_model, register_model
from darkarcs.models.huggingface import HUGGINGFACE_PREFIX, create_huggingface_model
from darkarcs.models.interface import ImageClassifier
from darkarcs.models.pretrained import HUB_PREFIX, load_pretrained, read_checkpoint
from darkarcs.models.vision_transformer import VisionTransformer, build_transformer
from darkarcs.models.weight_adaptation import architecture_of

# the modules whose import fills the registry
REGISTERING = (compact_transformers, d4_cnn, fit_evidence, resnet, transformer_variants)


@register_model(
    "vit",
    family="vit",
    description="any ViT: its shape is read off the pretrained checkpoint, or given in full",
    image_size=224,
)
def vit(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> VisionTransformer:
    """Build a vision transformer of the shape given by the overrides."""
    return build_transformer(
        {}, overrides, num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )


def create_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 1,
    image_size: int = 64,
    pretrained: str | None = None,
    **overrides: Any,
) -> ImageClassifier:
    """Create a model by name.

    Parameters
    ----------
    name : str
        A registered name (`list_models`), or ``huggingface:<name or folder>`` for any image
        classifier of transformers.
    num_classes : int
        Number of logits.
    in_channels : int, default 1
        Of the images.
    image_size : int, pixels, default 64
        Side of the images that are to be classified.
    pretrained : str, optional
        ``"default"`` for the published weights of that name, ``"hf_hub:owner/name"``, or the path
        of a ``.safetensors`` file. The model's ``load_report`` says what came of it.
    **overrides
        Fields of the architecture, such as ``patch_size=12`` or ``stochastic_depth=0.1``.

    Returns
    -------
    nn.Module
        An `ImageClassifier`, in training mode, on the CPU.

    Raises
    ------
    ConfigurationError
        If the name or an override is unknown.
    ModelError
        If sizes do not fit together or the weights cannot be loaded.
    MissingExtraError
        If ``huggingface:`` is asked for without transformers.

    Examples
    --------
    >>> model = create_model("compact_vit_100k", num_classes=3, image_size=96)
    >>> model.patch_size, model.num_patches
    (12, 64)
    """
    if name.startswith(HUGGINGFACE_PREFIX):
        return create_huggingface_model(
            name.removeprefix(HUGGINGFACE_PREFIX),
            num_classes=num_classes,
            in_channels=in_channels,
            image_size=image_size,
            pretrained=pretrained,
            **overrides,
        )
    spec = find_model(name)
    source = _resolve_source(spec, pretrained)
    if source is not None and name == "vit":
        overrides = {**_shape_of(source), **overrides}
    model = spec.build(
        num_classes=num_classes, in_channels=in_channels, image_size=image_size, **overrides
    )
    if not isinstance(model, ImageClassifier):
        raise ModelError(f"{name}: is no ImageClassifier; derive it from darkarcs.models's")
    if source is not None:
        model.load_report = load_pretrained(model, source)
    return model


def _resolve_source(spec: ModelSpec, pretrained: str | None) -> str | None:
    if pretrained != "default":
        return pretrained
    if spec.pretrained is None:
        raise ModelError(f"{spec.name} has no published weights: leave pretrained out")
    return HUB_PREFIX + spec.pretrained


def _shape_of(source: str) -> dict[str, Any]:
    try:
        return dict(architecture_of(read_checkpoint(source)))
    except KeyError as error:
        raise ModelError(
            f"{source}: is not a vision transformer with timm's names (no {error})"
        ) from None
