"""What a smooth lens does not explain: images of residuals, for a transformer to look at.

Four fifths of what substructure changes in an image, a smooth lens of other parameters could change
as well, and lenses differ by far more than that: a network that is shown images has to learn to fit
lenses before it can learn anything else. Here the lens is fitted, and the network is shown

1. the residuals, in standard deviations of the noise, cut at 15 of them;
2. the fitted light, as asinh of its signal-to-noise: where residuals can mean something;
3. how significant a subhalo at each place would be,
4. how strongly one would show there, and
5. what each place says for subhalos and against a smooth lens, for weak, middling and strong ones,
   all from `darkarcs.fitting.subhalo_search`,

the first two band by band, all residuals before all light, the others once for all bands, brought
to the pixels by bilinear interpolation. What has no end where a fit fails is cut at 15. A set of
residuals says in its manifest how it was made; a model that was trained on one keeps this, and
makes residuals of new images by itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import model_validator
from torch.nn.functional import interpolate

from darkarcs.configuration import Configuration
from darkarcs.data import LensImages
from darkarcs.data.store import save
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.fitting.fit_cache import kept
from darkarcs.fitting.fitted_lenses import SmoothFits
from darkarcs.fitting.smooth_fit import SmoothFitter
from darkarcs.fitting.subhalo_search import STRENGTHS, SubhaloMaps, SubhaloSearch
from darkarcs.labels import CLASSES
from darkarcs.model_folder import SMOOTH_FIT
from darkarcs.scenes import Scene
from darkarcs.scenes.substructure import NoSubstructure

#: Largest residual, significance and evidence that are shown: where a fit fails they have no end.
LARGEST = 15.0
#: Log evidence for subhalos from which on a better smooth lens is looked for.
_DOUBT = 1.0
#: Images of a shard: what an interruption loses at most.
_SHARD = 256


class SmoothFit(Configuration):
    """How residuals are made.

    Attributes
    ----------
    version : {1, 2}
        Of the fits; another one makes other residuals. The first, of models that were trained
        before subhalos were searched, has the first two kinds of channels alone.
    scene : Scene
        Whose smooth lenses are fitted, with its instrument and noise.
    source : {"sersic", "free"}
        Whether sources are Sersic profiles, or may differ from them, as those of nature do; see
        `darkarcs.fitting.free_source`.
    """

    version: Literal[1, 2] = 2
    scene: Scene
    source: Literal["sersic", "free"] = "sersic"

    @model_validator(mode="after")
    def _free_since_version_2(self) -> Self:
        if self.version == 1 and self.source == "free":
            raise ValueError("fits of version 1 are of Sersic sources: source must be sersic")
        return self

    @classmethod
    def of(cls, scene: Scene, source: Literal["sersic", "free"] = "sersic") -> SmoothFit:
        """Take a scene's smooth lenses.

        Parameters
        ----------
        scene : Scene
            With substructure or without; it does not matter.
        source : {"sersic", "free"}
            What sources may be.

        Returns
        -------
        SmoothFit
            Equal for scenes that differ in their substructure only.
        """
        # what a fit does not read must not tell two fits apart, a place on a disk least of all
        unread = {"folder": None, "description": "", "differences": ()}
        smooth = {CLASSES[0]: NoSubstructure()}
        return cls(scene=scene.model_copy(update={"classes": smooth, **unread}), source=source)

    @property
    def identity(self) -> str:
        """Name of these residuals: the scene's, its hash, and the version of the fits."""
        free = "" if self.source == "sersic" else f"-{self.source}-source"
        return f"{self.scene.identity}/fit-{self.version}{free}"

    @property
    def num_channels(self) -> int:
        """Channels of the residuals: two for each band, and since version 2 five for all."""
        return 2 * len(self.scene.channels) + (2 + len(STRENGTHS) if self.version > 1 else 0)


def fit_of(lenses: LensImages) -> SmoothFit | None:
    """Tell how a set of residuals was made.

    Parameters
    ----------
    lenses : LensImages
        Any images.

    Returns
    -------
    SmoothFit or None
        None for images that are no residuals.
    """
    told = lenses.manifest.get(SMOOTH_FIT)
    return None if told is None else SmoothFit.parse(told, "residuals")


def same_fits(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two manifests' or models' fits are of the same smooth lenses.

    Parameters
    ----------
    one, other : mapping
        As `SmoothFit` is written.

    Returns
    -------
    bool
        True whatever substructure their scenes hold.
    """
    if one == other:
        return True
    fits = [SmoothFit.parse(dict(told), "residuals") for told in (one, other)]
    first, second = (SmoothFit.of(fit.scene, fit.source) for fit in fits)
    return first == second and fits[0].version == fits[1].version


def residual_images(
    lenses: LensImages,
    fit: SmoothFit,
    *,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> LensImages:
    """Fit smooth lenses to images and give what they leave.

    Parameters
    ----------
    lenses : LensImages
        As the scene's instrument observes them.
    fit : SmoothFit
        What is fitted.
    cache : pathlib.Path, optional
        Folder where fits are kept, so that pixels that were fitted before are not fitted again;
        see `darkarcs.fitting.fit_cache.kept`.
    progress : callable, optional
        Called with the number of images that were just fitted, or found.

    Returns
    -------
    LensImages
        Channels as the module says; columns ``fit.chi_square``, ``fit.converged``,
        ``fit.log_evidence`` (of subhalos against none), ``fit.NAME`` of each fitted parameter, and
        of free sources ``fit.source_ruggedness``; labels, names, identities and lists are kept.

    Raises
    ------
    DataError
        If the images are residuals already, or not of the scene's size, bands or pixel scale.
    """
    _check(lenses, fit)
    told, parts = fit.model_dump_json(), []
    for first in range(0, len(lenses), _SHARD):
        pixels = lenses.images[first : first + _SHARD]
        make = partial(_fitted, _fitter(told), pixels, fit)
        parts.append(make() if cache is None else kept(cache, fit.identity, pixels, make))
        if progress is not None:
            progress(len(pixels))
    return _joined(lenses, fit, parts)


def residuals_to_store(
    lenses: LensImages,
    fit: SmoothFit,
    out: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write residuals to a new store, or go on where a run was cut off.

    Finished shards lie in ``.NAME.partial/`` beside the file until all are there.

    Parameters
    ----------
    lenses : LensImages
        As for `residual_images`.
    fit : SmoothFit
        What is fitted.
    out : pathlib.Path
        The file to make.
    progress : callable, optional
        Called with the number of images that were just fitted, or found.

    Returns
    -------
    pathlib.Path
        ``out``.

    Raises
    ------
    OutputExistsError
        If the file is there.
    """
    out = Path(out)
    if out.exists():
        raise OutputExistsError(out)
    folder = out.with_name(f".{out.name}.partial")
    save(residual_images(lenses, fit, cache=folder, progress=progress), out)
    shutil.rmtree(folder, ignore_errors=True)
    return out


@lru_cache(maxsize=4)
def _fitter(fit: str) -> SmoothFitter:
    """Images come in batches, and a scene's prior is drawn once."""
    return SmoothFitter(SmoothFit.model_validate_json(fit).scene)


@lru_cache(maxsize=1)
def _search(fitter: SmoothFitter, free_source: bool) -> SubhaloSearch:
    """Deflections at all places are computed once; only the last are kept, for they are large."""
    return SubhaloSearch(fitter, free_source=free_source)


def _check(lenses: LensImages, fit: SmoothFit) -> None:
    source = lenses.manifest.get("source", "images")
    if fit_of(lenses) is not None:
        raise DataError(f"{source}: holds residuals of fits already; give the images themselves")
    scale = fit.scene.instrument.pixel_scale
    if lenses.pixel_scale is not None and not np.isclose(lenses.pixel_scale, scale, rtol=1e-3):
        raise DataError(
            f"{source}: its pixels of {lenses.pixel_scale:g} arcsec are not those of scene "
            f"{fit.scene.name}, {scale:g} arcsec, whose smooth lenses are fitted: give images of "
            "that instrument (or to `darkarcs fit` a --scene of theirs)"
        )
    shape = (len(fit.scene.channels), fit.scene.num_pixels, fit.scene.num_pixels)
    if lenses.images.shape[1:] != shape:
        raise DataError(
            f"{source}: images of shape {lenses.images.shape[1:]} cannot be fitted by scene "
            f"{fit.scene.name}, whose images have shape {shape}: cut them (or fit at num_pixels=N)"
        )


def _fitted(
    fitter: SmoothFitter, images: NDArray[np.float32], fit: SmoothFit
) -> dict[str, NDArray[Any]]:
    data = torch.tensor(images)
    fits = fitter.fit(data)
    columns: dict[str, NDArray[Any]] = {}
    if fit.version == 1:
        channels = [((data - fits.images) * fits.scale).clamp(-LARGEST, LARGEST)]
        channels.append(torch.asinh(fits.images * fits.scale))
    else:
        maps = _searched(_search(fitter, fit.source == "free"), data, fits)
        channels = [maps.residuals.clamp(-LARGEST, LARGEST), torch.asinh(maps.signal)]
        places = torch.cat([maps.significance, maps.sensitivity, maps.evidence], dim=1)
        places = places.clamp(-LARGEST, LARGEST)
        channels.append(interpolate(places, data.shape[-2:], mode="bilinear"))
        columns["fit.log_evidence"] = maps.log_evidence.numpy()
    columns |= {"fit.chi_square": fits.chi_square, "fit.converged": fits.converged}
    values = fits.values
    if fit.source == "free":  # where lens and source arrived together
        columns["fit.chi_square"] = (maps.residuals**2).flatten(1).sum(1).numpy()
        columns["fit.converged"] = maps.converged.numpy()
        columns["fit.source_ruggedness"] = maps.ruggedness.numpy()
        lenses = fitter.coordinates.decode(maps.parameters)
        values = {name: lenses[name].numpy() for name in values}
    return {
        "images": torch.cat(channels, dim=1).numpy(),
        **columns,
        **{f"fit.{name}": column for name, column in values.items()},
    }


def _searched(search: SubhaloSearch, data: torch.Tensor, fits: SmoothFits) -> SubhaloMaps:
    """Search subhalos, and where there seem to be some, look for a better smooth lens first."""
    maps = search.search(data, fits)
    doubtful = torch.nonzero(maps.log_evidence > _DOUBT)[:, 0]
    if len(doubtful):
        fits.put(doubtful, search.fitter.refit(data[doubtful], fits.select(doubtful)))
        again = search.search(data[doubtful], fits.select(doubtful))
        # with Sersic sources none is worse
        better = torch.nonzero(again.smooth_evidence >= maps.smooth_evidence[doubtful])[:, 0]
        maps.put(doubtful[better], again.select(better))
    return maps


def _joined(lenses: LensImages, fit: SmoothFit, parts: list[dict[str, NDArray[Any]]]) -> LensImages:
    columns: Mapping[str, NDArray[Any]] = {
        name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())
    }
    shape = (0, fit.num_channels, *lenses.images.shape[2:])
    return LensImages.from_arrays(
        columns["images"] if parts else np.zeros(shape, np.float32),
        labels=lenses.labels,
        class_names=lenses.class_names,
        metadata={**lenses.metadata, **{k: v for k, v in columns.items() if k != "images"}},
        pixel_scale=lenses.pixel_scale,
        manifest={**lenses.manifest, SMOOTH_FIT: fit.model_dump(mode="json")},
        lists=lenses.lists,
    )


def scene_of(lenses: LensImages) -> Scene:
    """Find the scene that images were simulated from.

    Parameters
    ----------
    lenses : LensImages
        Images.

    Returns
    -------
    Scene
        Of their manifest.

    Raises
    ------
    ConfigurationError
        If they were not simulated.
    """
    source, told = str(lenses.manifest.get("source", "images")), lenses.manifest.get("scene")
    if not isinstance(told, Mapping):
        raise ConfigurationError(
            f"{source}: was not simulated by a scene: say by --scene which smooth lenses to fit, "
            "for example --scene fair-euclid"
        )
    return Scene.parse(dict(told), source)
