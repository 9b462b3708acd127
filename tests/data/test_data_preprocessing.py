"""Preprocessing: order, constants, fields of view, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from darkarcs.data.lens_images import LensImages
from darkarcs.data.preprocessing import FittedPreprocessing, Preprocessing
from darkarcs.errors import ConfigurationError, DataError


def make(images: np.ndarray, pixel_scale: float | None = None) -> LensImages:
    names = np.array([f"{index:04d}" for index in range(len(images))])
    return LensImages(
        images=images.astype(np.float32),
        labels=None,
        class_names=(),
        metadata={"identity": names, "group": names, "name": names},
        pixel_scale=pixel_scale,
        manifest={},
    )


@pytest.fixture
def rings() -> np.ndarray:
    """Noisy rings of differing brightness on a background of 10."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:40, 0:40] - 19.5
    radius = np.hypot(rows, columns)
    brightness = random.uniform(50, 150, (20, 1, 1, 1))
    ring = brightness * np.exp(-((radius - random.uniform(8, 14, (20, 1, 1, 1))) ** 2) / 8)
    return (10 + ring + random.normal(0, 2, (20, 1, 40, 40))).astype(np.float32)


def test_data_set_normalization_is_standard_on_the_training_images(rings: np.ndarray) -> None:
    fitted = Preprocessing(size=32).fit(make(rings))
    output = fitted.apply(rings)
    assert output.dtype == np.float32
    assert output.shape == (20, 1, 32, 32)
    assert output.mean() == pytest.approx(0, abs=1e-3)
    assert output.std() == pytest.approx(1, abs=1e-3)
    assert fitted.background[0] == pytest.approx(10, abs=0.5)
    assert 60 < fitted.scale[0] < 140


def test_every_step_by_hand(rings: np.ndarray) -> None:
    fitted = Preprocessing(crop_pixels=30, stretch="asinh", stretch_softening=0.2).fit(make(rings))
    unit = (rings[..., 5:35, 5:35] - fitted.background[0]) / fitted.scale[0]
    expected = (np.arcsinh(unit / 0.2) / np.arcsinh(1 / 0.2) - fitted.mean[0]) / fitted.std[0]
    np.testing.assert_allclose(fitted.apply(rings), expected, atol=1e-5)


@pytest.mark.parametrize("normalization", ["per_image", "data_set", "none"])
def test_an_image_does_not_depend_on_its_neighbours(rings: np.ndarray, normalization: str) -> None:
    fitted = Preprocessing(size=24, normalization=normalization).fit(make(rings))
    together = fitted.apply(rings)
    alone = np.concatenate([fitted.apply(image[None]) for image in rings])
    assert (together == alone).all()


def test_per_image_normalization_ignores_units(rings: np.ndarray) -> None:
    fitted = Preprocessing(size=32, normalization="per_image").fit(make(rings))
    output = fitted.apply(rings)
    np.testing.assert_allclose(output.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(output.std(axis=(1, 2, 3)), 1, atol=1e-4)
    np.testing.assert_allclose(fitted.apply(1000 * rings - 777), output, atol=2e-3)


def test_per_image_normalization_keeps_colours() -> None:
    random = np.random.default_rng(3)
    images = random.random((4, 1, 16, 16)) * np.array([1.0, 0.1])[:, None, None]
    images[..., [0, -1], :] = images[..., [0, -1]] = 0
    output = (
        Preprocessing(normalization="per_image", stretch="linear").fit(make(images)).apply(images)
    )
    assert (output[:, 0].std(axis=(1, 2)) > 5 * output[:, 1].std(axis=(1, 2))).all()


def test_constants_do_not_depend_on_the_order_of_the_files(rings: np.ndarray) -> None:
    lenses = make(rings)
    order = np.random.default_rng(2).permutation(len(rings))
    shuffled = LensImages(
        images=rings[order],
        labels=None,
        class_names=(),
        metadata={key: column[order] for key, column in lenses.metadata.items()},
        pixel_scale=None,
        manifest={},
    )
    settings = Preprocessing(size=16)
    assert settings.fit(shuffled) == settings.fit(lenses)


def test_json_round_trip_is_exact(rings: np.ndarray) -> None:
    fitted = Preprocessing(crop_arcsec=1.7, size=20, stretch="log").fit(make(rings, 0.05))
    text = json.dumps(fitted.model_dump(mode="json"))
    again = FittedPreprocessing.parse(json.loads(text), "model folder")
    assert again == fitted
    assert (again.apply(rings) == fitted.apply(rings)).all()


def test_integers_and_doubles_are_taken(rings: np.ndarray) -> None:
    counts = rings.round()
    fitted = Preprocessing(size=16).fit(make(counts))
    assert (fitted.apply(counts.astype(np.int64)) == fitted.apply(counts.astype(np.float64))).all()


def test_same_sky_at_another_pixel_scale() -> None:
    def ring(side: int, scale: float) -> np.ndarray:
        axis = (np.arange(side) - (side - 1) / 2) * scale
        radius = np.hypot(axis[:, None], axis[None, :])
        return np.exp(-(((radius - 1.0) / 0.3) ** 2))[None, None].astype(np.float32)

    for settings in (Preprocessing(size=40), Preprocessing(size=40, crop_arcsec=3.33)):
        fitted = settings.fit(make(ring(80, 0.05), 0.05))
        expected = fitted.apply(ring(80, 0.05))
        np.testing.assert_allclose(fitted.apply(ring(100, 0.04), 0.04), expected, atol=0.06)
        np.testing.assert_allclose(fitted.apply(ring(121, 0.05), 0.05), expected, atol=0.06)
        narrow = fitted.apply(ring(100, 0.04), 0.05)  # a wrong pixel scale must show
        assert np.abs(narrow - expected).max() > 0.5


def test_crop_in_arcsec_is_exact_to_a_fraction_of_a_pixel(rings: np.ndarray) -> None:
    fitted = Preprocessing(crop_arcsec=1.63, size=16).fit(make(rings, 0.05))
    assert fitted.crop_height == pytest.approx(32.6)
    whole = Preprocessing(crop_arcsec=1.63).fit(make(rings, 0.05))
    assert (whole.crop_height, whole.height) == (33.0, 33)


def test_other_sizes_without_a_pixel_scale(rings: np.ndarray) -> None:
    larger = np.pad(rings, ((0, 0), (0, 0), (5, 5), (5, 5)), mode="edge")
    cropped = Preprocessing(crop_pixels=30).fit(make(rings))
    assert (cropped.apply(larger) == cropped.apply(rings)).all()
    whole = Preprocessing(size=32).fit(make(rings))
    with pytest.raises(DataError, match=r"50 x 50 pixels, the model was trained on 40 x 40"):
        whole.apply(larger)


def test_bad_input_is_named(rings: np.ndarray) -> None:
    fitted = Preprocessing(size=16).fit(make(rings, 0.05))
    with pytest.raises(DataError, match=r"\(N, C, H, W\), not \(40, 40\)"):
        fitted.apply(rings[0, 0])
    with pytest.raises(DataError, match="3 channels; the model was trained on 1"):
        fitted.apply(np.repeat(rings, 3, axis=1))
    with pytest.raises(DataError, match="check the pixel scale"):
        fitted.apply(rings, pixel_scale=5e-5)
    with pytest.raises(DataError, match="not a positive number"):
        fitted.apply(rings, pixel_scale=-1.0)
    for value in (np.nan, np.inf):
        broken = rings.copy()
        broken[7, 0, 3, 3] = value
        with pytest.raises(DataError, match=r"1 images .* number 7"):
            fitted.apply(broken)
        with pytest.raises(DataError, match="training images hold pixels"):
            Preprocessing(size=16).fit(make(broken))


def test_fit_names_what_is_missing(rings: np.ndarray) -> None:
    with pytest.raises(DataError, match="known pixel scale"):
        Preprocessing(crop_arcsec=2.0).fit(make(rings))
    with pytest.raises(DataError, match="no training images"):
        Preprocessing().fit(make(rings[:0]))
    with pytest.raises(DataError, match="set crop_pixels"):
        Preprocessing(size=16).fit(make(rings[..., :30]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop_pixels": 9, "crop_arcsec": 1.0}, "not both"),
        ({"stretch": "sinh"}, "'stretch' = 'sinh'"),
        ({"stretch_softening": 0.0}, "greater than 0"),
        ({"strech": "log"}, "did you mean 'stretch'"),
        ({"size": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_are_strict(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Preprocessing.parse(values, "recipe")


def test_constant_images_stay_finite() -> None:
    images = np.full((3, 1, 8, 8), 5.0, dtype=np.float32)
    for normalization in ("per_image", "data_set", "none"):
        output = Preprocessing(normalization=normalization).fit(make(images)).apply(images)
        assert (output == 0).all()


def test_no_images_give_no_output(rings: np.ndarray) -> None:
    assert Preprocessing(size=16).fit(make(rings)).apply(rings[:0]).shape == (0, 1, 16, 16)
