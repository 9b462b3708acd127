"""Free sources: the field, the linear algebra, and lenses whose sources are no Sersic profiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

import small_scenes
from darkarcs import data
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.fitting import (
    SmoothFit,
    SmoothFits,
    SmoothFitter,
    SubhaloSearch,
    residual_images,
    same_fits,
)
from darkarcs.fitting.free_source import RUGGEDNESS, FreeSource, _choose_rms, _Linear
from darkarcs.fitting.source_field import OVERLAP, SourceField
from darkarcs.scenes import load_scene
from darkarcs.scenes.rendering import light, trace
from darkarcs.simulation import SimulationRequest, simulate

SMALL = ("num_pixels=48", "lens.einstein_radius={uniform: [0.6, 0.9]}")
#: Bright sources without a cusp, so that what they hold shows.
BRIGHT = ("source.magnitude=23.0", "source.sersic_index=1.0", "source.half_light_radius=0.25")


@pytest.fixture(scope="module")
def field() -> SourceField:
    return SourceField.around((0.1, -0.2), 0.1, 0.05)


def rays(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = 0.4 * torch.randn(2, 1, 30, 30, generator=generator)
    return x + 0.1, y - 0.2


def test_bumps_and_their_sum_are_gaussians(field: SourceField) -> None:
    beta = rays()
    bumps = field.bumps(beta)
    rows, columns = np.nonzero(field.inside.numpy())
    assert len(bumps) == len(rows) == int(field.inside.sum())
    for m in (0, len(rows) // 2, len(rows) - 1):
        x, y = field.x[columns[m]], field.y[rows[m]]
        expected = torch.exp(-((beta[0] - x) ** 2 + (beta[1] - y) ** 2) / (2 * field.width**2))
        torch.testing.assert_close(bumps[m], expected[0], atol=5e-6, rtol=1e-4)
    amplitudes = torch.randn(len(bumps), generator=torch.Generator().manual_seed(1))
    expected = torch.einsum("m,mij->ij", amplitudes, bumps)[None]
    torch.testing.assert_close(field.sum(beta, amplitudes), expected, atol=1e-4, rtol=1e-4)
    step = 1e-3
    for axis, slope in enumerate(field.slopes(beta, amplitudes)):
        ahead, behind = (
            field.sum(
                (beta[0] + sign * step * (axis == 0), beta[1] + sign * step * (axis == 1)),
                amplitudes,
            )
            for sign in (1, -1)
        )
        torch.testing.assert_close(slope, (ahead - behind) / (2 * step), atol=0.05, rtol=1e-2)
    far = (torch.full((1, 1, 1), 9.0), torch.zeros(1, 1, 1))
    assert float(field.sum(far, amplitudes)) == 0.0


def test_the_field_has_the_rms_that_it_is_told(field: SourceField) -> None:
    generator = torch.Generator().manual_seed(2)
    x, y = 0.2 * torch.rand(2, 1, 40, 40, generator=generator) - 0.1  # well inside
    bumps = field.bumps((x + 0.1, y - 0.2)).flatten(1)
    rms = float((bumps**2).sum(0).mean().sqrt())  # of independent unit amplitudes
    assert rms == pytest.approx(OVERLAP, rel=0.01)
    assert math.hypot(float(field.x[0]) - 0.1, 0.0) == pytest.approx(0.5, abs=field.width)


def test_linear_algebra_is_that_of_a_normal_distribution() -> None:
    """Against the dense covariance of noise, lens and source."""
    generator = torch.Generator().manual_seed(3)
    num_lens, num_bumps, num_pixels = 3, 5, 40
    whole = torch.randn(num_lens + num_bumps, num_pixels, generator=generator).double()
    deviations = torch.tensor([1.0] * num_lens + [0.4 / OVERLAP] * num_bumps, dtype=torch.float64)
    truth = deviations * torch.randn(len(whole), generator=generator)
    pixels = truth @ whole + torch.randn(num_pixels, generator=generator)
    near = _Linear(whole, pixels, num_lens)
    near.set_rms(0.4)
    torch.testing.assert_close(near.deviations, deviations)
    slopes = whole * deviations[:, None]
    covariance = torch.eye(num_pixels, dtype=torch.float64) + slopes.T @ slopes
    best = near.best()
    expected = deviations**2 * (whole @ torch.linalg.solve(covariance, pixels))
    torch.testing.assert_close(best, expected)
    # what is left is the data, weighed by the inverse of the covariance
    torch.testing.assert_close(pixels - best @ whole, torch.linalg.solve(covariance, pixels))
    # from anywhere one step without damping leads there, and its gain is what chi-squared loses
    here = 0.3 * torch.randn(len(whole), generator=generator).double()
    step, gain = near.step(here, 0.0, [])
    torch.testing.assert_close(here + step, best)

    def objective(point: Tensor) -> Tensor:
        return ((pixels - point @ whole) ** 2).sum() + ((point / deviations) ** 2).sum()

    assert gain == pytest.approx(float(objective(here) - objective(best)))
    short, less = near.step(here, 10.0, [1])
    assert float(short[1]) == 0.0
    assert 0 < less < gain
    assert float(short[:num_lens].abs().sum()) < float(step[:num_lens].abs().sum())
    known = near.known()
    projected = torch.eye(num_pixels, dtype=torch.float64) - known.T @ known
    torch.testing.assert_close(projected, torch.linalg.inv(covariance))
    evidences = []
    for rms in RUGGEDNESS:
        spread = deviations.clone()
        spread[num_lens:] = rms / OVERLAP
        dense = np.eye(num_pixels) + (whole.T * spread**2 @ whole).numpy()
        evidences.append(multivariate_normal(cov=dense).logpdf(pixels.numpy()))
        near.set_rms(rms)
        constant = 0.5 * num_pixels * math.log(2 * math.pi)
        assert near.log_evidence() - constant == pytest.approx(evidences[-1])
    assert _choose_rms(near) == RUGGEDNESS[int(np.argmax(evidences))]


class Knotty(NamedTuple):
    """Smooth lenses of sources with knots, observed, and fitted with Sersic sources."""

    fitter: SmoothFitter
    images: Tensor
    fits: SmoothFits


def observe(bright: Callable[[tuple[Tensor, Tensor]], Tensor], num: int = 6) -> Knotty:
    """Observe smooth lenses whose sources' light is multiplied by a factor."""
    scene = load_scene("fair-euclid", [*SMALL, *BRIGHT]).with_classes(["no_sub"])
    lenses = scene.draw(3, 0, num)
    values = lenses.tensors(dtype=torch.float32)
    _, beta = trace(values, scene.lens, scene.grid)
    centre = [values[f"source.centre_{axis}"][:, None, None] for axis in ("x", "y")]
    factor = bright((beta[0] - centre[0], beta[1] - centre[1]))
    clean = scene.collect(light(*beta, values, "source", scene.source, None) * factor, values)
    images = scene.observe(clean, lenses, torch.Generator().manual_seed(3))
    fitter = SmoothFitter(scene)
    return Knotty(fitter, images, fitter.fit(images))


def knots(beta: tuple[Tensor, Tensor]) -> Tensor:
    factor = torch.ones_like(beta[0])
    for x, y, strength in ((0.15, 0.1, 1.0), (-0.2, 0.05, 1.5), (0.0, -0.3, 2.0)):
        narrow = ((beta[0] - x) ** 2 + (beta[1] - y) ** 2) / (2 * 0.12**2)
        factor = factor + strength * torch.exp(-narrow)
    return factor


@pytest.fixture(scope="module")
def knotty() -> Knotty:
    return observe(knots)


def test_knots_are_taken_for_subhalos_unless_sources_are_free(knotty: Knotty) -> None:
    fixed = SubhaloSearch(knotty.fitter).search(knotty.images, knotty.fits)
    free = SubhaloSearch(knotty.fitter, free_source=True).search(knotty.images, knotty.fits)
    assert float(fixed.log_evidence.min()) > 5
    assert float(free.log_evidence.median()) < 1
    assert float(free.log_evidence.max()) < 5
    size = knotty.images[0].numel()
    left = (free.residuals**2).flatten(1).sum(1) / size
    assert float(left.max()) < 1.15 < float(knotty.fits.chi_square.min() / size)
    assert float(free.ruggedness.min()) >= 0.3
    assert int(free.converged.sum()) >= 5
    assert float(fixed.ruggedness.max()) == 0.0
    assert float(free.significance.std()) == pytest.approx(1, abs=0.25)


def test_sersic_profiles_stay_what_they_are() -> None:
    plain = observe(lambda beta: torch.ones_like(beta[0]))
    # two fits end in another minimum, whose source is none
    (good,) = np.nonzero(plain.fits.chi_square < 1.2 * plain.images[0].numel())
    assert len(good) == 4
    chosen = torch.from_numpy(good)
    images, fits = plain.images[chosen], plain.fits.select(chosen)
    fixed = SubhaloSearch(plain.fitter).search(images, fits)
    free = SubhaloSearch(plain.fitter, free_source=True).search(images, fits)
    assert float(free.ruggedness.max()) == pytest.approx(RUGGEDNESS[0])
    one, other = (maps.significance.flatten() for maps in (fixed, free))
    assert float(torch.corrcoef(torch.stack([one, other]))[0, 1]) > 0.98
    # what a source could do as well is no subhalo any more
    assert float((free.sensitivity - fixed.sensitivity).max()) < 0.0
    torch.testing.assert_close(free.log_evidence, fixed.log_evidence, atol=0.1, rtol=0)


def test_neither_threads_nor_neighbours_matter(knotty: Knotty) -> None:
    search, before = SubhaloSearch(knotty.fitter, free_source=True), torch.get_num_threads()
    whole = search.search(knotty.images[:3], knotty.fits.select(torch.arange(3)))
    torch.set_num_threads(2)
    try:
        again = search.search(knotty.images[:3], knotty.fits.select(torch.arange(3)))
    finally:
        torch.set_num_threads(before)
    alone = search.search(knotty.images[1:2], knotty.fits.select(torch.tensor([1])))
    for name in ("residuals", "significance", "evidence", "signal", "ruggedness"):
        expected = getattr(whole, name)
        torch.testing.assert_close(getattr(again, name), expected, rtol=0, atol=0.02)
        torch.testing.assert_close(getattr(alone, name), expected[1:2], rtol=0, atol=0.02)
    # pixels of another precision are the same image
    double = search.search(knotty.images[:1].double(), knotty.fits.select(torch.tensor([0])))
    torch.testing.assert_close(double.significance, whole.significance[:1], rtol=0, atol=0.02)


def test_residuals_of_free_sources_are_others() -> None:
    scene = small_scenes.scene().with_classes(["no_sub", "cdm"])
    lenses = simulate(SimulationRequest(scene=scene, num=4, seed=1))
    free, fixed = SmoothFit.of(scene, "free"), SmoothFit.of(scene)
    made = residual_images(lenses, free)
    assert made.images.shape == (4, free.num_channels, 20, 20)
    assert set(made.metadata["fit.source_ruggedness"]) <= {np.float32(rms) for rms in RUGGEDNESS}
    squares = (made.images[:, 0] ** 2).sum((1, 2))
    np.testing.assert_allclose(made.metadata["fit.chi_square"], squares, rtol=1e-4)
    assert free.identity == f"{fixed.identity}-free-source"
    told, other = (fit.model_dump(mode="json") for fit in (free, fixed))
    assert same_fits(told, told)
    assert not same_fits(told, other)
    without = {name: value for name, value in other.items() if name != "source"}
    assert same_fits(without, other)  # as it was written before sources could be free
    with pytest.raises(ConfigurationError, match="fits of version 1 are of Sersic sources"):
        SmoothFit.parse({**told, "version": 1}, "residuals")


def test_lens_light_and_bands_are_kept() -> None:
    lens_light = [
        {
            "magnitude": 20.5,
            "half_light_radius": 0.5,
            "sersic_index": 2.0,
            "axis_ratio": 0.8,
            "position_angle": {"uniform": [0.0, 3.0]},
            "centre_x": 0.0,
            "centre_y": 0.0,
        }
    ]
    bands = [{"name": "g", "source": 0.4, "lens_light": 0.2}, {"name": "r"}]
    scene = small_scenes.scene(lens_light=lens_light, channels=bands).with_classes(["no_sub"])
    lenses = simulate(SimulationRequest(scene=scene, num=3, seed=1))
    made = residual_images(lenses, SmoothFit.of(scene, "free"))
    squares = made.metadata["fit.chi_square"] / lenses.images[0].size
    assert made.images.shape[1] == 2 * 2 + 5
    assert squares.max() < 1.2


@pytest.mark.shared
def test_real_galaxies_are_no_subhalos(shared_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKARCS_SHARED", str(shared_path))
    lenses = data.open("scene:fair-euclid-galaxies?seed=78&num=6&part=validation&classes=no_sub")
    scene = load_scene("fair-euclid")
    made = residual_images(lenses, SmoothFit.of(scene, "free"))
    free = made.metadata["fit.log_evidence"]
    assert made.metadata["fit.converged"].mean() > 0.5
    fixed = residual_images(lenses, SmoothFit.of(scene)).metadata["fit.log_evidence"]
    assert np.median(fixed) > 5
    assert np.median(free) < 1
    assert (free < fixed + 1).all()


def test_a_scene_of_galaxies_says_what_to_do() -> None:
    scene = load_scene("fair-euclid-galaxies")
    with pytest.raises(ConfigurationError, match="--free-source"):
        SmoothFitter(scene)
    lenses = simulate(SimulationRequest(scene=small_scenes.scene(), num=1, seed=1))
    made = residual_images(lenses, SmoothFit.of(small_scenes.scene(), "free"))
    with pytest.raises(DataError, match="holds residuals"):
        residual_images(made, SmoothFit.of(small_scenes.scene()))


@pytest.mark.shared
def test_what_is_left_is_what_the_model_leaves(
    shared_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a minimum the last linear step is short: the image that was rendered is nearly as good."""
    monkeypatch.setenv("DARKARCS_SHARED", str(shared_path))
    lenses = data.open("scene:fair-euclid-galaxies?seed=78&num=6&part=validation&classes=no_sub")
    fitter = SmoothFitter(load_scene("fair-euclid").with_classes(["no_sub"]))
    images = torch.tensor(lenses.images)
    fits, search = fitter.fit(images), FreeSource(fitter)
    with torch.no_grad():
        found = [search.fit(image, one) for image, one in zip(images, fits.parameters, strict=True)]
    for image, one in zip(images, found, strict=True):
        if one.converged:
            # the source's share in the only band is one
            left = ((image * one.weights - one.signal) ** 2).sum()
            assert float(left) == pytest.approx(float((one.residuals**2).sum()), abs=100)
    assert sum(one.converged for one in found) >= 4
