"""What models are given: images to those of images, residuals to those of residuals, or grey."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_scenes
from darkarcs import data
from darkarcs.data import LensImages, Preprocessing
from darkarcs.data.store import save
from darkarcs.errors import DataError
from darkarcs.fitting import SmoothFit, SmoothFitter, residual_images
from darkarcs.inference import Predictor
from darkarcs.inference.intake import GREY_TOLERANCE, take_images
from darkarcs.model_folder import (
    SMOOTH_FIT,
    Architecture,
    ModelDescription,
    read_description,
    write_model_folder,
)
from darkarcs.models import create_model
from darkarcs.scenes import Scene
from darkarcs.simulation import SimulationRequest, simulate

OPTIONS = {"patch_size": 4, "depth": 1}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return small_scenes.scene().with_classes(["no_sub", "cdm"])


@pytest.fixture(scope="module")
def lenses(scene: Scene) -> LensImages:
    return simulate(SimulationRequest(scene=scene, num=6, seed=1))


@pytest.fixture(scope="module")
def left(scene: Scene, lenses: LensImages) -> LensImages:
    return residual_images(lenses, SmoothFit.of(scene))


def describe(taken: LensImages, name: str) -> ModelDescription:
    """Describe a model that was trained on a set."""
    return ModelDescription(
        name=name,
        task="no_sub against cdm",
        architecture=Architecture(
            name="compact_vit_100k",
            num_classes=2,
            in_channels=taken.num_channels,
            image_size=20,
            options=OPTIONS,
        ),
        preprocessing=Preprocessing(stretch="linear").fit(taken),
        smooth_fit=taken.manifest.get(SMOOTH_FIT),
        class_names=("no_sub", "cdm"),
    )


@pytest.fixture(scope="module")
def of_images(lenses: LensImages) -> ModelDescription:
    return describe(lenses, "looks-at-images")


@pytest.fixture(scope="module")
def of_residuals(left: LensImages) -> ModelDescription:
    return describe(left, "looks-at-residuals")


def coloured(lenses: LensImages, **changes: Any) -> LensImages:
    """Store grey images with three colours."""
    return replace(lenses, images=lenses.images.repeat(3, axis=1), **changes)


def test_images_go_through_as_they_are(lenses: LensImages, of_images: ModelDescription) -> None:
    assert take_images(lenses, of_images) is lenses


def test_a_model_of_images_refuses_residuals(left: LensImages, of_images: ModelDescription) -> None:
    with pytest.raises(DataError, match="'looks-at-images' looks at images") as error:
        take_images(left, of_images)
    assert "\n" not in str(error.value)


def test_images_are_fitted_for_a_model_of_residuals(
    lenses: LensImages, left: LensImages, of_residuals: ModelDescription
) -> None:
    taken = take_images(lenses, of_residuals)
    np.testing.assert_allclose(taken.images, left.images, atol=1e-4)
    assert taken.manifest[SMOOTH_FIT] == of_residuals.smooth_fit
    assert np.array_equal(taken.metadata["identity"], lenses.metadata["identity"])
    assert "fit.chi_square" in taken.metadata


def test_residuals_are_not_fitted_again(
    left: LensImages, of_residuals: ModelDescription, tmp_path: Path
) -> None:
    assert take_images(left, of_residuals) is left
    stored = data.open(save(left, tmp_path / "left.h5"))
    assert take_images(stored, of_residuals) is stored


def test_residuals_of_other_fits_are_refused(
    lenses: LensImages, of_residuals: ModelDescription
) -> None:
    lens = small_scenes.VALUES["lens"] | {"shear": {"uniform": [0.0, 0.2]}}
    other = residual_images(lenses, SmoothFit.of(small_scenes.scene(lens=lens)))
    with pytest.raises(DataError, match="give the images themselves"):
        take_images(other, of_residuals)


def test_images_that_cannot_be_fitted_are_refused(
    lenses: LensImages, of_residuals: ModelDescription
) -> None:
    with pytest.raises(DataError, match=r"0\.3 arcsec"):
        take_images(replace(lenses, pixel_scale=0.3), of_residuals)


def test_grey_images_of_three_colours(lenses: LensImages, of_images: ModelDescription) -> None:
    taken = take_images(coloured(lenses), of_images)
    np.testing.assert_allclose(taken.images, lenses.images, atol=1e-6)
    assert np.array_equal(taken.metadata["name"], lenses.metadata["name"])
    assert np.array_equal(taken.label_names, lenses.label_names)
    assert taken.pixel_scale == lenses.pixel_scale


def test_grey_images_of_three_colours_are_fitted(
    lenses: LensImages, left: LensImages, of_residuals: ModelDescription
) -> None:
    taken = take_images(coloured(lenses), of_residuals)
    assert taken.images.shape == (6, 7, 20, 20)
    np.testing.assert_allclose(taken.images, left.images, atol=0.05)


@pytest.mark.parametrize("kind", ["of_images", "of_residuals"])
def test_colours_are_refused(kind: str, lenses: LensImages, request: pytest.FixtureRequest) -> None:
    description = request.getfixturevalue(kind)
    pixels = coloured(lenses).images
    span = np.ptp(pixels[3])
    pixels[3, 0, 5, 5] += 0.5 * GREY_TOLERANCE * span  # as JPEG does
    assert len(take_images(replace(lenses, images=pixels), description)) == 6
    pixels[3, 0, 5, 5] += 2 * GREY_TOLERANCE * span
    name = lenses.metadata["name"][3]
    with pytest.raises(DataError, match=f"'{name}' is a colour image"):
        take_images(replace(lenses, images=pixels), description)


def test_raw_images_are_predicted_like_their_residuals(
    lenses: LensImages, left: LensImages, of_residuals: ModelDescription, tmp_path: Path
) -> None:
    model = create_model("compact_vit_100k", num_classes=2, in_channels=7, image_size=20, **OPTIONS)
    folder = write_model_folder(tmp_path / "model", model, of_residuals, {})
    assert read_description(folder).smooth_fit == of_residuals.smooth_fit
    predictor = Predictor(folder)
    logits = predictor.logits(lenses)
    assert np.ptp(logits[:, 0]) > 0
    np.testing.assert_allclose(logits, predictor.logits(left), atol=1e-3)


def test_fits_are_kept_by_pixels_and_made_again_where_damaged(
    scene: Scene, lenses: LensImages, left: LensImages, tmp_path: Path
) -> None:
    fit, folder = SmoothFit.of(scene), tmp_path / "cache"
    kept = residual_images(lenses, fit, cache=folder)
    [file] = folder.iterdir()
    np.testing.assert_array_equal(kept.images, left.images)
    for name, column in left.metadata.items():
        np.testing.assert_array_equal(kept.metadata[name], column)
    assert kept.class_names == left.class_names
    file.write_bytes(file.read_bytes()[:1000])
    again = residual_images(lenses, fit, cache=folder)
    np.testing.assert_array_equal(again.images, left.images)
    # the same names with other pixels: a corruption keeps identities
    brighter = replace(lenses, images=lenses.images * np.float32(1.01))
    other = residual_images(brighter, fit, cache=folder)
    assert len(list(folder.iterdir())) == 2
    assert not np.array_equal(other.images, left.images)


def test_what_is_kept_knows_no_labels(
    scene: Scene, lenses: LensImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, folder = SmoothFit.of(scene), tmp_path / "cache"
    residual_images(lenses, fit, cache=folder)
    monkeypatch.setattr(SmoothFitter, "fit", None)
    assert lenses.labels is not None
    corrected = replace(lenses, labels=1 - lenses.labels)
    found: list[int] = []
    taken = residual_images(corrected, fit, cache=folder, progress=found.append)
    np.testing.assert_array_equal(taken.labels, corrected.labels)
    assert sum(found) == len(lenses)


def test_a_progress_bar_changes_nothing(
    left: LensImages, lenses: LensImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkarcs.inference.intake._FITTED_AT_ONCE", 4)
    description = describe(left, "of residuals").model_copy(
        update={"smooth_fit": left.manifest[SMOOTH_FIT]}
    )
    plain, shown = (take_images(lenses, description, progress=one) for one in (False, True))
    np.testing.assert_allclose(shown.images, plain.images, atol=0.05)
    assert shown.content_hash == plain.content_hash
    assert shown.manifest[SMOOTH_FIT] == plain.manifest[SMOOTH_FIT]
    assert shown.label_names.tolist() == plain.label_names.tolist()
