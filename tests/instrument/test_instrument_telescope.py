"""Instruments: the data files, magnitudes and counts, and the noise of an exposure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from darkarcs.errors import ConfigurationError, DataError
from darkarcs.instrument import (
    EmpiricalPointSpread,
    Instrument,
    convolve,
    counts_to_magnitude,
    list_instruments,
    load_instrument,
    magnitude_to_counts,
)
from darkarcs.seeding import torch_generator

NAMES = list_instruments()


def _simple(**changes: object) -> Instrument:
    values = {
        "description": "a camera",
        "pixel_scale": 0.1,
        "point_spread": {"kind": "gaussian", "fwhm": 0.2},
        "zero_point": 25.0,
        "sky_brightness": 22.5,
        "read_noise": 3.0,
        "gain": 2.0,
        "exposure_time": 100.0,
        "num_exposures": 4,
    }
    return Instrument.parse(values | changes, "a camera")


@pytest.mark.parametrize("name", NAMES)
def test_every_data_file_is_plausible(name: str) -> None:
    instrument = load_instrument(name)
    assert 0.03 <= instrument.pixel_scale <= 0.2
    assert 23.5 < instrument.zero_point < 28.5
    assert 20 < instrument.sky_brightness < 23.5
    assert 0 < instrument.read_noise < 16
    assert 1 <= instrument.gain <= 3.5
    assert 500 < instrument.total_exposure_time < 7000
    kernel = instrument.point_spread.kernel(instrument.pixel_scale)
    assert kernel.sum().item() == pytest.approx(1.0)
    assert kernel.shape[0] <= 41
    # an exposure of this length is limited by its sky or its read-out, not by nothing
    assert 3 < instrument.background_rms < 2000


def test_the_list_of_data_files() -> None:
    wanted = {
        "hst-acs-f814w",
        "hst-wfc3-f160w",
        "euclid-vis",
        "roman-wfi-f129",
        "jwst-nircam-f115w",
        "jwst-nircam-f150w",
        "lsst-i",
        "deeplense-euclid-vis",
        "deeplense-hst-f160w",
    }
    assert wanted == set(NAMES)


def test_zero_points_of_jwst_follow_from_their_stated_derivation() -> None:
    photons = 3631e-26 / 6.62607015e-34 * 25.4
    for name, width, response in (
        ("jwst-nircam-f115w", 0.225 / 1.154, 0.333),
        ("jwst-nircam-f150w", 0.318 / 1.501, 0.476),
    ):
        zero_point = 2.5 * np.log10(photons * width * response)
        assert load_instrument(name).zero_point == pytest.approx(zero_point, abs=0.01)


def test_magnitudes_and_counts() -> None:
    assert magnitude_to_counts(25.0, 25.0, 7.0) == pytest.approx(7.0)
    assert magnitude_to_counts(22.5, 25.0, 7.0) == pytest.approx(70.0)
    instrument = _simple()
    assert instrument.magnitude(instrument.counts(21.3)) == pytest.approx(21.3)
    assert instrument.sky_counts == pytest.approx(400 * 10 * 0.01)
    assert instrument.background_rms**2 == pytest.approx(40 + 4 * 9)
    with pytest.raises(ConfigurationError, match="no magnitude"):
        counts_to_magnitude(0.0, 25.0, 1.0)


@pytest.mark.parametrize("signal", [0.0, 30.0, 5000.0])
def test_mean_and_variance_of_an_exposure(signal: float) -> None:
    instrument = _simple()
    images = torch.full((4, 100, 100), signal, dtype=torch.float64)
    observed = instrument.observe(images, torch_generator(1, "noise"))
    variance = instrument.noise_variance(images)[0, 0, 0].item()
    assert variance == pytest.approx(signal + 40 + 36)
    assert observed.mean().item() == pytest.approx(signal, abs=4 * (variance / 40_000) ** 0.5)
    assert observed.var().item() == pytest.approx(variance, rel=0.04)
    # neighbours are independent
    product = (observed[:, :, 1:] - signal) * (observed[:, :, :-1] - signal)
    assert abs(product.mean().item()) < 4 * variance / 200


def test_sky_steps_and_seeds() -> None:
    instrument = _simple(gain=5.0)
    images = torch.full((1, 50, 50), 100.0)
    generators = (torch_generator(2, "noise") for _ in range(3))
    plain, sky, steps = (
        instrument.observe(images, next(generators), **switch)
        for switch in ({}, {"subtract_sky": False}, {"subtract_sky": False, "whole_adu": True})
    )
    torch.testing.assert_close(sky - plain, torch.full_like(plain, 40.0))
    assert torch.equal(steps / 5, (steps / 5).round())
    assert (steps - sky).abs().max() <= 2.5 + 1e-4
    silent = _simple(read_noise=0.0, sky_brightness=60.0)
    counts = silent.observe(images, torch_generator(3))
    torch.testing.assert_close(counts, counts.round(), atol=1e-5, rtol=0)


def test_rounding_below_zero_is_forgiven_and_negative_light_is_not() -> None:
    instrument = _simple(sky_brightness=60.0)
    images = torch.tensor([[1e4, -1e-4]])
    assert torch.isfinite(instrument.observe(images, torch_generator(1))).all()
    with pytest.raises(DataError, match="not negative"):
        instrument.observe(torch.tensor([[1e4, -10.0]]), torch_generator(1))


def test_a_whole_image() -> None:
    """A star of known magnitude through grid, kernel, averaging and exposure."""
    instrument = load_instrument("euclid-vis")
    grid = instrument.grid(32, supersampling=3)
    x, y = grid.coordinates(dtype=torch.float64)
    light = torch.exp(-(x**2 + y**2) / (2 * 0.1**2)) / (2 * np.pi * 0.1**2)  # per arcsec^2
    blurred = convolve(light, instrument.point_spread.kernel(grid.sample_scale))
    counts = grid.average(blurred) * grid.pixel_scale**2 * instrument.counts(19.0)
    assert counts.sum().item() == pytest.approx(instrument.counts(19.0), rel=1e-6)
    observed = instrument.observe(counts[None], torch_generator(7))
    assert instrument.magnitude(observed.sum().item()) == pytest.approx(19.0, abs=0.02)


def test_own_files_and_their_errors(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.ones((3, 3))).writeto(tmp_path / "star.fits")
    values = _simple().model_dump() | {
        "point_spread": {"kind": "empirical", "path": "star.fits", "pixel_scale": 0.1}
    }
    lines = [f"{key}: {value}" for key, value in values.items()]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    mine = load_instrument(tmp_path / "mine.yaml")
    assert isinstance(mine.point_spread, EmpiricalPointSpread)
    assert mine.point_spread.kernel(0.1).shape == (3, 3)
    with pytest.raises(ConfigurationError, match="did you mean 'euclid-vis'"):
        load_instrument("euclid-vs")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_instrument(tmp_path / "absent.yaml")
    (tmp_path / "bad.yaml").write_text("\n".join([*lines, "fwhm: 1"]))
    with pytest.raises(ConfigurationError, match="unknown key 'fwhm'"):
        load_instrument(tmp_path / "bad.yaml")
