"""The search for subhalos: against plain linear algebra, chance, and subhalos that were put in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
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
    return SmoothFits(fitter.render(values), 1 / noise, parameters, {}, none, none > 0)


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
        ahead, behind = (
            with_subhalo(self.fitter, many, x, y, radius) for radius in (1e-5, -1e-5)
        )
        scale = self.fits.scale[index].double()
        slopes = (self.fitter.slopes(parameters)[0].double() * scale).flatten(1).numpy()
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
    fitter = SmoothFitter(small_scenes.scene(**changes).with_classes(["no_sub"]))
    random = torch.Generator().manual_seed(1)
    parameters = 0.5 * torch.randn(3, len(fitter.coordinates), generator=random)
    pixels = fitter.scene.num_pixels
    shape = (3, len(fitter.scene.channels), pixels, pixels)
    noise = 0.02 + 0.04 * torch.rand(shape, generator=random)
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
            print(np.abs(some[index].numpy().ravel()-others).max(), np.abs(others).max(), others.min())
            np.testing.assert_allclose(some[index].numpy().ravel(), others, rtol=0, atol=5e-3)


def test_evidence_is_a_ratio_of_densities(case: Case) -> None:
    maps = SubhaloSearch(case.fitter).search(case.images, case.fits)
    for index in range(3):
        expected = np.array(case.dense(index).log_evidences())
        print(expected)
        assert np.ptp(expected) > 0.5
        np.testing.assert_allclose(maps.evidence[index].sum((1, 2)), expected, atol=0.01)
        mean = math.log(np.exp(expected).mean())
        assert float(maps.log_evidence[index]) == pytest.approx(mean, abs=0.01)


def test_what_is_put_in_comes_out(case: Case) -> None:
    search, strength = SubhaloSearch(case.fitter), 0.02
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
        print(after.log_evidence, before.log_evidence)
        assert (after.log_evidence > before.log_evidence + 3).all()


def test_chance_alone_is_standard_normal(case: Case) -> None:
    """Many draws of the lens, in the prior's units, and of the noise: no fit is needed."""
    fitter, num = case.fitter, 200
    random = torch.Generator().manual_seed(2)
    fits = made_up(fitter, case.fits.parameters[:1], 1 / case.fits.scale[:1])
    slopes = fitter.slopes(fits.parameters)[0]
    true = torch.randn(num, len(fitter.coordinates), generator=random)
    images = fits.images + torch.einsum("bk,kchw->bchw", true - fits.parameters, slopes)
    images = images + torch.randn(images.shape, generator=random) / fits.scale
    many = made_up(
        fitter, fits.parameters.expand(num, -1), (1 / fits.scale).expand(num, -1, -1, -1)
    )
    maps = SubhaloSearch(fitter).search(images, many)
    z = maps.significance[:, 0]
    assert abs(float(z.mean())) < 0.1
    assert float((z**2).mean()) == pytest.approx(1, abs=0.08)
    variances = (z**2).mean(0)  # at each place; a tenth is a standard deviation
    assert variances.min() > 0.6
    assert variances.max() < 1.5
    # a smooth lens is as often taken for others as the odds say
    odds = maps.evidence.flatten(2).sum(2).exp()
    print(odds.mean(0), odds.std(0), odds.log().mean(0))
    assert float(odds[:, 0].mean()) == pytest.approx(1, abs=0.1)
    assert (odds.log().mean(0) < 0).all()
