"""Pixel statistics: finite everywhere, blind to turns and units, and seeing what they should."""

from __future__ import annotations

import numpy as np
import pytest

from darkarcs.data import FittedPreprocessing, LensImages, Preprocessing
from darkarcs.trust import image_statistics
from rings import ring_lenses


def fitted(normalization: str = "per_image", size: int = 48) -> FittedPreprocessing:
    settings = Preprocessing.parse({"normalization": normalization}, "test")
    return settings.fit(ring_lenses(count=20, size=size))


def pictures(pixels: np.ndarray) -> LensImages:
    return LensImages.from_arrays(pixels.astype(np.float32))


def test_turns_and_mirrors_change_nothing() -> None:
    lenses, preprocessing = ring_lenses(count=4, size=64), fitted("data_set", size=64)
    plain = image_statistics(lenses, preprocessing)
    turned = image_statistics(pictures(np.rot90(lenses.images, axes=(2, 3))), preprocessing)
    for name, values in plain.items():
        # pixels equal to their right-hand neighbour become those equal to the one below: none
        assert np.allclose(values, turned[name], atol=2e-3), name


def test_units_matter_only_to_models_that_see_them() -> None:
    lenses = ring_lenses(count=4, size=48)
    scaled = pictures(1000 * lenses.images + 7)
    blind = fitted("per_image")
    assert "light" not in image_statistics(lenses, blind)
    for name, values in image_statistics(lenses, blind).items():
        assert np.allclose(values, image_statistics(scaled, blind)[name], atol=0.02), name
    seeing = fitted("data_set")
    light = image_statistics(lenses, seeing)["light"]
    assert (np.abs(image_statistics(scaled, seeing)["light"] - light) > 1).any(axis=1).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 1, 48, 48)),
        np.full((2, 1, 48, 48), -5.0),
        np.full((2, 1, 48, 48), 1e20),
        -ring_lenses(count=2, size=48).images,
        np.pad(np.ones((2, 1, 1, 1)), ((0, 0), (0, 0), (23, 24), (23, 24))),
    ],
    ids=["zero", "negative", "huge", "inverted", "one pixel"],
)
def test_odd_images_have_finite_statistics(pixels: np.ndarray) -> None:
    for values in image_statistics(pictures(pixels), fitted("data_set")).values():
        assert np.isfinite(values).all()


def test_arrangement_sees_the_radius_and_texture_the_noise() -> None:
    preprocessing = fitted()
    lenses = ring_lenses(count=40, size=48)
    found = image_statistics(lenses, preprocessing)
    profile = found["arrangement"][:, :10]  # means in rings from the centre outwards
    assert lenses.labels is not None
    small, large = (profile[lenses.labels == k].mean(axis=0) for k in (0, 1))
    assert small.argmax() < large.argmax()
    noisier = pictures(lenses.images + np.random.default_rng(1).normal(size=lenses.images.shape))
    assert (
        image_statistics(noisier, preprocessing)["texture"][:, 0] > found["texture"][:, 0]
    ).all()


def test_field_of_view_follows_the_pixel_scale() -> None:
    lenses = ring_lenses(count=8, size=48)
    sharp = LensImages.from_arrays(lenses.images, pixel_scale=0.1)
    preprocessing = Preprocessing(crop_pixels=24).fit(sharp)
    fine = np.repeat(np.repeat(lenses.images, 2, axis=2), 2, axis=3)
    found = image_statistics(LensImages.from_arrays(fine, pixel_scale=0.05), preprocessing)
    expected = image_statistics(sharp, preprocessing)
    assert np.allclose(found["arrangement"][:, 0], expected["arrangement"][:, 0], atol=0.3)
    assert np.allclose(found["light"], expected["light"], atol=0.2)


def test_small_images_have_fewer_scales() -> None:
    lenses = ring_lenses(count=3, size=16)
    found = image_statistics(lenses, Preprocessing().fit(lenses))
    assert all(np.isfinite(values).all() for values in found.values())


def test_each_channel_is_measured_in_its_own_unit() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(6, 1, 32, 32)).astype(np.float32)
    both = np.concatenate([pixels, 100 * pixels], axis=1)
    lenses = LensImages.from_arrays(both)
    preprocessing = Preprocessing(stretch="linear", normalization="data_set").fit(lenses)
    found = image_statistics(lenses, preprocessing)["light"]
    one, other = np.split(found.reshape(6, 2, -1), 2, axis=1)
    assert one == pytest.approx(other, abs=1e-4)
