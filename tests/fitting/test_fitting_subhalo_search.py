"""The search for subhalos: against plain linear algebra, chance, and subhalos that were put in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import small_scenes
from darkarcs.fitting import SmoothFits, SmoothFitter, SubhaloMaps, SubhaloSearch, subhalo_search
from darkarcs.lensing import pseudo_jaffe
from darkarcs.scenes import Scene, load_scene, rendering

Array = NDArray[np.float64]
TWO_BANDS = [{"name": "g", "source": {"uniform": [0.5, 1.0]}}, {"name": "r"}]
#: Rings that stay away from the border of few pixels, where the noise is read off.
SMALL = ("num_pixels=48", "lens.einstein_radius={uniform: [0.6, 0.9]}")
TRUNCATION = 0.6


def made_up(fitter: SmoothFitter, parameters: Tensor, noise: Tensor) -> SmoothFits:
    """Say of lenses that they were fitted."""
    values = fitter.coordinates.decode(parameters)
    none = np.zeros(len(parameters), np.float32)
    return SmoothFits(fitter.render(values), 1 / noise, parameters, {}, none, none > 0)


class Dense(NamedTuple):
    """One image in standard deviations of its noise: P pixels of all bands, J places."""

    residuals: Array  # (P,)
    slopes: Array  # (K, P)
    templates: Array  # (J, P)
    parameters: Array  # (K,)

    def solve(self) -> tuple[Array, Array, Array]:
        """Give the residuals at the minimum, the significance and the sensitivity."""
        data = self.residuals + self.parameters @ self.slopes
        covariance = np.eye(len(data)) + self.slopes.T @ self.slopes
        left = np.linalg.solve(covariance, data)
        whitened = np.linalg.solve(covariance, self.templates.T)
        information = (self.templates.T * whitened).sum(0)
        return left, self.templates @ left / np.sqrt(information), 0.5 * np.log10(information)


def dense(fitter: SmoothFitter, images: Tensor, fits: SmoothFits, index: int) -> Dense:
    """Write all templates out."""
    scene, one = fitter.scene, slice(index, index + 1)
    scale, pixels = scene.instrument.pixel_scale, scene.num_pixels
    values = fitter.coordinates.decode(fits.parameters[one])
    slopes = []
    for name in ("source.centre_x", "source.centre_y"):
        moved = [{**values, name: values[name] + step} for step in (0.01, -0.01)]
        ahead, behind = (fitter.render(each)[0].double() for each in moved)
        slopes.append(((ahead - behind) / 0.02 * fits.scale[index]).numpy())
    rows, columns = np.divmod(np.arange(pixels**2), pixels)
    x, y = (scale * (place - place[:, None]) for place in (columns, rows))  # (J, H W)
    squared, core = x**2 + y**2, scale / 2
    # of Einstein radius 1, over the distance
    bend = np.sqrt(core**2 + squared) - core - np.sqrt(TRUNCATION**2 + squared) + TRUNCATION
    bend /= np.maximum(squared, 1e-12)
    bands = [
        g_x.ravel() * bend * x + g_y.ravel() * bend * y for g_x, g_y in zip(*slopes, strict=True)
    ]
    left = (images[index].double() - fits.images[index]) * fits.scale[index]
    lens = fitter.slopes(fits.parameters[one])[0].double() * fits.scale[index]
    return Dense(
        left.numpy().ravel(),
        lens.flatten(1).numpy(),
        np.concatenate(bands, axis=1),
        fits.parameters[index].double().numpy(),
    )


class Case(NamedTuple):
    """Images that no smooth lens made, and lenses said to fit them."""

    fitter: SmoothFitter
    images: Tensor
    fits: SmoothFits


@pytest.fixture(scope="module", params=["one band", "two bands"])
def case(request: pytest.FixtureRequest) -> Case:
    changes: dict[str, Any] = {} if request.param == "one band" else {"channels": TWO_BANDS}
    fitter = SmoothFitter(small_scenes.scene(**changes).with_classes(["no_sub"]))
    random = torch.Generator().manual_seed(1)
    parameters = 0.5 * torch.randn(3, len(fitter.coordinates), generator=random)
    shape = (3, len(fitter.scene.channels), 20, 20)
    noise = 0.1 + 0.2 * torch.rand(shape, generator=random)
    fits = made_up(fitter, parameters, noise)
    images = fits.images + noise * (0.3 + torch.randn(shape, generator=random))
    return Case(fitter, images, fits)


def test_it_is_plain_linear_algebra(case: Case) -> None:
    maps = SubhaloSearch(case.fitter).search(case.images, case.fits)
    assert maps.residuals.shape == case.images.shape
    assert maps.significance.shape == maps.sensitivity.shape == (3, 1, 20, 20)
    for index in range(3):
        left, significance, sensitivity = dense(case.fitter, case.images, case.fits, index).solve()
        assert np.abs(significance).max() > 1
        for found, expected in (
            (maps.residuals, left),
            (maps.significance, significance),
            (maps.sensitivity, sensitivity),
        ):
            np.testing.assert_allclose(found[index].numpy().ravel(), expected, rtol=0, atol=5e-3)


def test_what_is_put_in_comes_out(case: Case) -> None:
    search, strength = SubhaloSearch(case.fitter), 0.02
    before = search.search(case.images, case.fits)
    for place in (5 * 20 + 12, 13 * 20 + 6):
        templates = [
            dense(case.fitter, case.images, case.fits, i).templates[place] for i in range(3)
        ]
        change = strength * torch.from_numpy(np.stack(templates)).reshape(case.images.shape)
        after = search.search(case.images + change / case.fits.scale, case.fits)
        gain = (after.significance - before.significance).flatten(1)
        assert gain.argmax(1).tolist() == [place] * 3
        found = gain[:, place] / 10 ** before.sensitivity.flatten(1)[:, place]
        torch.testing.assert_close(found, torch.full((3,), strength), rtol=0.01, atol=0)
        torch.testing.assert_close(after.sensitivity, before.sensitivity, rtol=0, atol=1e-4)


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
    z = SubhaloSearch(fitter).search(images, many).significance[:, 0]
    assert abs(float(z.mean())) < 0.1
    assert float((z**2).mean()) == pytest.approx(1, abs=0.08)
    variances = (z**2).mean(0)  # at each place; a tenth is a standard deviation
    assert variances.min() > 0.6
    assert variances.max() < 1.5


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


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_smooth_lenses_look_smooth(fitted: Fitted) -> None:
    z = fitted.maps.significance
    assert abs(float(z.mean())) < 0.15
    # fits and noise are nearly those of the lenses
    assert float(z.std()) == pytest.approx(1, abs=0.15)
    assert float((z.abs() > 3).float().mean()) < 0.02


def test_the_last_step_leads_to_the_minimum(fitted: Fitted) -> None:
    """Fits that stopped early, some ten in chi-squared above the minimum."""
    fitter, fits = fitted.fitter, fitted.fits
    slopes = (fitter.slopes(fits.parameters) * fits.scale[:, None]).flatten(2).double()
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


@pytest.mark.usefixtures("two_threads")
def test_threads_and_neighbours_do_not_matter(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subhalo_search, "_AT_ONCE", 3)
    again = SubhaloSearch(fitted.fitter).search(fitted.images, fitted.fits)
    scale, parameters = fitted.fits.scale[7:8], fitted.fits.parameters[7:8]
    alone = made_up(fitted.fitter, parameters, 1 / scale)
    one = SubhaloSearch(fitted.fitter).search(fitted.images[7:8], alone)
    for name in ("residuals", "significance", "sensitivity"):
        expected = getattr(fitted.maps, name)
        torch.testing.assert_close(getattr(again, name), expected, rtol=0, atol=1e-3)
        torch.testing.assert_close(getattr(one, name), expected[7:8], rtol=0, atol=1e-3)


def test_nothing_is_found_in_nothing(fitted: Fitted) -> None:
    images = torch.zeros(0, 1, 48, 48)
    maps = SubhaloSearch(fitted.fitter).search(images, fitted.fitter.fit(images))
    assert maps.residuals.shape == maps.significance.shape == maps.sensitivity.shape == images.shape


def with_subhalo(
    scene: Scene, values: dict[str, Tensor], x: Tensor, y: Tensor, radius: float
) -> Tensor:
    """Render lenses with a pseudo-Jaffe subhalo each."""
    core = scene.instrument.pixel_scale / 2
    deflections = rendering.deflections

    def more(theta_x: Tensor, theta_y: Tensor, *rest: Any) -> list[tuple[Tensor, Tensor]]:
        subhalo = pseudo_jaffe.deflection(
            theta_x,
            theta_y,
            core_radius=core,
            truncation_radius=TRUNCATION,
            central_convergence=radius * (1 / core - 1 / TRUNCATION) / 2,
            centre_x=x[:, None, None],
            centre_y=y[:, None, None],
        )
        return [*deflections(theta_x, theta_y, *rest), subhalo]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "deflections", more)
        return scene.render_values(values)


def test_a_subhalo_stands_out_where_it_is() -> None:
    """Deep images of sources wider than the blur, each with a subhalo beside the brightest pixel."""
    deep = ("noise.exposure_factor=100", "source.half_light_radius=0.3", "source.sersic_index=1.0")
    scene = load_scene("fair-euclid", [*SMALL, *deep]).with_classes(["no_sub"])
    lenses, num, radius = scene.draw(4, 0, 8), 8, 0.02
    rows, columns = np.divmod(scene.render(lenses).flatten(1).argmax(1).numpy(), 48)
    rows, columns = rows + 2, columns - 1
    x, y = (0.1 * torch.from_numpy(place - 23.5).float() for place in (columns, rows))
    clumpy = with_subhalo(scene, lenses.tensors(dtype=torch.float32), x, y, radius)
    images = scene.observe(clumpy, lenses, torch.Generator().manual_seed(4))
    fitter = SmoothFitter(scene)
    maps = SubhaloSearch(fitter).search(images, fitter.fit(images))
    peaks = np.divmod(maps.significance.flatten(1).argmax(1).numpy(), 48)
    assert (np.hypot(peaks[0] - rows, peaks[1] - columns) < 1.5).all()  # in pixels
    z = maps.significance[range(num), 0, rows, columns]
    assert z.min() > 5
    # blurring before bending, not after it, takes a fifth
    strength = (z / 10 ** maps.sensitivity[range(num), 0, rows, columns]).numpy()
    assert 0.75 * radius < np.median(strength) < 1.05 * radius
