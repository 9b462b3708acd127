"""Corruptions do what they say, the same for all models; looks at a test split are logged."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darkarcs import data
from darkarcs.benchmark import draw_robustness, robustness
from darkarcs.benchmark.corruptions import (
    COVER_GRID,
    border_sky,
    cover,
    more_noise,
    wider_psf,
)
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.inference import evaluate
from darkarcs.training import Recipe, train
from rings import ring_lenses


def recipe(name: str, seed: int = 0, split_seed: int = 0) -> Recipe:
    return Recipe.parse(
        {
            "name": name,
            "seed": seed,
            "split": {"seed": split_seed},
            "preprocessing": {"size": 16},
            "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 2}},
            "training": {"epochs": 4, "batch_size": 8, "precision": "32"},
        },
        "test",
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], str]:
    folder = tmp_path_factory.mktemp("robustness")
    data.save(ring_lenses(), folder / "lenses.h5")
    uri = str(folder / "lenses.h5")
    runs = [train(recipe(f"tiny-{k}", seed=k), uri, folder / f"run-{k}") for k in range(2)]
    return [run.model for run in runs], uri


def noisy(count: int = 6, size: int = 64) -> LensImages:
    rng = np.random.default_rng(0)
    pixels = 100 + rng.normal(0, [[[[2.0]]], [[[5.0]]]] * (count // 2), (count, 1, size, size))
    pixels[:, :, 24:40, 24:40] += 300.0
    return LensImages.from_arrays(pixels)


def test_border_noise_is_not_fooled_by_light_at_the_border() -> None:
    images = noisy().images.copy()
    images[:, :, :6, 0] += 500.0
    sky = border_sky(images)
    np.testing.assert_allclose(sky.level[:, 0], 100, atol=1)
    np.testing.assert_allclose(sky.noise[:, 0], [2, 5] * 3, rtol=0.15)
    assert not sky.cut.any()


def cut(images: LensImages) -> LensImages:
    """Subtract the sky and cut off what is negative, as counts of a subtracted sky are."""
    return replace(images, images=np.maximum(images.images - 100, 0))


def test_a_sky_that_was_cut_off_keeps_its_noise() -> None:
    images = cut(noisy())
    sky = border_sky(images.images)
    assert sky.cut.all()
    np.testing.assert_allclose(sky.noise[:, 0], [2, 5] * 3, rtol=0.15)
    np.testing.assert_array_equal(sky.level, 0)
    inside = np.s_[:, 0, 24:40, 24:40]
    for corrupt, factor in (
        (more_noise, 2),
        (lambda i: wider_psf(i, 2.5), 1),
        (lambda i: cover(i, 0.5), 1),
    ):
        seen = corrupt(images).images
        again = border_sky(seen)
        assert seen.min() == 0
        assert again.cut.all()
        np.testing.assert_allclose(again.noise / sky.noise, factor, rtol=0.2)
    # as the same corruption of the sky that was never cut
    doubled, expected = more_noise(images).images, cut(more_noise(noisy())).images
    assert doubled.mean() == pytest.approx(expected.mean(), rel=0.02)
    assert doubled[inside].std() == pytest.approx(expected[inside].std(), rel=0.1)


def test_steps_of_a_gradient_are_no_cut_off_sky() -> None:
    steps = np.tile(np.repeat([1.0, 2.0], 32), (64, 1)).astype(np.float32)[None, None]
    assert not border_sky(steps).cut.any()
    flat = np.ones((1, 1, 64, 64), dtype=np.float32)
    assert not border_sky(flat).cut.any()
    y, x = np.mgrid[:64, :64] - 31.5
    halo = np.floor(255 * np.exp(-np.hypot(x, y) / 6)).astype(np.float32)[None, None]
    assert not border_sky(halo).cut.any()
    faint = np.random.default_rng(0).poisson([[0.7], [0.8]], (50, 2, 4096))
    assert not border_sky(faint.reshape(50, 2, 64, 64).astype(np.float32)).cut.any()


def test_the_counts_of_model_one_are_a_sky_that_was_cut_off() -> None:
    lenses = data.open("scene:deeplense-1?num=12&seed=3")
    sky = border_sky(lenses.images)
    assert sky.cut.all()
    doubled = border_sky(more_noise(lenses).images)
    np.testing.assert_allclose(doubled.noise / sky.noise, 2, rtol=0.1)


def test_noise_doubles_in_each_image() -> None:
    images = noisy()
    doubled = more_noise(images)
    before, after = border_sky(images.images).noise, border_sky(doubled.images).noise
    np.testing.assert_allclose(after / before, 2, rtol=0.15)
    assert np.array_equal(doubled.metadata["identity"], images.metadata["identity"])


def test_the_psf_widens_and_the_noise_stays() -> None:
    size, sigma = 65, 2.5 / 2.3548
    y, x = np.mgrid[:size, :size] - size // 2
    star = 1000 * np.exp(-(x**2 + y**2) / (2 * sigma**2))
    wide = wider_psf(LensImages.from_arrays(star[None, None]), fwhm=2.5).images[0, 0]
    measured = np.sqrt((wide * x**2).sum() / wide.sum())
    assert measured == pytest.approx(1.5 * sigma, rel=0.02)
    assert wide.sum() == pytest.approx(star.sum(), rel=1e-3)
    images = noisy()
    before = border_sky(images.images).noise
    after = border_sky(wider_psf(images, fwhm=2.5).images).noise
    np.testing.assert_allclose(after / before, 1, rtol=0.15)
    with pytest.raises(ConfigurationError, match="must be positive"):
        wider_psf(images, fwhm=0.0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_cover_hides_its_share_in_the_sky_of_the_image(share: float) -> None:
    images = noisy(size=50)
    covered = cover(images, share).images
    changed = covered != images.images
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), share, atol=1e-9)
    hidden = covered[changed]
    assert abs(float(np.median(hidden)) - 100) < 1
    assert hidden.max() < 150  # nothing of the bright lens
    assert 50 % COVER_GRID == 0


def test_a_larger_cover_hides_what_a_smaller_one_hid() -> None:
    images = noisy()
    few, many = (cover(images, share).images for share in (0.2, 0.4))
    few_changed, many_changed = few != images.images, many != images.images
    assert (few_changed <= many_changed).all()
    np.testing.assert_array_equal(few[few_changed], many[few_changed])


def test_an_image_is_corrupted_alike_whatever_lies_beside_it() -> None:
    images = noisy()
    for corrupt in (more_noise, lambda i: wider_psf(i, 2.0), lambda i: cover(i, 0.3)):
        alone = corrupt(images.select([4])).images[0]
        np.testing.assert_array_equal(alone, corrupt(images).images[4])
    assert not np.array_equal(more_noise(images).images, more_noise(images, seed=1).images)


def test_robustness_of_two_models(trained: tuple[list[Path], str], tmp_path: Path) -> None:
    models, uri = trained
    log = tmp_path / "test_log.csv"
    out = tmp_path / "robustness.json"
    report = robustness(models, uri, out=out, num_bootstrap=50, test_log=log)
    assert json.loads(out.read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    assert list(report["conditions"]) == [
        "as is",
        "noise x2",
        "psf x1.5",
        *(f"cover {share} %" for share in (10, 20, 30, 40, 50)),
    ]
    plain = evaluate(models[0], uri, tmp_path / "plain", split="test", num_bootstrap=50)
    as_is = report["conditions"]["as is"]["tiny-0"]
    assert as_is["auc"] == plain["auc"]["macro"]
    assert as_is["interval"] == plain["auc"]["interval"]
    half = report["conditions"]["cover 50 %"]["tiny-0"]
    assert half["difference_to_as_is"] == pytest.approx(half["auc"] - as_is["auc"])
    [compared] = report["comparisons"]["noise x2"]
    first, second = (report["conditions"]["noise x2"][f"tiny-{k}"]["auc"] for k in range(2))
    assert compared["difference"] == pytest.approx(first - second)
    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 8
    assert {row["split"] for row in rows} == {
        "test" if name == "as is" else f"test, {name}" for name in report["conditions"]
    }
    picture = draw_robustness(report, tmp_path / "figure.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputExistsError):
        draw_robustness(report, picture)
    with pytest.raises(OutputExistsError):
        robustness(models, uri, out=out)


def test_validation_is_not_logged(trained: tuple[list[Path], str], tmp_path: Path) -> None:
    models, uri = trained
    log = tmp_path / "test_log.csv"
    report = robustness(
        models[:1], uri, split="validation", num_bootstrap=20, test_log=log, psf_fwhm=1.5
    )
    assert not log.exists()
    assert report["psf_fwhm_from"] == "option"
    assert all(rows == [] for rows in report["comparisons"].values())


def test_what_is_refused(trained: tuple[list[Path], str], tmp_path: Path) -> None:
    models, uri = trained
    with pytest.raises(ConfigurationError, match="'tiny-0' is compared already; set 'name' in"):
        robustness([models[0], models[0]], uri)
    with pytest.raises(ConfigurationError, match="at least one model"):
        robustness([], uri)
    other = train(recipe("other", split_seed=1), uri, tmp_path / "other").model
    with pytest.raises(DataError, match="different test splits"):
        robustness([models[0], other], uri)
    with pytest.raises(DataError, match=r"\.png, \.svg or \.pdf"):
        draw_robustness({}, tmp_path / "figure.txt")
    rings = ring_lenses(count=4)
    left = LensImages(
        images=rings.images,
        labels=rings.labels,
        class_names=rings.class_names,
        metadata=rings.metadata,
        pixel_scale=rings.pixel_scale,
        manifest={**rings.manifest, "smooth_fit": {"version": 2}},
    )
    data.save(left, tmp_path / "left.h5")
    with pytest.raises(DataError, match=r"holds residuals .* give the images that were fitted"):
        robustness([models[0]], str(tmp_path / "left.h5"), split="all")
