"""Maps of where substructure may be: those of a model, and simple ones to compare them with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from darkarcs import fitting
from darkarcs.benchmark.evidence_truth import in_frame
from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.explain import (
    attention_rollout,
    capture_attention,
    class_attention,
    evidence_map,
    gradient_weighted_attention,
    input_gradient,
    reading_tokens,
    to_pixels,
)
from darkarcs.inference import Predictor
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float32]

#: Class of lenses without substructure, whose opposite is explained.
SMOOTH = "no_sub"
#: Images whose maps are made together.
CHUNK = 16


def model_maps(
    predictor: Predictor,
    seen: Floats,
    window: int,
    stride: int | None = None,
    *,
    progress: bool = False,
) -> dict[str, Floats]:
    """Make every map of substructure that a model allows, a few images at a time.

    Parameters
    ----------
    predictor : Predictor
        The model.
    seen : NDArray of float32, shape (N, C, S, S)
        Preprocessed images.
    window, stride : int, pixels
        See `all_maps`.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict of str to NDArray of float32, shape (N, S, S)
        By name.
    """
    names = predictor.class_names
    smooth = names.index(SMOOTH) if SMOOTH in names else None
    starts = track(
        range(0, len(seen), CHUNK),
        "Making maps",
        console=Console(stderr=True),
        disable=not progress,
        transient=True,
    )
    parts = []
    for start in starts:
        batch = torch.from_numpy(seen[start : start + CHUNK]).to(predictor.device)
        parts.append(all_maps(predictor.folder.model, batch, smooth, window, stride))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def all_maps(
    model: nn.Module, images: Tensor, smooth: int | None, window: int, stride: int | None = None
) -> dict[str, Floats]:
    """Make every map of substructure that a model allows.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    images : Tensor, shape (B, C, H, W)
        Preprocessed.
    smooth : int or None
        Class that means no substructure; the strongest of the others is explained. None
        explains the class that each image is called.
    window : int, pixels
        Of the evidence map.
    stride : int, optional, pixels
        Of the evidence map; half a window by default.

    Returns
    -------
    dict of str to NDArray of float32, shape (B, H, W)
        By name.
    """
    with torch.no_grad():
        logits = model(images).logits.clone()
    if smooth is not None:
        logits[:, smooth] = -torch.inf
    chosen = logits.argmax(dim=1)
    size = images.shape[-2:]
    maps = {
        "evidence": evidence_map(
            model, images, window, stride or max(1, window // 2), class_index=chosen
        ),
        "input_gradient": input_gradient(model, images, chosen),
    }
    if getattr(model, "supports_attention", False):
        _, layers = capture_attention(model, images)
        prefix = int(getattr(model, "num_prefix_tokens", 0))
        readers = reading_tokens(model, images)
        last = class_attention(layers[-1], prefix, readers=readers)
        maps["class_attention"] = to_pixels(last, *size)
        rolled = attention_rollout(layers, prefix, readers=readers)
        maps["rollout"] = to_pixels(rolled, *size)
        weighted = gradient_weighted_attention(model, images, chosen)
        maps["gradient_attention"] = to_pixels(weighted, *size)
    return {name: values.detach().float().cpu().numpy() for name, values in maps.items()}


def simple_maps(
    taken: LensImages, seen: Floats, preprocessing: FittedPreprocessing, side: int, seed: int
) -> dict[str, Floats]:
    """Make maps that no model is needed for.

    Parameters
    ----------
    taken : LensImages
        What a model takes: images, or residuals of smooth lenses.
    seen : NDArray of float32, shape (N, C, S, S)
        The same, preprocessed.
    preprocessing : FittedPreprocessing
        The model's.
    side : int, pixels
        How smooth the map of noise is.
    seed : int
        Of the map of noise.

    Returns
    -------
    dict of str to NDArray of float32, shape (N, S, S)
        ``brightness``: the mean of the channels, of residuals that of the fitted light;
        ``significance``, of residuals only: how significant a subhalo at each place would be, of
        either sign; ``random``.
    """
    fit = fitting.fit_of(taken)
    if fit is None:
        maps = {"brightness": seen.mean(axis=1)}
    else:
        bands = len(fit.scene.channels)  # channels in the order of darkarcs.fitting.residuals
        light, significance = taken.images[:, bands : 2 * bands], taken.images[:, 2 * bands]
        # as fitted, not as preprocessed: its mean over the training images is taken away there
        planes = {"brightness": light.mean(axis=1), "significance": np.abs(significance)}
        maps = {
            name: in_frame(plane, preprocessing, taken.pixel_scale)
            for name, plane in planes.items()
        }
    maps["random"] = _random_maps(len(seen), seen.shape[2:], side, seed)
    return maps


def _random_maps(count: int, shape: tuple[int, ...], side: int, seed: int) -> Floats:
    """Make maps of noise that are as smooth as maps of patches."""
    grid = [max(1, length // side) for length in shape]
    noise = numpy_generator(seed, "random maps").normal(size=(count, *grid))
    maps: Floats = to_pixels(noise, *shape).numpy()
    return maps
