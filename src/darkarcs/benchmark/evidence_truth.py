"""What maps of substructure should find: where a pair differs, and where no smooth lens could.

Most of what substructure changes, a smooth lens of other parameters changes as well. Nobody who
sees one image alone can tell that part from another smooth lens, so a model cannot be blamed for
not looking there: the fairer truth is what is left of the change when it is taken away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from darkarcs.benchmark.map_scores import dilate
from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.data.resampling import border_median
from darkarcs.errors import ConfigurationError
from darkarcs.limits import macro_tangents
from darkarcs.scenes import Scene
from darkarcs.scenes.noise import InstrumentNoise, Storage
from darkarcs.scenes.smooth import macro_nuisances, smooth_partners
from darkarcs.simulation import parse_uri

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Lenses whose tangent spaces are in memory together.
_AT_ONCE = 8


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
    change = images_with.astype(np.float64) - images_without
    light = [
        (images - border_median(images)).max(axis=1) for images in (images_with, images_without)
    ]
    scale = np.asarray(noise_rms, dtype=np.float64)[:, None, None]
    arc: Mask = np.maximum(*light) > arc_threshold * scale
    return changed_regions(change, noise_rms, threshold, psf_fwhm), arc


def changed_regions(
    changes: NDArray[np.floating[Any]],
    noise_rms: NDArray[np.floating[Any]],
    threshold: float = 1.0,
    psf_fwhm: float = 2.5,
) -> Mask:
    """Find where changes of images are visible.

    Parameters
    ----------
    changes : NDArray of float, shape (N, C, H, W)
        Differences of noiseless images.
    noise_rms : NDArray, shape (N,)
        Standard deviation of the sky.
    threshold : float
        In units of the noise.
    psf_fwhm : float, default 2.5, pixels
        By which the regions are grown.

    Returns
    -------
    NDArray of bool, shape (N, H, W)
        Where the change exceeds the threshold in any channel, grown.

    Examples
    --------
    >>> changes = np.zeros((1, 1, 5, 5))
    >>> changes[0, 0, 2, 2] = -3.0
    >>> noise = np.ones(1)
    >>> [int(changed_regions(changes, noise, limit, 1.0).sum()) for limit in (2.0, 4.0)]
    [5, 0]
    """
    scale = np.asarray(noise_rms, dtype=np.float64)[:, None, None]
    return dilate(np.abs(changes).max(axis=1) > threshold * scale, psf_fwhm)


def unmimicked_changes(
    scene: str, images_with: LensImages, *, progress: bool = False
) -> NDArray[np.float64]:
    """Take from the change of each pair what a smooth lens of other parameters could mimic.

    The change in units of the noise is projected on what is orthogonal to the tangent space of
    all that the scene draws for lens, source and blur (`darkarcs.limits.macro_tangents`): what is
    left when the best smooth lens is fitted to the image with substructure, to first order. It is
    given in the unit of the images again, so that the same threshold finds the same changes.

    Parameters
    ----------
    scene : str
        The ``scene:`` address that the pairs are of.
    images_with : LensImages
        Noiseless images with substructure, from `darkarcs.benchmark.open_pairs`.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    NDArray of float64, shape (N, C, H, W)
        The changes, in the unit of the images.

    Raises
    ------
    ConfigurationError
        If the address is not that of a scene with an instrument's noise, stored as observed.

    Examples
    --------
    >>> from darkarcs.benchmark import open_pairs
    >>> scene = "scene:fair-euclid?num=2&paired=1&classes=no_sub,cdm&num_pixels=32"
    >>> images_with, images_without, _, _ = open_pairs(scene)
    >>> left = unmimicked_changes(scene, images_with)
    >>> change = images_with.images - images_without.images
    >>> left.shape, bool((left**2).sum() < (change**2).sum())
    ((1, 1, 32, 32), True)
    """
    if not scene.startswith("scene:"):
        raise ConfigurationError(
            f"{scene}: is no scene, so what a smooth lens could mimic is not known: give scene:NAME"
        )
    request = parse_uri(scene)
    _check_noise(request.scene)
    nuisances = macro_nuisances(request.scene)
    indices = images_with.metadata["index"].astype(np.int64) - request.start
    lenses = request.scene.draw(
        request.seed,
        request.start,
        int(indices.max(initial=0)) + 1,
        part=request.part,
        paired=request.paired,
        null=request.null,
    )
    smooth = smooth_partners(request.scene, lenses.select(indices))
    starts = track(
        range(0, len(smooth), _AT_ONCE),
        "Fitting smooth lenses",
        console=Console(stderr=True),
        disable=not progress,
        transient=True,
    )
    left = [np.zeros((0, *images_with.images.shape[1:]))]
    for start in starts:
        chunk = slice(start, start + _AT_ONCE)
        tangents = macro_tangents(request.scene, smooth.select(chunk), nuisances)
        changes = tangents.whiten(torch.from_numpy(images_with.images[chunk]))
        scale = tangents.scale.numpy()
        left.append(tangents.project(changes).reshape(scale.shape) / scale)
    return np.concatenate(left)


def _check_noise(scene: Scene) -> None:
    """Elsewhere image and noise have no common unit in which to fit and to set a threshold."""
    if not isinstance(scene.noise, InstrumentNoise) or scene.storage != Storage():
        raise ConfigurationError(
            f"scene {scene.name} does not give images as an instrument observes them, so a smooth "
            "lens cannot be fitted in units of their noise: give noise.kind=instrument and no "
            "storage, or a fair scene"
        )


def in_frame(
    planes: NDArray[np.floating[Any]],
    preprocessing: FittedPreprocessing,
    pixel_scale: float | None = None,
) -> Floats:
    """Crop and resize as a model's images are, and nothing else.

    Parameters
    ----------
    planes : NDArray of float, shape (N, H, W)
        In the frame of the images as stored.
    preprocessing : FittedPreprocessing
        The model's.
    pixel_scale : float, optional, arcsec per pixel
        Of the images.

    Returns
    -------
    NDArray of float32, shape (N, S, S)
        In the frame of the model's input.
    """
    plain = {"stretch": "linear", "normalization": "none"}
    geometry = preprocessing.model_copy(
        update={
            "settings": preprocessing.settings.model_copy(update=plain),
            "channels": 1,
            **dict.fromkeys(("background", "mean"), (0.0,)),
            **dict.fromkeys(("scale", "std"), (1.0,)),
        }
    )
    return geometry.apply(planes[:, None], pixel_scale)[:, 0]


def masks_in_frame(
    masks: Mask, preprocessing: FittedPreprocessing, pixel_scale: float | None = None
) -> Mask:
    """Bring regions to the frame of a model's input.

    Parameters
    ----------
    masks : NDArray of bool, shape (N, H, W)
        In the frame of the images as stored.
    preprocessing : FittedPreprocessing
        The model's.
    pixel_scale : float, optional, arcsec per pixel
        Of the images.

    Returns
    -------
    NDArray of bool, shape (N, S, S)
        Pixels of which at least half is in the region.
    """
    placed: Mask = in_frame(masks.astype(np.float32), preprocessing, pixel_scale) >= 0.5
    return placed
