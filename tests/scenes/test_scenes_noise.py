"""Observation: the noise has the variance that is stated, and images are stored as said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.noise import Storage
from darkarcs.seeding import torch_generator
from small_scenes import VALUES, scene

REPEATS = 1500
BRIGHT = VALUES["source"] | {"magnitude": 19.0, "half_light_radius": 1.0}
COUNTED = {k: v for k, v in BRIGHT.items() if k != "magnitude"} | {"amplitude": 3.0}
COUNTING = {
    "kind": "counting",
    "log10_exposure": {"uniform": [2.8, 3.2]},
    "background_counts": 10.0,
}


def repeated(one: Scene, index: int = 1) -> tuple[Tensor, Tensor, LensParameters]:
    """One image with much noise: the noiseless image, many noisy ones, their parameters."""
    lenses = one.draw(1, index, 1).select(np.zeros(REPEATS, dtype=np.int64))
    image = one.render(lenses.select(slice(0, 1)))
    generator = torch_generator(0, "noise", index)
    return image, one.observe(image.expand(REPEATS, -1, -1, -1), lenses, generator), lenses


@pytest.mark.parametrize(
    ("source", "noise"),
    [
        (BRIGHT, {"kind": "instrument"}),
        (VALUES["source"], {"kind": "instrument", "exposure_factor": 0.2}),
        (BRIGHT, {"kind": "instrument", "exposure_factor": {"uniform": [0.5, 3.0]}}),
        (COUNTED, COUNTING),
        (COUNTED, COUNTING | {"background_rms": 0.005}),
        (COUNTED, COUNTING | {"twice": True, "background_counts": 30.0}),
    ],
)
def test_the_variance_is_the_one_stated(source: dict[str, Any], noise: dict[str, Any]) -> None:
    one = scene(source=source, noise=noise, num_pixels=16)
    image, noisy, lenses = repeated(one)
    stated = one.noise_variance(image, lenses.select(slice(0, 1)))
    ratio = noisy.double().var(dim=0) / stated[0]
    # the mean of 256 sample variances of 1500 draws has an error of 0.23 %
    assert ratio.mean().item() == pytest.approx(1.0, abs=0.01)
    assert ratio.std().item() == pytest.approx(np.sqrt(2 / REPEATS), rel=0.3)
    expected = image[0]
    if noise["kind"] == "counting":
        exposure = 10 ** lenses.columns["noise.log10_exposure"][0]
        expected = expected * exposure + lenses.columns["noise.background_counts"][0]
    error = (noisy.double().mean(dim=0) - expected) / (stated[0] / REPEATS).sqrt()
    assert abs(error.mean().item()) < 5 / 16
    assert error.std().item() == pytest.approx(1.0, abs=0.25)


def test_longer_exposures_are_deeper() -> None:
    """A longer exposure keeps the flux, and its noise falls with the root of the time."""
    variances, means = [], []
    for factor in (1.0, 4.0):
        one = scene(source=BRIGHT, noise={"kind": "instrument", "exposure_factor": factor})
        image, noisy, _ = repeated(one)
        variances.append(noisy.var(dim=0).mean().item())
        means.append(noisy.mean().item() / image.mean().item())
    np.testing.assert_allclose(means, 1.0, rtol=0.01)
    one = scene(source=BRIGHT)
    read_out = one.instrument.num_exposures * one.instrument.read_noise**2
    sky, time = one.instrument.sky_counts, one.instrument.total_exposure_time
    light = image.mean().item() * time
    expected = (light + sky + read_out) / ((4 * light + 4 * sky + read_out) / 16)
    assert variances[0] / variances[1] == pytest.approx(expected, rel=0.02)


def test_empty_sky_has_the_instruments_noise() -> None:
    one = scene(noise={"kind": "instrument"}, source=VALUES["source"] | {"magnitude": 60.0})
    _, noisy, _ = repeated(one)
    counts = noisy[:, 0, 0, 0].double() * one.instrument.total_exposure_time
    assert counts.std().item() == pytest.approx(one.instrument.background_rms, rel=0.08)
    assert abs(counts.mean().item()) < 5 * one.instrument.background_rms / np.sqrt(REPEATS)
    assert kstest(counts / one.instrument.background_rms, "norm").pvalue > 1e-3


def test_noiseless_noise_doubles_the_image_where_the_published_code_does() -> None:
    one = scene(noise={"kind": "none", "factor": 2.0})
    image, noisy, lenses = repeated(one)
    assert torch.equal(noisy[7], 2 * image[0])
    assert not one.noise_variance(image, lenses).any()


def test_counts_are_whole_and_not_negative() -> None:
    one = scene(source=COUNTED, noise=COUNTING | {"background_rms": 0.05, "twice": True})
    _, noisy, _ = repeated(one)
    assert torch.equal(noisy, noisy.round())
    assert noisy.min() == 0.0


def test_noise_belongs_to_the_image_not_to_the_call() -> None:
    one = scene()
    lenses = one.draw(1, 0, 6)
    images = one.render(lenses)
    first, again, other = (
        one.observe(images, lenses, torch_generator(seed, "noise")) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).all(dim=-1).any()


def test_a_pair_does_not_share_its_noise() -> None:
    one = scene(classes={"no_sub": {"kind": "none"}, "cdm": {"kind": "none"}})
    lenses = one.draw(1, 0, 2, paired=True)
    images = one.render(lenses)
    assert torch.equal(images[0], images[1])
    noise = one.observe(images, lenses, torch_generator(0, "noise")) - images
    assert abs(np.corrcoef(noise.flatten(1).numpy())[0, 1]) < 0.2


def test_gradients_stop_at_the_noise() -> None:
    one = scene()
    lenses = one.draw(1, 0, 1)
    images = one.render(lenses).requires_grad_()
    assert not one.observe(images, lenses, torch_generator(0, "noise")).requires_grad


@pytest.mark.parametrize("scaling", ["none", "peak", "min_max"])
def test_storage_scales_each_image(scaling: str) -> None:
    images = torch.randn(3, 2, 8, 8, generator=torch_generator(0, "storage")) * 7 + 3
    stored = Storage.parse({"scaling": scaling}, "test").apply(images)
    if scaling == "none":
        assert torch.equal(stored, images)
        return
    low = images.flatten(1).amin(1) if scaling == "min_max" else torch.zeros(3)
    high = images.flatten(1).amax(1)
    expected = (images - low[:, None, None, None]) / (high - low)[:, None, None, None]
    torch.testing.assert_close(stored, expected)
    assert stored.flatten(1).amax(1).tolist() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("levels", [2, 256])
def test_storage_rounds_to_levels(levels: int) -> None:
    images = torch.rand(2, 1, 40, 40, generator=torch_generator(1, "storage")) * 50 - 5
    stored = Storage.parse({"scaling": "min_max", "levels": levels}, "test").apply(images)
    assert stored.unique().tolist() == list(range(levels))
    smooth = Storage.parse({"scaling": "min_max"}, "test").apply(images)
    assert ((stored / (levels - 1) - smooth).abs() <= 0.5 / (levels - 1) + 1e-6).all()


def test_storage_survives_an_empty_image() -> None:
    for scaling in ("peak", "min_max"):
        stored = Storage.parse({"scaling": scaling}, "test").apply(torch.zeros(1, 1, 4, 4))
        assert not stored.any()
