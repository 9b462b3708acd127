"""Lens images for tests: rings of two radii in noise, learnable in a few steps."""

from __future__ import annotations

import numpy as np

from darkarcs.data import LensImages


def ring_lenses(count: int = 60, seed: int = 0, size: int = 16) -> LensImages:
    """Make alternating no_sub and sub rings, 3/16 and 5/16 of the side in radius."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y)[None] * 16 / size
    ring = np.exp(-((radius - np.where(labels, 5.0, 3.0)[:, None, None]) ** 2))
    pixels = ring + 0.1 * generator.normal(size=(count, size, size))
    return LensImages.from_arrays(pixels[:, None], labels, ("no_sub", "sub"))
