"""Scores of maps by hand, and the evidence benchmark on pairs whose change is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import small_scenes
import suite_examples
from darkarcs.benchmark import evidence_benchmark, open_pairs, score_maps
from darkarcs.benchmark.evidence_maps import simple_maps
from darkarcs.benchmark.evidence_truth import true_regions
from darkarcs.benchmark.map_scores import dilate, map_auc, pointing_game
from darkarcs.data import LensImages, Preprocessing, register_scheme
from darkarcs.errors import DataError
from darkarcs.fitting import SmoothFit, residual_images
from darkarcs.model_folder import Architecture, ModelDescription, write_model_folder
from darkarcs.models import create_model
from darkarcs.simulation import parse_uri
from rings import ring_lenses

SIZE = 16


@pytest.fixture(scope="module", params=["compact_vit_100k", "d4_cnn"])
def model_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    options = {"patch_size": 4, "depth": 2} if request.param.startswith("compact") else {}
    architecture = Architecture(
        name=request.param, num_classes=2, in_channels=1, image_size=SIZE, options=options
    )
    model = create_model(request.param, num_classes=2, in_channels=1, image_size=SIZE, **options)
    description = ModelDescription(
        name=f"random-{request.param}",
        task="test",
        architecture=architecture,
        preprocessing=Preprocessing(size=SIZE).fit(ring_lenses()),
        class_names=("no_sub", "sub"),
    )
    return write_model_folder(tmp_path_factory.mktemp("m") / "model", model, description, {})


def pairs(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Make rings with and without a bump on them."""
    without = np.zeros((count, 1, SIZE, SIZE), dtype=np.float32)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    without[:] = np.exp(-((np.hypot(x, y) - 4.5) ** 2))
    altered = without.copy()
    for k in range(count):
        angle = 2 * np.pi * k / count
        distance = np.hypot(x - 4.5 * np.cos(angle), y - 4.5 * np.sin(angle))
        altered[k, 0] += 0.5 * np.exp(-(distance**2) / 2)
    return altered, without


def test_pointing_game_by_hand() -> None:
    truth = np.zeros((3, 2, 3), dtype=bool)
    truth[:, 0, :2] = True
    maps = np.zeros((3, 2, 3))
    maps[0, 0, 1] = maps[1, 1, 1] = 1.0  # a hit, a miss; the third is flat: 2 of 6 pixels
    assert pointing_game(maps, truth).tolist() == [1.0, 0.0, pytest.approx(1 / 3)]
    inside = np.zeros_like(truth)
    inside[:, 0] = True  # now the second's maximum does not count, and 2 of 3 pixels are true
    assert pointing_game(maps, truth, inside).tolist() == pytest.approx([1.0, 2 / 3, 2 / 3])


def test_map_auc_by_hand() -> None:
    truth = np.array([[[True, False, True, False]]])
    inside = np.ones_like(truth)
    maps = np.array([[[4.0, 3.0, 2.0, 1.0]]])  # pairs in order: 4>3, 4>1, 2>1; not 2>3
    assert map_auc(maps, truth, inside).tolist() == [0.75]
    inside[..., 1] = False
    assert map_auc(maps, truth, inside).tolist() == [1.0]
    assert np.isnan(map_auc(maps, ~np.zeros_like(truth), inside)).all()


def test_perfect_flat_and_reversed_maps() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((40, 8, 8), dtype=bool)
    rows, columns = rng.integers(1, 7, (2, 40))
    truth[np.arange(40), rows, columns] = True
    truth[0] = False
    perfect = score_maps(truth.astype(float), truth)
    assert (perfect["n"], perfect["num_without_truth"]) == (39, 1)
    assert perfect["pointing"]["value"] == perfect["auc"]["value"] == 1
    assert perfect["pointing"]["interval"] is None  # no two images differ
    assert perfect["pointing"]["chance"] == pytest.approx(1 / 64)
    flat = score_maps(np.zeros(truth.shape), truth, tolerance=1)
    assert flat["pointing"]["value"] == pytest.approx(5 / 64)
    assert flat["pointing"]["chance"] == pytest.approx(5 / 64)
    assert flat["auc"]["value"] == 0.5
    assert score_maps(-truth.astype(float), truth)["auc"]["value"] == 0
    noise = score_maps(rng.normal(size=truth.shape), truth)
    low, high = noise["auc"]["interval"]
    assert low < 0.5 < high
    assert low < noise["auc"]["value"] < high


def test_images_of_one_galaxy_count_as_one() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat(random.random((6, 8, 8)) < 0.2, 10, axis=0)
    maps = np.repeat(random.random((6, 8, 8)), 10, axis=0)
    groups = np.repeat(np.arange(6), 10).astype(str)
    alone, together = score_maps(maps, truth), score_maps(maps, truth, groups=groups)
    assert alone["auc"]["value"] == together["auc"]["value"]
    width = [np.ptp(one["auc"]["interval"]) for one in (alone, together)]
    assert width[1] > 2 * width[0]


def test_what_cannot_be_scored() -> None:
    truth = np.zeros((2, 4, 4), dtype=bool)
    with pytest.raises(DataError, match="no image has a true region"):
        score_maps(np.zeros(truth.shape), truth)
    truth[:, 0, 0] = True
    with pytest.raises(DataError, match=r"\(N, H, W\)"):
        score_maps(np.zeros((2, 4, 5)), truth)
    with pytest.raises(DataError, match="not finite"):
        score_maps(np.full(truth.shape, np.nan), truth)


def test_truth_is_where_the_pair_differs_by_more_than_the_noise() -> None:
    altered, without = pairs(4)
    noise = np.full(4, 0.1)
    truth, arc = true_regions(altered, without, noise, 1.0, 2.0, psf_fwhm=0.0)
    assert np.array_equal(truth, np.abs(altered - without)[:, 0] > 0.1)
    assert arc[:, 8, 3].all()
    assert not arc[:, 0, 0].any()
    grown, _ = true_regions(altered, without, noise, 1.0, 2.0, psf_fwhm=2.0)
    assert np.array_equal(grown, dilate(truth, 2.0))
    quieter, _ = true_regions(altered, without, 10 * noise, 1.0, 2.0)
    assert not quieter.any()


def test_benchmark_of_a_model_folder(model_folder: Path) -> None:
    altered, without = pairs()
    report = evidence_benchmark(model_folder, altered, without, 0.1, num_bootstrap=100, psf_fwhm=1)
    attention = {"class_attention", "rollout", "gradient_attention"}
    expected = {"evidence", "input_gradient", "brightness", "random"}
    assert set(report["maps"]) == expected | (attention if "compact" in report["model"] else set())
    assert report["num_pairs"] == 12
    # the bump is where the image is brightest, which brightness finds and noise does not
    assert report["maps"]["brightness"]["pointing"]["value"] > 0.9
    assert report["maps"]["random"]["pointing"]["value"] < 0.6
    again = evidence_benchmark(model_folder, altered, without, 0.1, num_bootstrap=100, psf_fwhm=1)
    assert again == report
    with pytest.raises(DataError, match="one shape"):
        evidence_benchmark(model_folder, altered, without[:3], 0.1)


def test_pairs_of_a_scene() -> None:
    altered, without = pairs(3)
    rng = np.random.default_rng(0)

    @register_scheme("pairs-of-this-test")
    def simulate(rest: str) -> LensImages:
        pixels = np.stack([without, altered], axis=1).reshape(-1, 1, SIZE, SIZE)
        if "noiseless=1" not in rest:
            pixels = pixels + rng.normal(0, 0.2, pixels.shape)
        groups = np.repeat(["a", "b", "c"], 2) if "paired=1" in rest else np.arange(6).astype(str)
        names = ("no_sub", "cdm")
        return LensImages.from_arrays(pixels, [0, 1] * 3, names, {"group": groups})

    images_with, images_without, observed, rms = open_pairs("pairs-of-this-test:x?paired=1")
    np.testing.assert_array_equal(images_with.images, altered)
    np.testing.assert_array_equal(images_without.images, without)
    assert not np.array_equal(observed.images, altered)
    np.testing.assert_allclose(rms, 0.2, rtol=0.3)
    with pytest.raises(DataError, match="add paired=1"):
        open_pairs("pairs-of-this-test:x")


def test_maps_are_scored_by_both_truths(model_folder: Path) -> None:
    altered, without = pairs(6)
    change = altered - without
    elsewhere = np.roll(change, 3, axis=-1)
    elsewhere[:2] = 0.0
    few = {"num_bootstrap": 100, "psf_fwhm": 1.0}
    plain = evidence_benchmark(model_folder, altered, without, 0.1, **few)
    assert "was not given" in plain.pop("not_projected")
    assert not [key for key in plain if "projected" in key]
    both = evidence_benchmark(model_folder, altered, without, 0.1, unmimicked=elsewhere, **few)
    projected = {key: both.pop(f"{key}_projected") for key in ("maps", "truth_share")}
    assert both == plain  # today's truth does not move
    assert projected["truth_share"] < plain["truth_share"]
    for name, scores in projected["maps"].items():
        assert scores["n"] + scores["num_without_truth"] == 6
        assert scores["num_without_truth"] >= 2
        assert scores["auc"]["value"] != plain["maps"][name]["auc"]["value"]
    # the same truth gives the same scores, and a fainter one fewer pixels
    same = evidence_benchmark(model_folder, altered, without, 0.1, unmimicked=-change, **few)
    assert same["maps_projected"] == same["maps"] == plain["maps"]
    assert same["truth_share_projected"] == plain["truth_share"]
    none = evidence_benchmark(model_folder, altered, without, 0.1, unmimicked=0.1 * change, **few)
    assert "every visible change" in none["not_projected"]
    assert "maps_projected" not in none
    with pytest.raises(DataError, match="one shape"):
        evidence_benchmark(model_folder, altered, without, 0.1, unmimicked=change[:3])


def test_a_model_of_residuals_is_compared_with_light_and_significance(tmp_path: Path) -> None:
    scene = f"scene:{small_scenes.write(tmp_path)}?seed=2&num=8&paired=1&classes=no_sub,cdm"
    scene += "&classes.cdm.mass_fraction=0.1"
    fit = SmoothFit.of(parse_uri(scene).scene)
    model = suite_examples.write_model(
        tmp_path / "model",
        ("no_sub", "cdm"),
        channels=fit.num_channels,
        smooth_fit=fit.model_dump(mode="json"),
    )
    images_with, images_without, observed, rms = open_pairs(scene)
    report = evidence_benchmark(
        *(model, images_with.images, images_without.images, rms),
        observed=observed.images,
        pixel_scale=observed.pixel_scale,
        num_bootstrap=20,
    )
    taken = residual_images(LensImages.from_arrays(observed.images), fit)
    truth, arc = true_regions(images_with.images, images_without.images, rms)
    # the model's frame is that of the images
    expected = {"brightness": taken.images[:, 1], "significance": np.abs(taken.images[:, 2])}
    for name, values in expected.items():
        scores = score_maps(values, truth, arc, tolerance=2.5, num_bootstrap=20)
        for kind in ("pointing", "pointing_in_arc", "auc"):
            assert report["maps"][name][kind]["value"] == pytest.approx(scores[kind]["value"])
    preprocessing = Preprocessing(size=10).fit(taken)
    seen = preprocessing.apply(taken.images)
    maps = simple_maps(taken, seen, preprocessing, 5, seed=0)
    assert list(maps) == ["brightness", "significance", "random"]
    halves = np.abs(taken.images[:, 2]).reshape(4, 10, 2, 10, 2).mean(axis=(2, 4))
    assert np.corrcoef(maps["significance"].ravel(), halves.ravel())[0, 1] > 0.95
    assert (maps["significance"] >= 0).all()
    images = simple_maps(observed, seen, preprocessing, 5, seed=0)
    assert list(images) == ["brightness", "random"]
    np.testing.assert_array_equal(images["brightness"], seen.mean(axis=1))


def test_lenses_that_share_a_galaxy_are_not_mixed() -> None:
    altered, without = pairs(3)

    @register_scheme("galaxies-of-this-test")
    def simulate(rest: str) -> LensImages:
        pixels = np.stack([without * [[[[1]]], [[[2]]], [[[3]]]], altered], axis=1)
        pixels = pixels.reshape(-1, 1, SIZE, SIZE).astype(np.float32)
        if "noiseless=1" not in rest:
            pixels = pixels + np.random.default_rng(0).normal(0, 0.2, pixels.shape)
        columns = {"group": np.array(["galaxy/one"] * 6), "index": np.arange(6) + 10}
        told = {"request": {"paired": True}}
        names = ("no_sub", "cdm")
        return LensImages.from_arrays(pixels, [0, 1] * 3, names, columns, manifest=told)

    images_with, images_without, _, _ = open_pairs("galaxies-of-this-test:x?paired=1")
    assert images_with.metadata["index"].tolist() == [11, 13, 15]
    assert images_without.metadata["index"].tolist() == [10, 12, 14]
