"""How well maps of a model find what substructure changed, on paired simulated lenses.

Two lenses of a pair differ by their substructure alone. Where their noiseless images differ by
more than the noise, there is the truth that a map should find.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from darkarcs import data
from darkarcs.benchmark.map_scores import dilate, score_maps
from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.data.resampling import border_median
from darkarcs.errors import DataError
from darkarcs.evaluation.provenance import command_line, package_version
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
Mask = NDArray[np.bool_]

#: Class of lenses without substructure, whose opposite is explained.
SMOOTH = "no_sub"
#: Images whose maps are made together.
CHUNK = 16


def evidence_benchmark(
    model_folder: Path,
    images_with: Floats,
    images_without: Floats,
    noise_rms: float | NDArray[np.floating[Any]],
    *,
    observed: Floats | None = None,
    pixel_scale: float | None = None,
    threshold: float = 1.0,
    arc_threshold: float = 2.0,
    psf_fwhm: float = 2.5,
    window: int | None = None,
    stride: int | None = None,
    num_bootstrap: int = 2000,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:
    """Measure how well a model's maps find what substructure changed in paired lenses.

    The truth of a pair are the pixels where the noiseless images differ by more than
    `threshold` times the noise, grown by one full width at half maximum of the PSF. Only pixels
    of the arc count for the AUC: those brighter than `arc_threshold` times the noise in either
    image. Truth and arc are brought to the frame of the model's input, where maps live. The
    pointing game tolerates half a patch (half an evidence window where there are no patches).
    Maps are made for substructure: the class with the largest logit beside ``no_sub``.

    Parameters
    ----------
    model_folder : pathlib.Path
        A model folder.
    images_with, images_without : NDArray of float32, shape (N, C, H, W)
        Noiseless images of each pair, in the units of the model's training images.
    noise_rms : float or NDArray, shape (N,)
        Standard deviation of the sky in the observed images, in the same units.
    observed : NDArray of float32, shape (N, C, H, W), optional
        The images with substructure as observed: what the model sees; `images_with` by default.
    pixel_scale : float, optional, arcsec per pixel
        Of the images.
    threshold, arc_threshold : float
        In units of the noise.
    psf_fwhm : float, default 2.5, pixels
        By which the truth is grown.
    window, stride : int, optional, pixels of the model's input
        Of the evidence map; a patch (an eighth of the image where there are none) and half of
        it by default.
    num_bootstrap : int, default 2000
        Resamples of the images.
    seed : int, default 0
        Of the bootstrap and of the random maps.
    device : str, default "cpu"
        Where the model runs.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict
        Ready for JSON: ``maps`` (by name what `score_maps` gives: ``class_attention``,
        ``rollout``, ``gradient_attention`` for a model with attention, ``evidence``,
        ``input_gradient``, and to compare with ``brightness`` and ``random``), ``model``,
        ``model_hash``, the settings, ``truth_share`` (of the arc).

    Raises
    ------
    DataError
        If shapes differ or no pair differs visibly.
    """
    observed = images_with if observed is None else observed
    if not images_with.shape == images_without.shape == observed.shape or images_with.ndim != 4:
        raise DataError("images with, without and observed must have one shape (N, C, H, W)")
    predictor = Predictor(model_folder, device)
    description = predictor.folder.description
    rms = np.broadcast_to(np.asarray(noise_rms, dtype=np.float64), (len(observed),))
    truth, arc = true_regions(images_with, images_without, rms, threshold, arc_threshold, psf_fwhm)
    truth, arc = (_place(mask, description.preprocessing, pixel_scale) for mask in (truth, arc))
    patch = getattr(predictor.folder.model, "patch_size", None)
    side = window or patch or max(1, round(min(truth.shape[1:]) / 8))
    seen = predictor.preprocess(LensImages.from_arrays(observed, pixel_scale=pixel_scale))
    maps = _model_maps(predictor, seen, side, stride, progress)
    maps["brightness"] = seen.mean(axis=1)
    maps["random"] = _random_maps(len(seen), truth.shape[1:], side, seed)
    tolerance = (patch or side) / 2
    return {
        "model": description.name,
        "model_hash": predictor.folder.model_hash,
        "num_pairs": len(seen),
        "threshold": threshold,
        "arc_threshold": arc_threshold,
        "psf_fwhm": psf_fwhm,
        "tolerance": tolerance,
        "window": side,
        "stride": stride or max(1, side // 2),
        "truth_share": float((truth & arc).sum() / max(1, arc.sum())),
        "maps": {
            name: score_maps(
                values, truth, arc, tolerance=tolerance, num_bootstrap=num_bootstrap, seed=seed
            )
            for name, values in maps.items()
        },
        "command": command_line(),
        "version": package_version(),
    }


def _model_maps(
    predictor: Predictor, seen: Floats, window: int, stride: int | None, progress: bool
) -> dict[str, Floats]:
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


def true_regions(
    images_with: Floats,
    images_without: Floats,
    noise_rms: NDArray[np.floating[Any]],
    threshold: float = 1.0,
    arc_threshold: float = 2.0,
    psf_fwhm: float = 2.5,
) -> tuple[Mask, Mask]:
    """Find where substructure changed a pair, and where its arcs are.

    Parameters
    ----------
    images_with, images_without : NDArray of float32, shape (N, C, H, W)
        Noiseless.
    noise_rms : NDArray, shape (N,)
        Standard deviation of the sky.
    threshold, arc_threshold : float
        In units of the noise.
    psf_fwhm : float, default 2.5, pixels
        By which the truth is grown.

    Returns
    -------
    truth : NDArray of bool, shape (N, H, W)
        Where the change exceeds the threshold in any channel, grown.
    arc : NDArray of bool, shape (N, H, W)
        Where either image exceeds the arc's threshold above its sky (the median of the border).
    """
    scale = np.asarray(noise_rms, dtype=np.float64)[:, None, None]
    change = np.abs(images_with.astype(np.float64) - images_without).max(axis=1)
    truth = dilate(change > threshold * scale, psf_fwhm)
    light = [
        (images - border_median(images)).max(axis=1) for images in (images_with, images_without)
    ]
    arc: Mask = np.maximum(*light) > arc_threshold * scale
    return truth, arc


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


def _place(masks: Mask, preprocessing: FittedPreprocessing, pixel_scale: float | None) -> Mask:
    """Crop and resize masks as the model's images are, and nothing else."""
    channels = preprocessing.channels
    geometry = preprocessing.model_copy(
        update={
            "settings": preprocessing.settings.model_copy(
                update={"stretch": "linear", "normalization": "none"}
            ),
            "background": (0.0,) * channels,
            "scale": (1.0,) * channels,
        }
    )
    planes = np.repeat(masks[:, None].astype(np.float32), channels, axis=1)
    placed: Mask = geometry.apply(planes, pixel_scale)[:, 0] >= 0.5
    return placed


def _random_maps(count: int, shape: tuple[int, ...], side: int, seed: int) -> Floats:
    """Make maps of noise that are as smooth as maps of patches."""
    grid = [max(1, length // side) for length in shape]
    noise = numpy_generator(seed, "random maps").normal(size=(count, *grid))
    maps: Floats = to_pixels(noise, *shape).numpy()
    return maps


def open_pairs(scene: str) -> tuple[LensImages, LensImages, LensImages, NDArray[np.float64]]:
    """Simulate pairs with and without substructure, noiseless and observed.

    Parameters
    ----------
    scene : str
        A ``scene:`` address of pairs (``paired=1``): a lens without substructure and its
        doubles with share a group.

    Returns
    -------
    images_with, images_without : LensImages
        Noiseless.
    observed : LensImages
        The images with substructure, with noise.
    noise_rms : NDArray of float64, shape (P,)
        Of the sky, from the border of observed minus noiseless images.

    Raises
    ------
    DataError
        If the scene gives no pairs.
    """
    joint = "&" if "?" in scene else "?"
    noisy, clean = data.open(scene), data.open(f"{scene}{joint}noiseless=1")
    groups, smooth = clean.metadata["group"], clean.label_names == SMOOTH
    partners = {group: row for row, group in enumerate(groups) if smooth[row]}
    second = np.flatnonzero(~smooth)
    alone = [group for group in groups[second] if group not in partners]
    if not len(second) or alone or (noisy.metadata["group"] != groups).any():
        raise DataError(
            f"{scene}: does not give pairs, a no_sub lens and its doubles with substructure in "
            "one group: add paired=1"
        )
    first = np.array([partners[group] for group in groups[second]])
    residual = noisy.images[second] - clean.images[second]
    width = max(1, residual.shape[-1] // 16)
    border = np.ones(residual.shape[-2:], dtype=bool)
    border[width:-width, width:-width] = False
    rms = residual[..., border].std(axis=(1, 2), dtype=np.float64)
    if not (rms > 0).all():
        raise DataError(f"{scene}: the observed images have no noise to measure changes by")
    return clean.select(second), clean.select(first), noisy.select(second), rms
