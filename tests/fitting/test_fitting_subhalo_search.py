"""The search for subhalos: against plain linear algebra, chance, and subhalos that were put in."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from torch import Tensor

import small_scenes
from darkarcs.errors import DataError
from darkarcs.fitting import SmoothFits, SmoothFitter, SubhaloMaps, SubhaloSearch, subhalo_search
from darkarcs.scenes import load_scene, rendering

Array = NDArray[np.float64]
CORE, TRUNCATION, STRENGTHS = 0.05, 0.6, (2e-3, 5e-3, 1.25e-2)
#: Sources without a cusp: slopes that are differences are those of calculus.
BROAD: dict[str, Any] = small_scenes.VALUES["source"] | {
    "half_light_radius": {"uniform": [0.3, 0.5]},
    "sersic_index": {"uniform": [0.5, 0.6]},
}
#: A field of 3.68 arcsec, which is no multiple of 0.4, and a blur of its own for each image.
ODD: dict[str, Any] = {
    "channels": [{"name": "g", "source": {"uniform": [0.5, 1.0]}}, {"name": "r"}],
    "instrument": small_scenes.VALUES["instrument"] | {"pixel_scale": 0.23},
    "num_pixels": 16,
    "point_spread_factor": {"uniform": [0.9, 1.1]},
}
#: Rings that stay away from the border of few pixels, where the noise is read off.
SMALL = ("num_pixels=48", "lens.einstein_radius={uniform: [0.6, 0.9]}")


def made_up(fitter: SmoothFitter, parameters: Tensor, noise: Tensor) -> SmoothFits:
    """Say of lenses that they were fitted."""
    values = fitter.coordinates.decode(parameters)
    none = np.zeros(len(parameters), np.float32)
    return SmoothFits(fitter.scene.render_values(values), 1 / noise, parameters, {}, none, none > 0)


def with_subhalo(fitter: SmoothFitter, values: Any, x: Array, y: Array, radius: float) -> Tensor:
    """Render lenses with an isothermal subhalo each, cored and cut off."""
    deflections = rendering.deflections

    def bent(theta_x: Tensor, theta_y: Tensor, *rest: Any) -> list[tuple[Tensor, Tensor]]:
        to_x, to_y = (
            theta - torch.from_numpy(place).to(theta)[:, None, None]
            for theta, place in ((theta_x, x), (theta_y, y))
        )
        squared = to_x**2 + to_y**2
        bend = (CORE**2 + squared).sqrt() - CORE - (TRUNCATION**2 + squared).sqrt() + TRUNCATION
        bend = radius * bend / squared.clamp(min=1e-12)
        return [*deflections(theta_x, theta_y, *rest), (bend * to_x, bend * to_y)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "deflections", bent)
        return fitter.scene.render_values(values)


class Dense(NamedTuple):
    """One image in standard deviations of its noise: P pixels of all bands, J places."""

    data: Array  # (P,), with the middle of the prior at zero
    covariance: Array  # (P, P), of noise and smooth lenses
    templates: Array  # (J, P)
    variances: Array  # (S,), of each place's strength

    def maps(self) -> tuple[Array, Array, Array, Array]:
        """Give the residuals, significance, sensitivity and evidence."""
        left = np.linalg.solve(self.covariance, self.data)
        gram = self.templates @ np.linalg.solve(self.covariance, self.templates.T)
        score, own = self.templates @ left, gram.diagonal()
        evidence = []
        for variance in self.variances:
            with_noise = np.eye(len(gram)) + variance * gram
            filtered = variance * np.linalg.solve(with_noise, score)
            evidence.append((score * filtered - scipy.linalg.logm(with_noise).diagonal()) / 2)
        return left, score / np.sqrt(own), np.log10(own) / 2, np.concatenate(evidence)

    def log_evidences(self) -> list[float]:
        """Compare the densities of the data with subhalos and without."""
        spread = self.templates.T @ self.templates
        smooth = multivariate_normal.logpdf(self.data, cov=self.covariance)
        return [
            multivariate_normal.logpdf(self.data, cov=self.covariance + variance * spread) - smooth
            for variance in self.variances
        ]


class Case(NamedTuple):
    """Images that no smooth lens made, and lenses said to fit them."""

    fitter: SmoothFitter
    images: Tensor
    fits: SmoothFits
    side: int

    def dense(self, index: int) -> Dense:
        """Write all out, with differences of lenses that have a tiny subhalo."""
        scene, one = self.fitter.scene, slice(index, index + 1)
        cell = scene.num_pixels * scene.instrument.pixel_scale / self.side
        rows, columns = np.divmod(np.arange(self.side**2), self.side)
        x, y = ((place + 0.5 - self.side / 2) * cell for place in (columns, rows))
        parameters = self.fits.parameters[one]
        values = self.fitter.coordinates.decode(parameters.double())
        many = {name: value.double().expand(len(x)) for name, value in values.items()}
        ahead, behind = (with_subhalo(self.fitter, many, x, y, radius) for radius in (1e-5, -1e-5))
        scale = self.fits.scale[index].double()
        slopes = (self.fitter.model.slopes(parameters)[0].double() * scale).flatten(1).numpy()
        left = ((self.images[index].double() - self.fits.images[index]) * scale).numpy().ravel()
        return Dense(
            left + parameters[0].double().numpy() @ slopes,
            np.eye(len(left)) + slopes.T @ slopes,
            ((ahead - behind) / 2e-5 * scale).flatten(1).numpy(),
            (cell * np.array(STRENGTHS)) ** 2,
        )


@pytest.fixture(scope="module", params=["one band", "two bands"])
def case(request: pytest.FixtureRequest) -> Case:
    changes, side = ({}, 10) if request.param == "one band" else (ODD, 9)
    fitter = SmoothFitter(
        small_scenes.scene(**changes, source=BROAD, supersampling=2).with_classes(["no_sub"])
    )
    random = torch.Generator().manual_seed(1)
    parameters = 0.5 * torch.randn(3, len(fitter.coordinates), generator=random)
    pixels = fitter.scene.num_pixels
    shape = (3, len(fitter.scene.channels), pixels, pixels)
    noise = 0.004 + 0.008 * torch.rand(shape, generator=random)
    fits = made_up(fitter, parameters, noise)
    images = fits.images + noise * (0.3 + torch.randn(shape, generator=random))
    return Case(fitter, images, fits, side)


def test_it_is_plain_linear_algebra(case: Case) -> None:
    maps = SubhaloSearch(case.fitter).search(case.images, case.fits)
    assert maps.residuals.shape == case.images.shape
    assert maps.significance.shape == maps.sensitivity.shape == (3, 1, case.side, case.side)
    assert maps.evidence.shape == (3, 3, case.side, case.side)
    for index in range(3):
        expected = case.dense(index).maps()
        assert np.abs(expected[1]).max() > 1
        found = maps.residuals, maps.significance, maps.sensitivity, maps.evidence
        for some, others in zip(found, expected, strict=True):
            np.testing.assert_allclose(some[index].numpy().ravel(), others, rtol=0, atol=5e-3)


def test_evidence_is_a_ratio_of_densities(case: Case) -> None:
    maps = SubhaloSearch(case.fitter).search(case.images, case.fits)
    for index in range(3):
        expected = np.array(case.dense(index).log_evidences())
        assert np.ptp(expected) > 0.5
        np.testing.assert_allclose(maps.evidence[index].sum((1, 2)), expected, atol=0.01)
        mean = math.log(np.exp(expected).mean())
        assert float(maps.log_evidence[index]) == pytest.approx(mean, abs=0.01)


def test_what_is_put_in_comes_out(case: Case) -> None:
    search, strength = SubhaloSearch(case.fitter), 0.05
    before = search.search(case.images, case.fits)
    templates = [case.dense(index).templates for index in range(3)]
    for place in (2 * case.side + 5, 6 * case.side + 3):
        change = strength * torch.from_numpy(np.stack([some[place] for some in templates]))
        change = change.reshape(case.images.shape) / case.fits.scale
        after = search.search(case.images + change, case.fits)
        gain = (after.significance - before.significance).flatten(1)
        assert gain.argmax(1).tolist() == [place] * 3
        found = gain[:, place] / 10 ** before.sensitivity.flatten(1)[:, place]
        torch.testing.assert_close(found, torch.full((3,), strength), rtol=0.01, atol=0)
        torch.testing.assert_close(after.sensitivity, before.sensitivity, rtol=0, atol=1e-4)
        assert (after.log_evidence > before.log_evidence + 1).all()


def test_chance_alone_is_standard_normal(case: Case) -> None:
    """Many draws of the lens, in the prior's units, and of the noise: no fit is needed."""
    fitter, num = case.fitter, 150
    random = torch.Generator().manual_seed(2)
    parameters, noise = case.fits.parameters[:1], 1 / case.fits.scale[:1]
    true = torch.randn(num, len(fitter.coordinates), generator=random)
    change = torch.einsum("bk,kchw->bchw", true - parameters, fitter.model.slopes(parameters)[0])
    images = case.fits.images[:1] + change
    images = images + noise * torch.randn(images.shape, generator=random)
    many = made_up(fitter, parameters.expand(num, -1), noise.expand(num, -1, -1, -1))
    maps = SubhaloSearch(fitter).search(images, many)
    z = maps.significance[:, 0]
    assert abs(float(z.mean())) < 0.1
    assert float((z**2).mean()) == pytest.approx(1, abs=0.08)
    variances = (z**2).mean(0)  # at each place; a tenth is a standard deviation
    assert 0.6 < variances.min() <= variances.max() < 1.5
    # a smooth lens is as often taken for others as the odds say
    odds = maps.evidence.flatten(2).sum(2).exp()
    assert float(odds[:, 0].mean()) == pytest.approx(1, abs=0.1)
    assert (odds.log().mean(0) < 0).all()


class Fitted(NamedTuple):
    """Smooth lenses that were observed, fitted and searched."""

    fitter: SmoothFitter
    images: Tensor
    fits: SmoothFits
    maps: SubhaloMaps


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    scene = load_scene("fair-euclid", SMALL).with_classes(["no_sub"])
    lenses = scene.draw(3, 0, 30)
    images = scene.observe(scene.render(lenses), lenses, torch.Generator().manual_seed(3))
    fitter = SmoothFitter(scene)
    fits = fitter.fit(images)
    return Fitted(fitter, images, fits, SubhaloSearch(fitter).search(images, fits))


def test_smooth_lenses_look_smooth(fitted: Fitted) -> None:
    z = fitted.maps.significance
    assert abs(float(z.mean())) < 0.15
    # fits and noise are nearly those of the lenses
    assert float(z.std()) == pytest.approx(1, abs=0.15)
    assert float((z.abs() > 3).float().mean()) < 0.02
    assert float(fitted.maps.log_evidence.median()) < 0


def test_the_last_step_leads_to_the_minimum(fitted: Fitted) -> None:
    """Fits that stopped early, some ten in chi-squared above the minimum."""
    fitter, fits = fitted.fitter, fitted.fits
    slopes = (fitter.model.slopes(fits.parameters) * fits.scale[:, None]).flatten(2).double()
    curvature = slopes @ slopes.mT + torch.eye(len(fitter.coordinates))
    random = torch.Generator().manual_seed(5)
    away = torch.randn(*slopes.shape[:2], 1, dtype=torch.float64, generator=random)
    off = torch.linalg.solve_triangular(torch.linalg.cholesky(curvature).mT, away, upper=True)
    early = made_up(fitter, fits.parameters + off[..., 0].float(), 1 / fits.scale)
    worse = ((fitted.images - early.images) * fits.scale).square().flatten(1).sum(1).numpy()
    assert np.median(worse - fits.chi_square) > 8
    maps = SubhaloSearch(fitter).search(fitted.images, early)
    change = (maps.significance - fitted.maps.significance).flatten(1)
    assert float(change.abs().amax(1).median()) < 0.5  # at the worst place of an image
    left = (maps.residuals - fitted.maps.residuals).square().flatten(1).sum(1)
    assert float(left.median()) < 0.5  # of the ten


def test_threads_and_neighbours_do_not_matter(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subhalo_search, "_AT_ONCE", 3)
    monkeypatch.setattr(subhalo_search, "_PLACES_AT_ONCE", 50)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = SubhaloSearch(fitted.fitter).search(fitted.images, fitted.fits)
    finally:
        torch.set_num_threads(before)
    scale, parameters = fitted.fits.scale[7:8], fitted.fits.parameters[7:8]
    alone = made_up(fitted.fitter, parameters, 1 / scale)
    one = SubhaloSearch(fitted.fitter).search(fitted.images[7:8], alone)
    for name in ("residuals", "significance", "sensitivity", "evidence", "log_evidence"):
        expected = getattr(fitted.maps, name)
        torch.testing.assert_close(getattr(again, name), expected, rtol=0, atol=1e-3)
        torch.testing.assert_close(getattr(one, name), expected[7:8], rtol=0, atol=1e-3)


def test_nothing_is_found_in_nothing(fitted: Fitted) -> None:
    images = torch.zeros(0, 1, 48, 48)
    maps = SubhaloSearch(fitted.fitter).search(images, fitted.fitter.fit(images))
    assert maps.residuals.shape == images.shape
    assert maps.significance.shape == maps.sensitivity.shape == (0, 1, 12, 12)
    assert maps.evidence.shape == (0, 3, 12, 12)
    assert maps.log_evidence.shape == (0,)


def test_fits_of_other_images_are_refused(fitted: Fitted) -> None:
    with pytest.raises(DataError, match=r"\(30, 1, 48, 48\) .* \(29, 1, 48, 48\): fit these"):
        SubhaloSearch(fitted.fitter).search(fitted.images[1:], fitted.fits)


def test_a_subhalo_stands_out_where_it_is() -> None:
    """Deep images of sources without a cusp, each with a subhalo near its brightest pixel."""
    deep = ("noise.exposure_factor=300", "source.half_light_radius=0.3", "source.sersic_index=1.0")
    scene = load_scene("fair-euclid", [*SMALL, *deep]).with_classes(["no_sub"])
    lenses, num, radius = scene.draw(4, 0, 8), 8, 0.01
    brightest = np.divmod(scene.render(lenses).flatten(1).argmax(1).numpy(), 48)
    rows, columns = (place // 4 for place in brightest)  # four pixels a place
    x, y = (0.4 * (place - 5.5) for place in (columns, rows))
    fitter = SmoothFitter(scene)
    clumpy = with_subhalo(fitter, lenses.tensors(dtype=torch.float32), x, y, radius)
    images = scene.observe(clumpy, lenses, torch.Generator().manual_seed(4))
    maps = SubhaloSearch(fitter).search(images, fitter.fit(images))
    peaks = np.divmod(maps.significance.flatten(1).argmax(1).numpy(), 12)
    z = maps.significance[range(num), 0, rows, columns]
    strength = (z / 10 ** maps.sensitivity[range(num), 0, rows, columns]).numpy()
    assert np.array_equal(peaks, (rows, columns))
    assert z.min() > 4
    assert np.median(strength) == pytest.approx(radius, rel=0.05)
    assert (maps.log_evidence > 2).all()
