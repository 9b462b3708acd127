"""Sets for the tests of the audit: fair rings, rings with one planted leak, and fake scenes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from darkarcs.audit.null_tests import Null
from darkarcs.data import LensImages

Images = NDArray[np.float32]
CLASSES = ("no_sub", "sub")


def ring_images(
    radius: NDArray[np.float64], generator: np.random.Generator, size: int = 32, noise: float = 0.1
) -> Images:
    """Make rings of given radii (pixels) with an uneven brightness, in noise."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    number = len(radius)
    phase, tilt = generator.uniform(0, 2 * np.pi, number), generator.uniform(0, 0.8, number)
    wave = 1 + tilt[:, None, None] * np.cos(np.arctan2(y, x) - phase[:, None, None])
    ring = np.exp(-(((np.hypot(x, y) - radius[:, None, None]) / 2) ** 2)) * wave
    pixels = ring + noise * generator.normal(size=ring.shape)
    return np.asarray(pixels[:, None], dtype=np.float32)


def fair_rings(count: int = 400, seed: int = 0, size: int = 32) -> tuple[Images, NDArray[np.int64]]:
    """Make rings whose class is a coin's toss."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 2)
    return ring_images(generator.uniform(6, 10, count), generator, size), labels


def as_lenses(images: Images, labels: NDArray[np.int64]) -> LensImages:
    """Label images as no_sub and sub."""
    return LensImages.from_arrays(images, labels, CLASSES)


def fake_scene(
    leak: Callable[[Images, NDArray[np.int64]], Images] | None = None, paired: bool = False
) -> Callable[[Null, int, int], LensImages]:
    """Make a scene's sampler: the same rings in both classes, and what `leak` does to them."""

    def sample(null: Null, seed: int, num: int) -> LensImages:
        generator = np.random.default_rng([seed, len(null)])
        labels = np.arange(num) % 2
        radius = generator.uniform(6, 10, num)
        group = np.arange(num)
        if paired:
            radius, group = np.repeat(radius[: num // 2], 2), group // 2
        images = ring_images(radius, generator)
        if leak is not None:
            images = leak(images, labels)
        names = np.array([f"{null}-{seed}-{index}" for index in group])
        return LensImages.from_arrays(images, labels, CLASSES, {"group": names})

    return sample
