"""The stretch functions and the measure of brightness."""

from __future__ import annotations

import numpy as np
import pytest

from darkarcs.data.stretching import brightness, stretch


@pytest.mark.parametrize("kind", ["linear", "sqrt", "asinh", "log"])
def test_stretch_is_odd_increasing_and_fixes_zero_and_one(kind: str) -> None:
    values = np.linspace(-3, 3, 601, dtype=np.float32)
    stretched = stretch(values, kind, 0.05)
    np.testing.assert_allclose(stretched, -stretched[::-1], atol=1e-6)
    assert (np.diff(stretched) > 0).all()
    np.testing.assert_allclose(stretch(np.float32([0, 1]), kind, 0.05), [0, 1], atol=1e-6)


@pytest.mark.parametrize("kind", ["sqrt", "asinh", "log"])
def test_softening_decides_what_is_faint(kind: str) -> None:
    faint = np.float32([0.01])
    assert stretch(faint, kind, 0.01) > 2 * stretch(faint, kind, 1.0)


def test_brightness_ignores_a_hot_pixel_and_never_vanishes() -> None:
    images = np.ones((2, 2, 50, 50), dtype=np.float32)
    images[0, 0, 3, 4] = 1e6
    images[1] = -1.0
    assert (brightness(images) == 1.0).all()
