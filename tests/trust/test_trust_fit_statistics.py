"""How well a smooth lens fits: numbers that can be had by hand, and what they tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from darkarcs.data import LensImages, Preprocessing
from darkarcs.fitting import SmoothFit
from darkarcs.fitting.subhalo_search import STRENGTHS
from darkarcs.model_folder import SMOOTH_FIT
from darkarcs.scenes import load_scene
from darkarcs.trust import fit_statistics as module
from darkarcs.trust import image_statistics
from darkarcs.trust.fit_statistics import fit_statistics, fitted_bands, signal_to_noise

Floats = NDArray[np.float64]


def residuals(left: Floats, light: Floats, version: int = 2) -> LensImages:
    """Put residuals and asinh of the light, each (N, C, H, W), into a set as fits make it."""
    maps = np.zeros((len(left), 5 if version > 1 else 0, *left.shape[2:]))
    pixels = np.concatenate([left, light, maps], axis=1).astype(np.float32)
    manifest: dict[str, Any] = {SMOOTH_FIT: {"version": version}}
    return LensImages.from_arrays(pixels, manifest=manifest)


def measured(left: LensImages) -> Floats:
    return fit_statistics(left.images, fitted_bands(left))


def noise(count: int = 4, bands: int = 1, size: int = 64, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, bands, size, size))


def test_layout_is_that_of_the_fits() -> None:
    fit = SmoothFit.of(load_scene("fair-euclid"))
    assert fit.num_channels == 2 + module._MAPS[2]
    assert module._MAPS[2] == 2 + len(STRENGTHS)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("bands", [1, 3])
def test_noise_about_a_ring_is_what_it_is(bands: int, version: int) -> None:
    light = np.zeros((4, bands, 64, 64))
    light[..., 20:40, 20:40] = np.arcsinh(10.0)
    found = measured(residuals(noise(bands=bands), light, version))
    assert found.shape == (4, 6 * bands)
    for all_over, within, neighbours, largest, total, peak in found.reshape(-1, 6):
        assert all_over == pytest.approx(0, abs=0.1)
        assert within == pytest.approx(0, abs=0.4)
        assert neighbours == pytest.approx(0, abs=0.05)
        assert 3.2 < np.exp(largest) < 5
        assert total == pytest.approx(np.log1p(400 * 100))
        assert peak == pytest.approx(np.arcsinh(10))


def test_structure_and_missing_light_are_seen() -> None:
    light = np.full((1, 1, 64, 64), np.arcsinh(5.0))
    plain = noise(1)
    knots = plain + 3 * np.kron(noise(1, size=8, seed=1), np.ones((8, 8)))
    smooth = measured(residuals(plain, light))
    knotty = measured(residuals(knots, light))
    dark = measured(residuals(plain, 0 * light))
    assert knotty[0, 0] > smooth[0, 0] + 1
    assert knotty[0, 2] > smooth[0, 2] + 0.5
    assert dark[0, 4] == dark[0, 5] == 0
    assert dark[0, 1] == dark[0, 0]  # no light to look at


def test_images_come_back_in_units_of_their_noise() -> None:
    image = 50 * np.random.default_rng(3).random((2, 1, 16, 16))
    model = image + noise(2, size=16)
    left = residuals(image - model, np.arcsinh(model))
    together = signal_to_noise(left.images, 1)
    np.testing.assert_allclose(together, image, rtol=1e-4, atol=1e-4)


def test_only_residuals_have_them() -> None:
    images = LensImages.from_arrays(noise().astype(np.float32))
    assert fitted_bands(images) == 0
    left = residuals(noise(), np.zeros((4, 1, 64, 64)))
    for lenses, has in ((images, False), (left, True)):
        fitted = Preprocessing.parse({"normalization": "data_set"}, "test").fit(lenses)
        found = image_statistics(lenses, fitted)
        assert ("fit" in found) is has
        assert ({"image_light", "image_texture", "image_arrangement"} <= set(found)) is has
        assert all(np.isfinite(values).all() for values in found.values())
