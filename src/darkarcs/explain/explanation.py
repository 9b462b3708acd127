"""Everything that can be shown of a prediction, as plain arrays, and its file."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.errors import DataError, ModelError
from darkarcs.explain.attention import attention_rollout, class_attention
from darkarcs.explain.capturing import capture_attention, reading_tokens
from darkarcs.explain.erasing import ErasingSettings, iterative_erasing_prediction
from darkarcs.explain.evidence import evidence_map
from darkarcs.explain.gradients import gradient_weighted_attention, input_gradient
from darkarcs.explain.scores import Measure, resolve_class

Floats = NDArray[np.float32]

#: Side of the evidence window for a model without patches: this share of the image.
WINDOW_SHARE = 1 / 8


class ExplainSettings(Configuration):
    """What is drawn of a prediction.

    Attributes
    ----------
    erasing : ErasingSettings
        The erasing sequence; by default four rounds whatever the confidence, for looking at.
    window : int, optional
        Side of the evidence window in pixels of what the model sees; a patch by default, or an
        eighth of the image where there are no patches.
    stride : int, optional
        Between windows; half a window by default.
    measure : {"log_odds", "probability"}, default "log_odds"
        Whose drop is the evidence.
    class_name : str, optional
        Explain this class instead of the one that the image is called.
    """

    erasing: ErasingSettings = ErasingSettings(rounds=4, confidence=1.0)
    window: int | None = Field(default=None, ge=1)
    stride: int | None = Field(default=None, ge=1)
    measure: Measure = "log_odds"
    class_name: str | None = None


@dataclass(frozen=True)
class Explanation:
    """What is known of one prediction. All maps belong to the image as the model sees it.

    Attributes
    ----------
    image : NDArray of float32, shape (C, H, W)
        Preprocessed.
    logits : NDArray of float32, shape (K,)
        Of the whole image in one view.
    class_index : NDArray of int64, shape ()
        The class that is explained.
    evidence : NDArray of float32, shape (H, W)
        From `darkarcs.explain.evidence_map`.
    gradient : NDArray of float32, shape (H, W)
        From `darkarcs.explain.input_gradient`.
    attention : NDArray of float32, shape (layers, heads, g, g), or None
        Of what the head reads to each patch; None for a model without attention, as all below.
    rollout : NDArray of float32, shape (layers, g, g), or None
        From `darkarcs.explain.attention_rollout`, up to and including each layer.
    gradient_attention : NDArray of float32, shape (g, g), or None
        From `darkarcs.explain.gradient_weighted_attention`.
    erasing_images : NDArray of float32, shape (R, C, H, W), or None
        The erasing sequence; the first is the whole image.
    erasing_logits : NDArray of float32, shape (R, K), or None
        What the model says of each.
    """

    image: Floats
    logits: Floats
    class_index: NDArray[np.int64]
    evidence: Floats
    gradient: Floats
    attention: Floats | None = None
    rollout: Floats | None = None
    gradient_attention: Floats | None = None
    erasing_images: Floats | None = None
    erasing_logits: Floats | None = None


def explain_images(
    model: nn.Module,
    images: Tensor,
    settings: ExplainSettings,
    *,
    class_index: int | None = None,
    temperature: float = 1.0,
) -> list[Explanation]:
    """Explain the predictions of a few images.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode. Without attention what needs it is left out.
    images : Tensor, shape (B, C, H, W)
        Preprocessed, on the model's device.
    settings : ExplainSettings
        What to draw.
    class_index : int, optional
        The class to explain; by default the one that each image is called.
    temperature : float, default 1.0
        Divides the logits before they are compared with the erasing's confidence.

    Returns
    -------
    list of Explanation
        One an image.

    Raises
    ------
    ModelError
        If the window does not fit into the image.
    """
    with torch.no_grad():
        logits = model(images).logits
    chosen = resolve_class(logits, class_index)
    window, stride = _windows(model, min(images.shape[-2:]), settings)
    maps: dict[str, NDArray[Any]] = {
        "image": _array(images),
        "logits": _array(logits),
        "class_index": chosen.cpu().numpy(),
        "evidence": _array(
            evidence_map(
                model, images, window, stride, class_index=chosen, measure=settings.measure
            )
        ),
        "gradient": _array(input_gradient(model, images, chosen)),
    }
    if getattr(model, "supports_attention", False):
        maps |= _attention_maps(model, images, chosen)
        maps |= _erasing_maps(model, images, settings.erasing, temperature)
    rows = range(len(images))
    return [_cut(Explanation(**{name: value[row] for name, value in maps.items()})) for row in rows]


def _windows(model: nn.Module, side: int, settings: ExplainSettings) -> tuple[int, int]:
    patch = getattr(model, "patch_size", None)
    window = settings.window or patch or max(1, round(WINDOW_SHARE * side))
    stride = settings.stride or max(1, window // 2)
    if not stride <= window <= side:
        raise ModelError(
            f"evidence windows of {window} pixels, {stride} apart, in images of {side}: needs "
            f"--stride at most --window, and --window at most {side}"
        )
    return window, stride


def _attention_maps(model: nn.Module, images: Tensor, chosen: Tensor) -> dict[str, NDArray[Any]]:
    _, layers = capture_attention(model, images)
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    readers = reading_tokens(model, images)
    each = [class_attention(layer, prefix, "each", readers) for layer in layers]
    rolled = [
        attention_rollout(layers[: k + 1], prefix, readers=readers) for k in range(len(layers))
    ]
    return {
        "attention": np.stack(each, axis=1).astype(np.float32),  # (B, layers, heads, g, g)
        "rollout": np.stack(rolled, axis=1).astype(np.float32),  # (B, layers, g, g)
        "gradient_attention": gradient_weighted_attention(model, images, chosen).astype(np.float32),
    }


def _erasing_maps(
    model: nn.Module, images: Tensor, settings: ErasingSettings, temperature: float
) -> dict[str, NDArray[Any]]:
    options = settings.model_dump()
    prediction = iterative_erasing_prediction(
        model, images, temperature=temperature, keep_sequence=True, **options
    )
    assert prediction.sequence is not None
    return {
        "erasing_images": _array(prediction.sequence.transpose(0, 1)),  # (B, R, C, H, W)
        "erasing_logits": _array(prediction.sequence_logits.transpose(0, 1)),  # (B, R, K)
    }


def _cut(explanation: Explanation) -> Explanation:
    """Leave out rounds that came after this image was done."""
    if explanation.erasing_logits is None or explanation.erasing_images is None:
        return explanation
    computed = ~np.isnan(explanation.erasing_logits).any(axis=1)
    return Explanation(
        **{
            **vars(explanation),
            "erasing_images": explanation.erasing_images[computed],
            "erasing_logits": explanation.erasing_logits[computed],
        }
    )


def _array(values: Tensor) -> Floats:
    return values.detach().float().cpu().numpy()


def to_npz(explanation: Explanation) -> bytes:
    """Pack an explanation as a ``.npz`` file of plain arrays.

    Parameters
    ----------
    explanation : Explanation
        What is missing is left out.

    Returns
    -------
    bytes
        The content of the file; nothing in it is pickled.
    """
    stream = io.BytesIO()
    arrays = {name: value for name, value in vars(explanation).items() if value is not None}
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def read_explanation(path: Path) -> Explanation:
    """Read what `to_npz` packed.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    Explanation
        Its arrays.

    Raises
    ------
    DataError
        If the file is missing, damaged, lacks an array or holds a pickle.
    """
    names = [field.name for field in fields(Explanation)]
    try:
        # read at once: np.load leaves a damaged file open
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as archive:
            return Explanation(**{name: archive[name] for name in names if name in archive.files})
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist") from None
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is no file of an explanation ({error})") from None
