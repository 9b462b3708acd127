"""How well maps of a model find what substructure changed, on paired simulated lenses.

Two lenses of a pair differ by their substructure alone. Where their noiseless images differ by
more than the noise, there is the truth that a map should find; where they do so even from the best
smooth lens of other parameters, there is the truth that a map can be blamed for not finding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs import data
from darkarcs.benchmark.evidence_maps import SMOOTH, model_maps, simple_maps
from darkarcs.benchmark.evidence_truth import changed_regions, masks_in_frame, true_regions
from darkarcs.benchmark.map_scores import score_maps
from darkarcs.data import LensImages
from darkarcs.errors import DataError
from darkarcs.evaluation.provenance import command_line, package_version
from darkarcs.inference import Predictor
from darkarcs.inference.evaluate import count_seen

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def evidence_benchmark(
    model_folder: Path,
    images_with: Floats,
    images_without: Floats,
    noise_rms: float | NDArray[np.floating[Any]],
    *,
    observed: Floats | None = None,
    unmimicked: NDArray[np.floating[Any]] | None = None,
    pixel_scale: float | None = None,
    threshold: float = 1.0,
    arc_threshold: float = 2.0,
    psf_fwhm: float = 2.5,
    window: int | None = None,
    stride: int | None = None,
    groups: NDArray[Any] | None = None,
    identities: NDArray[np.str_] | None = None,
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
    Maps are made for substructure: the class with the largest logit beside ``no_sub``. With
    `unmimicked` the same maps are also scored against the changes that no smooth lens could
    mimic, at the same threshold and on the same arcs.

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
    unmimicked : NDArray of float, shape (N, C, H, W), optional
        What no smooth lens could mimic of the changes, in the same units; see
        `darkarcs.benchmark.evidence_truth.unmimicked_changes`.
    pixel_scale : float, optional, arcsec per pixel
        Of the images.
    threshold, arc_threshold : float
        In units of the noise.
    psf_fwhm : float, default 2.5, pixels
        By which the truth is grown.
    window, stride : int, optional, pixels of the model's input
        Of the evidence map; a patch (an eighth of the image where there are none) and half of
        it by default.
    groups : NDArray, shape (N,), optional
        Pairs that share a source galaxy share a group: whole groups are resampled.
    identities : NDArray of str, shape (N,), optional
        Of the observed images, to count those that the model has learned from.
    num_bootstrap : int, default 2000
        Resamples of the pairs.
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
        ``input_gradient``, and to compare with ``brightness``, ``random`` and, for a model of
        residuals, ``significance``), ``model``, ``model_hash``, ``overlap`` (pairs that the model
        has seen, by use), the settings, ``truth_share`` (of the arc); of what no smooth lens could
        mimic ``maps_projected`` and ``truth_share_projected``, or else ``not_projected``: why they
        are absent.

    Raises
    ------
    DataError
        If shapes differ or no pair differs visibly.
    """
    changes = images_with if unmimicked is None else unmimicked
    observed = images_with if observed is None else observed
    shapes = {images.shape for images in (images_with, images_without, observed, changes)}
    if len(shapes) > 1 or images_with.ndim != 4:
        raise DataError("images with, without and observed must have one shape (N, C, H, W)")
    predictor = Predictor(model_folder, device)
    description = predictor.folder.description
    rms = np.broadcast_to(np.asarray(noise_rms, dtype=np.float64), (len(observed),))
    truth, arc = true_regions(images_with, images_without, rms, threshold, arc_threshold, psf_fwhm)
    left = None if unmimicked is None else changed_regions(unmimicked, rms, threshold, psf_fwhm)
    frame = description.preprocessing
    truth, arc = (masks_in_frame(mask, frame, pixel_scale) for mask in (truth, arc))
    left = None if left is None else masks_in_frame(left, frame, pixel_scale)
    patch = getattr(predictor.folder.model, "patch_size", None)
    side = window or patch or max(1, round(min(truth.shape[1:]) / 8))
    taken = predictor.as_taken(
        LensImages.from_arrays(observed, pixel_scale=pixel_scale), progress=progress
    )
    seen = predictor.preprocess(taken)
    maps = model_maps(predictor, seen, side, stride, progress=progress)
    maps |= simple_maps(taken, seen, frame, side, seed)
    scoring = {"tolerance": (patch or side) / 2, "num_bootstrap": num_bootstrap, "seed": seed}
    scoring["groups"] = groups
    return {
        "model": description.name,
        "model_hash": predictor.folder.model_hash,
        "num_pairs": len(seen),
        "overlap": {} if identities is None else count_seen(identities, predictor),
        "threshold": threshold,
        "arc_threshold": arc_threshold,
        "psf_fwhm": psf_fwhm,
        "tolerance": scoring["tolerance"],
        "window": side,
        "stride": stride or max(1, side // 2),
        **_scores(maps, truth, arc, scoring),
        **_projected_scores(maps, left, arc, scoring),
        "command": command_line(),
        "version": package_version(),
    }


def _scores(
    maps: dict[str, Floats], truth: Mask, arc: Mask, scoring: dict[str, Any]
) -> dict[str, Any]:
    return {
        "truth_share": float((truth & arc).sum() / max(1, arc.sum())),
        "maps": {name: score_maps(values, truth, arc, **scoring) for name, values in maps.items()},
    }


def _projected_scores(
    maps: dict[str, Floats], left: Mask | None, arc: Mask, scoring: dict[str, Any]
) -> dict[str, Any]:
    if left is None:
        return {"not_projected": "what a smooth lens could mimic was not given"}
    if not (left & arc).any():
        return {"not_projected": "a smooth lens could mimic every visible change"}
    return {f"{name}_projected": value for name, value in _scores(maps, left, arc, scoring).items()}


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
    pairs, smooth = _pairs_of(clean), clean.label_names == SMOOTH
    partners = {pair: row for row, pair in enumerate(pairs) if smooth[row]}
    second = np.flatnonzero(~smooth)
    alone = [pair for pair in pairs[second] if pair not in partners]
    if not len(second) or alone or (_pairs_of(noisy) != pairs).any():
        raise DataError(
            f"{scene}: does not give pairs, a no_sub lens and its doubles with substructure in "
            "one group: add paired=1"
        )
    first = np.array([partners[pair] for pair in pairs[second]])
    residual = noisy.images[second] - clean.images[second]
    width = max(1, residual.shape[-1] // 16)
    border = np.ones(residual.shape[-2:], dtype=bool)
    border[width:-width, width:-width] = False
    rms = residual[..., border].std(axis=(1, 2), dtype=np.float64)
    if not (rms > 0).all():
        raise DataError(f"{scene}: the observed images have no noise to measure changes by")
    return clean.select(second), clean.select(first), noisy.select(second), rms


def _pairs_of(lenses: LensImages) -> NDArray[Any]:
    """Name the lens of each image: a group may hold several that share a source galaxy."""
    request = lenses.manifest.get("request")
    if isinstance(request, dict) and request.get("paired"):
        return np.asarray(lenses.metadata["index"].astype(np.int64) // len(lenses.class_names))
    return lenses.metadata["group"]
