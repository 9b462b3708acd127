"""Images that are no lenses of the training set: noise, blanks, galaxies, other instruments.

What is not light from another source is made in the units of given images: their median
background, brightness and noise, so that nothing is given away by its units alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.data.resampling import border_median
from darkarcs.data.stretching import brightness
from darkarcs.errors import DataError
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float32]

#: Arcsec per pixel of the COSMOS cutouts.
COSMOS_PIXEL_SCALE = 0.03
#: Arcsec per pixel of the real lenses, HST/ACS drizzled.
REAL_LENS_PIXEL_SCALE = 0.05
#: Scenes by other instruments, priors or simulators.
OTHER_SCENES = ("deeplense-1", "deeplense-test1", "deeplense-test5", "fair-hst", "fair-euclid")


@dataclass(frozen=True)
class Units:
    """What an image of the training distribution is like, so that strange ones can share it.

    Attributes
    ----------
    background, brightness, noise : float
        Medians over images: of the border; of the brightest thousandth above it; of the
        standard deviation from pixel to pixel on the border.
    """

    background: float
    brightness: float
    noise: float

    @classmethod
    def of(cls, images: Floats) -> Units:
        """Measure.

        Parameters
        ----------
        images : ndarray, shape (N, C, H, W)
            Of the training distribution.

        Returns
        -------
        Units
            In the units of the images.
        """
        background = border_median(images)
        bright = brightness(images - background)
        steps = np.diff(images[..., : max(1, images.shape[-2] // 8), :], axis=-1)
        noise = float(np.median(steps.std(axis=(1, 2, 3)))) / np.sqrt(2)
        return cls(float(np.median(background)), float(np.median(bright)), noise)


def made_sets(like: LensImages, num: int, seed: int = 0) -> dict[str, LensImages]:
    """Make strange images of the size and in the units of given ones.

    Parameters
    ----------
    like : LensImages
        Test images of the model's own distribution; some sets are made from them.
    num : int
        Images a set.
    seed : int, default 0
        Root of all draws.

    Returns
    -------
    dict of str to LensImages
        ``gaussian noise`` and ``poisson noise`` (any strength), ``faint noise`` (at the noise
        of the given images), ``blank`` (no light), ``constant`` (any level), ``stars`` (points
        behind a PSF), ``inverted``, ``hidden centre`` and ``turned 45`` versions of the given
        images.
    """
    size = like.images.shape[1:]
    units = Units.of(like.images)
    makers: dict[str, Callable[[np.random.Generator], NDArray[np.floating]]] = {
        "gaussian noise": lambda g: _gaussian(g, size, units),
        "poisson noise": lambda g: _poisson(g, size, units),
        "faint noise": lambda g: units.background + units.noise * g.normal(size=size),
        "blank": lambda g: np.full(size, units.background),
        "constant": lambda g: np.full(size, units.background + g.uniform(0, 1) * units.brightness),
        "stars": lambda g: _stars(g, size, units),
    }
    sets = {}
    for name, make in makers.items():
        generator = numpy_generator(seed, "strange", name)
        sets[name] = _images([make(generator) for _ in range(num)], like.pixel_scale)
    some = like.images[:num]
    background = border_median(some)
    bright = brightness(some - background)[..., None, None]
    sets["inverted"] = _images(2 * background + bright - some, like.pixel_scale)
    hidden = some.copy()
    height, width = (length // 4 for length in size[-2:])
    hidden[..., height:-height, width:-width] = background
    sets["hidden centre"] = _images(hidden, like.pixel_scale)
    turned = rotate(some, 45, axes=(2, 3), reshape=False, order=1, mode="nearest")
    sets["turned 45"] = _images(turned, like.pixel_scale)
    return sets


def real_sets(shared: Path, like: LensImages, num: int) -> dict[str, LensImages]:
    """Read real galaxies and lenses, as they are and in the units of given images.

    Parameters
    ----------
    shared : pathlib.Path
        Folder of real data: ``cosmos/*.npz`` and ``real_lenses/*.fits``.
    like : LensImages
        Of the model's own distribution.
    num : int
        Galaxies a set at most.

    Returns
    -------
    dict of str to LensImages
        ``HST lenses`` and ``COSMOS galaxies``, each also ``(our units)``: background and
        brightness of the given images.

    Raises
    ------
    DataError
        If a file is missing.
    """
    units = Units.of(like.images)
    lenses = data.open(str(shared / "real_lenses"), labelled=False)
    galaxies = shared / "cosmos" / "hst_acs_f814w_cutouts.npz"
    if not galaxies.is_file():
        raise DataError(f"{galaxies}: is missing")
    with np.load(galaxies, allow_pickle=False) as file:
        pixels = file["image"][:num, None].astype(np.float32)
    found = {
        "HST lenses": (lenses.images, lenses.pixel_scale or REAL_LENS_PIXEL_SCALE),
        "COSMOS galaxies": (pixels, COSMOS_PIXEL_SCALE),
    }
    sets = {}
    for name, (images, scale) in found.items():
        sets[name] = _images(images, scale)
        background = border_median(images)
        bright = brightness(images - background)[..., None, None]
        ours = (images - background) / bright * units.brightness + units.background
        sets[f"{name} (our units)"] = _images(ours, scale)
    return sets


def scene_sets(
    scenes: tuple[str, ...], own: Collection[str], num: int, seed: int
) -> dict[str, LensImages]:
    """Simulate lenses of other scenes.

    Parameters
    ----------
    scenes : tuple of str
        Names in the library.
    own : collection of str
        What the model was trained on, or what imitates it; left out.
    num : int
        Lenses a scene.
    seed : int
        Of the scenes.

    Returns
    -------
    dict of str to LensImages
        By the name of the scene, of its test part, labels left in.
    """
    return {
        name: data.open(f"scene:{name}?seed={seed}&num={num}&part=test")
        for name in scenes
        if name not in own
    }


def _images(pixels: object, pixel_scale: float | None) -> LensImages:
    return LensImages.from_arrays(np.asarray(pixels, dtype=np.float32), pixel_scale=pixel_scale)


def _gaussian(
    generator: np.random.Generator, size: tuple[int, ...], units: Units
) -> NDArray[np.floating]:
    strength = units.brightness * 10 ** generator.uniform(-2, 0)
    drawn: NDArray[np.floating] = units.background + strength * generator.normal(size=size)
    return drawn


def _poisson(
    generator: np.random.Generator, size: tuple[int, ...], units: Units
) -> NDArray[np.floating]:
    counts = generator.poisson(10 ** generator.uniform(-1, 3), size=size)
    drawn: NDArray[np.floating] = units.background + units.brightness * counts / max(
        1, int(counts.max())
    )
    return drawn


def _stars(
    generator: np.random.Generator, size: tuple[int, ...], units: Units
) -> NDArray[np.floating]:
    sky = np.zeros(size)
    count = int(generator.integers(1, 40))
    rows, columns = (generator.integers(0, length, count) for length in size[-2:])
    sky[:, rows, columns] = 0.05 + generator.pareto(1.5, count)
    sky = gaussian_filter(sky, (0, 1.1, 1.1))
    scaled: NDArray[np.floating] = sky / sky.max() * units.brightness
    return units.background + scaled + units.noise * generator.normal(size=size)
