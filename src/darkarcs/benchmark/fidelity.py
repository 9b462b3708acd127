"""How well the scenes reproduce the published simulator and the published images.

Three comparisons: noiseless images beside lenstronomy's for the same draws, single published
images beside many of the same class, and the two-class set beside as many of its scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from darkarcs import data
from darkarcs.benchmark.image_statistics import image_statistics, radial_profiles, tell_apart
from darkarcs.benchmark.published_recipe import einstein_radius, published_image, published_noise
from darkarcs.benchmark.published_samples import GROUPS, Picture, place_samples, simulated
from darkarcs.errors import DataError, MissingExtraError
from darkarcs.evaluation.provenance import command_line, package_version
from darkarcs.scenes import load_scene
from darkarcs.seeding import numpy_generator, torch_generator

Floats = NDArray[np.float64]

#: Scenes that follow public code.
PUBLISHED = ("deeplense-1", "deeplense-2", "deeplense-3")


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Result of `fidelity`.

    Parameters
    ----------
    report : dict
        Ready for JSON.
    pictures : list of Picture
        For the figure: of the groups that the scenes claim to reproduce.
    """

    report: dict[str, Any]
    pictures: list[Picture] = field(default_factory=list)


def fidelity(
    shared: Path | None, *, num_images: int = 200, seed: int = 0, progress: bool = False
) -> Fidelity:
    """Compare the scenes with the published simulator and with published images.

    Parameters
    ----------
    shared : pathlib.Path, optional
        Folder with ``data/deeplense_samples`` and ``data/deeplense-test5.tgz``; without it only
        the published simulator is compared.
    num_images : int
        Simulated images for each class, at least forty; three times as many for the two-class set.
    seed : int
        Of all draws.
    progress : bool
        Show progress bars on standard error.

    Returns
    -------
    Fidelity
        ``report`` has ``parity``, ``noise``, ``samples``, ``two_class``, ``seed``,
        ``num_images``, ``command``, ``version``.

    Raises
    ------
    DataError
        If ``num_images`` is too small, or the shared folder lacks its files.
    MissingExtraError
        If lenstronomy is not installed.
    """
    if num_images < 40:
        raise DataError(f"{num_images} simulated images are too few to place one among: give 40")
    if find_spec("lenstronomy") is None:
        raise MissingExtraError("comparing with the published simulator", "test")
    report: dict[str, Any] = {
        "parity": [parity(name, 24, seed) for name in PUBLISHED],
        "noise": noise_of_model_1(seed),
    }
    pictures: list[Picture] = []
    if shared is not None:
        groups = list(_track(GROUPS, "Placing samples", progress))
        placed = [place_samples(group, shared, num_images, seed) for group in groups]
        report["samples"] = [rows for rows, _ in placed]
        pictures += [picture for rows, picture in placed if rows["expected"]]
        two_class, more = compare_two_class(shared, 3 * num_images, seed, progress)
        report["two_class"] = two_class
        pictures += more
    report |= {"seed": seed, "num_images": num_images}
    report |= {"command": command_line(), "version": package_version()}
    return Fidelity(report, pictures)


def parity(scene_name: str, count: int, seed: int) -> dict[str, Any]:
    """Compare noiseless images of the same draws with lenstronomy's.

    Parameters
    ----------
    scene_name : {"deeplense-1", "deeplense-2", "deeplense-3"}
        Which scene.
    count : int
        How many images, all classes in turn.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        ``scene``, ``count``; the largest difference of any pixel over the image's peak, by class,
        in single and double precision (``float32``, ``float64``); ``einstein_radius``: ours and
        the public code's, which rounds the arcseconds of a radian.
    """
    scene = load_scene(scene_name)
    lenses = scene.draw(seed, 0, count)
    factor = getattr(scene.noise, "factor", 1.0)
    theirs = np.stack([published_image(scene_name, lenses, i) for i in range(count)])
    result: dict[str, Any] = {"scene": scene.identity, "count": count}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        ours = scene.render(lenses, dtype=dtype)[:, 0].numpy().astype(np.float64) * factor
        relative = np.abs(ours - theirs).max(axis=(1, 2)) / theirs.max(axis=(1, 2))
        result[name] = {
            kind: float(relative[lenses.labels == label].max())
            for label, kind in enumerate(scene.class_names)
        }
    radius = float(lenses.columns["lens.einstein_radius"][0])
    result["einstein_radius"] = {"ours": radius, "published": einstein_radius(1e12)}
    return result


def noise_of_model_1(seed: int, draws: int = 400) -> dict[str, float]:
    """Compare many noisy versions of one image of Model I with the published recipe's.

    Parameters
    ----------
    seed : int
        Of lens and noise.
    draws : int
        Versions of each side.

    Returns
    -------
    dict
        ``mean_chi2`` and ``variance_chi2``: mean squares, over pixels, of the differences of
        mean and variance in units of their expected errors, 1 where the two agree (the
        variance's error from the fourth moments); ``zeros``, ``published_zeros``: shares of
        pixels without a count.
    """
    scene = load_scene("deeplense-1")
    lens = scene.draw(seed, 0, 1)
    image = scene.render(lens)
    generator = torch_generator(seed, "fidelity", "noise")
    ours = np.stack([scene.observe(image, lens, generator)[0, 0].numpy() for _ in range(draws)])
    exposure = 10 ** float(lens.columns["noise.log10_exposure"][0])
    random = numpy_generator(seed, "fidelity", "published noise")
    model = image[0, 0].numpy().astype(np.float64)
    theirs = np.stack([published_noise(model, exposure, random) for _ in range(draws)])
    variances = [values.var(axis=0, ddof=1) for values in (ours, theirs)]
    error = sum(variances) / draws
    fourth = [((v - v.mean(axis=0)) ** 4).mean(axis=0) for v in (ours, theirs)]
    spread = sum(m - v**2 for m, v in zip(fourth, variances, strict=True)) / draws
    return {
        "draws": float(draws),
        "mean_chi2": float(((ours.mean(axis=0) - theirs.mean(axis=0)) ** 2 / error).mean()),
        "variance_chi2": float(((variances[0] - variances[1]) ** 2 / spread).mean()),
        "zeros": float((ours == 0).mean()),
        "published_zeros": float((theirs == 0).mean()),
    }


def compare_two_class(
    shared: Path, count: int, seed: int, progress: bool
) -> tuple[dict[str, Any], list[Picture]]:
    """Compare the two-class set with ``deeplense-test5``.

    Parameters
    ----------
    shared : pathlib.Path
        Folder of the real data.
    count : int
        Images of each class and side.
    seed : int
        Of the draws.
    progress : bool
        Show a progress bar.

    Returns
    -------
    report : dict
        By class ``tell_apart`` (AUC of real against simulated, 0.5 is perfect), ``rings`` and
        ``profile`` (means and scatters of both); ``radial_auc`` and ``simulated_radial_auc``:
        of the classes by their radial profiles alone.
    pictures : list of Picture
        One a class.

    Raises
    ------
    DataError
        If the set is absent.
    """
    path = shared / "data" / "deeplense-test5.tgz"
    if not path.is_file():
        raise DataError(f"{path} is absent")
    scene = load_scene("deeplense-test5")
    real_set = data.open(str(path))
    report: dict[str, Any] = {"scene": scene.identity, "count": count, "classes": {}}
    pictures, profiles = [], []
    for name in _track(scene.class_names, "Comparing the two-class set", progress):
        rows = np.flatnonzero(real_set.label_names == name)
        order = numpy_generator(seed, "fidelity", name).permutation(rows)[:count]
        real = real_set.images[order, 0].astype(np.float64)
        ours = simulated(scene, name, count, seed)
        pair = [radial_profiles(images) for images in (real, ours)]
        profiles.append(pair)
        statistics = [image_statistics(images) for images in (real, ours)]
        report["classes"][name] = {
            "tell_apart": tell_apart(*(s.values for s in statistics), seed=seed),
            "profile": [p.mean(axis=0).tolist() for p in pair],
            "scatter": [p.std(axis=0).tolist() for p in pair],
            "medians": {
                column: [float(np.median(s.column(column))) for s in statistics]
                for column in statistics[0].names[:12]
            },
        }
        pictures.append(Picture(f"two-class {name}", real[:100], ours[:100]))
    for side, key in enumerate(("radial_auc", "simulated_radial_auc")):
        report[key] = tell_apart(profiles[0][side], profiles[1][side], seed=seed)
    return report, pictures


def _track(items: Sequence[Any], text: str, progress: bool) -> Any:
    console = Console(stderr=True)
    return track(items, text, console=console, disable=not progress, transient=True)
