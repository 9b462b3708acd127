"""Preparing cutouts of known truth: what is kept, what is taken out, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from darkarcs.light.galaxy_preparation import (
    PreparedGalaxy,
    Rejection,
    half_light_radius,
    prepare_galaxy,
)

SIDE = 128
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
Image = NDArray[np.float64]


def _exponential(length: float = 6.0, x: float = 0.0, y: float = 0.0) -> Image:
    disk = np.exp(-np.sqrt(0.6 * (X - x) ** 2 + (Y - y) ** 2 / 0.6) / length)
    return np.asarray(ndimage.gaussian_filter(disk, 1.4))


def _noise(sigma: float, correlation: float = 0.0, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    if correlation:
        noise = ndimage.gaussian_filter(noise, correlation)
    return np.asarray(sigma * noise / noise.std())


def _prepared(cutout: Image) -> PreparedGalaxy:
    galaxy = prepare_galaxy(cutout)
    assert isinstance(galaxy, PreparedGalaxy), galaxy
    return galaxy


def _in_units_of(truth: Image, image: Image, where: NDArray[np.bool_]) -> Image:
    """Scale a prepared image, whose flux is one, to the truth where that is bright."""
    return image * truth[where].sum() / image[where].sum()


def test_what_is_prepared_is_light_that_ends_before_the_border() -> None:
    image = _prepared(_exponential() + _noise(0.03)).image
    assert image.min() == 0
    assert image.sum() == pytest.approx(1)
    border = np.concatenate([image[:3], image[-3:], image[:, :3].T, image[:, -3:].T])
    assert not border.any()


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_noise_within_the_galaxy_is_taken_out(correlation: float) -> None:
    truth, sigma = _exponential(), 0.04
    bright = truth > 0.1 * truth.max()
    left = []
    for seed in range(4):
        prepared = _prepared(truth + _noise(sigma, correlation, seed)).image * truth.sum()
        left.append(np.std((prepared - truth)[bright]) / sigma)
    assert np.mean(left) < (0.3 if correlation == 0 else 0.45)


def test_sharp_structure_survives() -> None:
    truth = _exponential()
    for x, y in ((10, 4), (-8, 6), (2, -9)):
        truth += 0.5 * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / 2 / 1.6**2)
    prepared = _prepared(truth + _noise(0.01)).image * truth.sum()
    for x, y in ((10, 4), (-8, 6), (2, -9)):
        at = (int(y + SIDE / 2), int(x + SIDE / 2))
        assert prepared[at] == pytest.approx(truth[at], rel=0.06)


@pytest.mark.parametrize("background", [0.0, 7.0, -0.2])
def test_flux_and_size_are_those_of_the_truth(background: float) -> None:
    truth = _exponential()
    prepared = _prepared(truth + _noise(0.01) + background)
    # what is lost is the light below the threshold, in the outskirts
    assert prepared.half_light_radius == pytest.approx(half_light_radius(truth), rel=0.05)
    centre = prepared.image[60:68, 60:68].sum() * truth.sum()
    assert centre == pytest.approx(truth[60:68, 60:68].sum(), rel=0.05)


def test_neighbours_are_cut_out() -> None:
    alone = _exponential(3.0) + _noise(0.01)
    neighbour = _exponential(2.0, x=38.0, y=-30.0) + _exponential(1.5, x=-45.0, y=50.0)
    image = _prepared(alone + 2 * neighbour).image
    assert image[neighbour > 0.05].sum() < 1e-3
    own = _exponential(3.0) > 0.05
    np.testing.assert_allclose(image[own], _prepared(alone).image[own], atol=3e-4)


def test_a_neighbour_that_touches_is_cut_out_and_a_clump_stays() -> None:
    alone = _exponential(3.0)
    neighbour = _exponential(3.0, x=24.0, y=6.0)
    own, other = np.hypot(X, Y) < 6, np.hypot(X - 24, Y - 6) < 6
    pair = _prepared(alone + 0.6 * neighbour + _noise(0.005)).image
    assert pair[other].sum() < 0.02 * pair[own].sum()
    assert ndimage.label(pair > 0.02 * pair.max())[1] == 1  # no crumbs
    disk = _exponential(6.0)
    clump = 0.5 * np.exp(-((X - 9) ** 2 + (Y - 6) ** 2) / 2 / 2.0**2)
    at = (slice(68, 72), slice(71, 75))
    prepared = _in_units_of(disk, _prepared(disk + clump + _noise(0.01)).image, disk > 0.3)
    assert prepared[at].mean() == pytest.approx((disk + clump)[at].mean(), rel=0.06)


def test_a_brighter_neighbour_does_not_take_the_place_of_the_central_galaxy() -> None:
    cutout = _exponential(2.0) + 5 * _exponential(2.0, x=-30.0) + _noise(0.005)
    image = _prepared(cutout).image
    assert image[np.hypot(X, Y) < 15].sum() > 0.97


def test_noise_cut_at_zero_leaves_little_of_its_pedestal() -> None:
    truth, sigma = _exponential(4.0), 0.04
    ring, bright = (truth > 0.005) & (truth < 0.02), truth > 0.3
    before, after = [], []
    for seed in range(4):
        cut = np.clip(truth + _noise(sigma, seed=seed), 0, None)
        before.append((cut - truth)[ring].mean() / sigma)
        prepared = _in_units_of(truth, _prepared(cut).image, bright)
        after.append((prepared - truth)[ring].mean() / sigma)
    assert np.mean(before) > 0.25
    assert abs(np.mean(after)) < 0.18


def test_photon_noise_of_a_bright_galaxy_is_taken_out() -> None:
    truth, gain = _exponential(4.0), 2000.0
    wings = (truth > 0.1) & (truth < 0.4)
    left = []
    for seed in range(4):
        photons = np.random.default_rng(seed).poisson(gain * truth) / gain
        noisy = photons + _noise(0.004, seed=seed)
        prepared = _in_units_of(truth, _prepared(noisy).image, wings)
        left.append((prepared - truth)[wings].std() / (noisy - truth)[wings].std())
    # 0.83 if the noise of the sky were all that is known
    assert np.mean(left) < 0.55


@pytest.mark.parametrize(
    ("cutout", "reason"),
    [
        (np.full((SIDE, SIDE), np.nan), Rejection.NOT_FINITE),
        (np.zeros((SIDE, SIDE)), Rejection.EMPTY_CENTRE),
        (np.full((SIDE, SIDE), 3.0), Rejection.EMPTY_CENTRE),
        (-_exponential() + _noise(0.01), Rejection.EMPTY_CENTRE),
        (_exponential(3.0, x=40.0) + _noise(0.01), Rejection.EMPTY_CENTRE),
        (_exponential(2.0) + _noise(0.8), Rejection.TOO_FAINT),
        (_exponential(30.0) + _noise(0.01), Rejection.TOUCHES_EDGE),
    ],
)
def test_what_is_no_galaxy_is_refused(cutout: Image, reason: Rejection) -> None:
    assert prepare_galaxy(cutout) == reason


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_never_a_galaxy(seed: int) -> None:
    assert isinstance(prepare_galaxy(_noise(1.0, 1.0, seed)), Rejection)


@pytest.mark.parametrize("axis_ratio", [0.3, 1.0])
def test_half_light_radius_of_a_gaussian(axis_ratio: float) -> None:
    turn = 0.6
    major, minor = np.cos(turn) * X + np.sin(turn) * Y, np.cos(turn) * Y - np.sin(turn) * X
    image = np.exp(-(axis_ratio * major**2 + minor**2 / axis_ratio) / 2 / 8.0**2)
    assert half_light_radius(image) == pytest.approx(8.0 * np.sqrt(2 * np.log(2)), rel=0.01)


def test_signal_to_noise() -> None:
    truth = _exponential(3.0)
    galaxy = _prepared(truth + _noise(0.02))
    circle = np.hypot(X, Y) <= 10
    assert galaxy.snr == pytest.approx(truth[circle].sum() / 0.02 / circle.sum() ** 0.5, rel=0.05)
    assert galaxy.peak_to_noise == pytest.approx(truth.max() / 0.02, rel=0.1)
