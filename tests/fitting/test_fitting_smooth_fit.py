"""Fits of smooth lenses: as good as the truth, whatever is fitted beside them; what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import small_scenes
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.fitting import SmoothFits, SmoothFitter, smooth_fit
from darkarcs.scenes import LensParameters, Scene, load_scene
from darkarcs.simulation import SimulationRequest, simulate

#: Rings that stay away from the border of few pixels, where the noise is read off.
SMALL = ("num_pixels=48", "lens.einstein_radius={uniform: [0.6, 0.9]}")
PIXELS = 48**2


class Observed(NamedTuple):
    """Lenses, how they look without noise, and with it."""

    lenses: LensParameters
    clean: Tensor
    images: Tensor


def observe(scene: Scene, num: int, *, seed: int = 3, paired: bool = False) -> Observed:
    lenses = scene.draw(seed, 0, num, paired=paired)
    clean = scene.render(lenses)
    images = scene.observe(clean, lenses, torch.Generator().manual_seed(seed))
    return Observed(lenses, clean, images)


def squares(difference: Tensor, scale: Tensor) -> NDArray[np.float32]:
    return ((difference * scale) ** 2).flatten(1).sum(1).numpy()


@pytest.fixture(scope="module")
def fitter() -> SmoothFitter:
    return SmoothFitter(load_scene("fair-euclid", SMALL).with_classes(["no_sub"]))


@pytest.fixture(scope="module")
def observed(fitter: SmoothFitter) -> Observed:
    return observe(fitter.scene, 16)


@pytest.fixture(scope="module")
def fits(fitter: SmoothFitter, observed: Observed) -> SmoothFits:
    return fitter.fit(observed.images)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_chi_square_is_that_of_the_noise(
    fitter: SmoothFitter, observed: Observed, fits: SmoothFits
) -> None:
    # the noise is read off a border of 768 pixels, to a tenth of its variance
    assert ((fits.chi_square / PIXELS > 0.75) & (fits.chi_square / PIXELS < 1.3)).all()
    assert abs(np.mean(fits.chi_square / PIXELS) - 1) < 0.1
    gain = squares(observed.images - observed.clean, fits.scale) - fits.chi_square
    assert np.sum(gain > -3) >= 15  # no worse than the truth
    # K parameters take up about K of chi-squared, and no more
    num = len(fitter.coordinates)
    assert 0.4 * num < np.median(gain) < 1.5 * num
    assert fits.converged.sum() >= 15


def test_it_is_the_lens_that_was_found(observed: Observed, fits: SmoothFits) -> None:
    assert np.sum(squares(fits.images - observed.clean, fits.scale) < 50) >= 15
    columns = observed.lenses.columns
    radius = fits.values["lens.smooth_einstein_radius"] / columns["lens.smooth_einstein_radius"]
    assert np.sum(np.abs(radius - 1) < 0.03) >= 15
    flux = fits.values["source.flux"] / columns["source.flux"]
    assert np.sum(np.abs(flux - 1) < 0.3) >= 14


def test_what_fits_say_belongs_together(
    fitter: SmoothFitter, observed: Observed, fits: SmoothFits
) -> None:
    np.testing.assert_allclose(
        fits.chi_square, squares(observed.images - fits.images, fits.scale), rtol=1e-4
    )
    assert set(fits.values) == set(fitter.coordinates.names)
    assert all(values.shape == (16,) for values in fits.values.values())
    told = {name: torch.from_numpy(values) for name, values in fits.values.items()}
    fixed = {name: value.expand(16) for name, value in fitter.coordinates.fixed.items()}
    again = fitter.scene.render_values(fixed | told)
    torch.testing.assert_close(again, fits.images, rtol=0, atol=1e-4 * float(again.max()))


def same(one: SmoothFits, other: SmoothFits, order: list[int]) -> None:
    """Compare fits, in standard deviations of the noise."""
    expected, scale = other.images[order], other.scale[order]
    torch.testing.assert_close(one.images * scale, expected * scale, rtol=0, atol=0.05)
    torch.testing.assert_close(one.scale, scale, rtol=1e-3, atol=0)
    np.testing.assert_allclose(one.chi_square, other.chi_square[order], rtol=0, atol=0.05)
    assert np.array_equal(one.converged, other.converged[order])


def test_neighbours_do_not_matter(
    fitter: SmoothFitter, observed: Observed, fits: SmoothFits
) -> None:
    order = [5, 2, 11]
    same(fitter.fit(observed.images[order]), fits, order)
    same(fitter.fit(observed.images[7:8]), fits, [7])


@pytest.mark.usefixtures("two_threads")
def test_threads_and_parts_do_not_matter(
    fitter: SmoothFitter, observed: Observed, fits: SmoothFits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smooth_fit, "_AT_ONCE", 3)
    same(fitter.fit(observed.images[:8]), fits, list(range(8)))


def test_further_starts_make_nothing_worse(
    fitter: SmoothFitter, observed: Observed, fits: SmoothFits, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    begin = fitter._begin

    def counted(data: Tensor, sky: Tensor, start: Tensor) -> Any:
        started.append(len(data))
        return begin(data, sky, start)

    few = observed.images[:3]
    monkeypatch.setattr(fitter, "_begin", counted)
    fitter.fit(few)
    assert started == [3, 3]  # good fits need no more
    monkeypatch.setattr(fitter, "_is_poor", lambda data, _: torch.ones(len(data)) > 0)
    again = fitter.fit(few)
    assert started[2:] == [3] * 6
    assert (again.chi_square < fits.chi_square[:3] + 2).all()


def test_noise_is_read_off_each_image() -> None:
    wide = "noise.exposure_factor={log_uniform: [0.3, 3.0]}"
    scene = load_scene("fair-euclid", [*SMALL, wide]).with_classes(["no_sub"])
    seen = observe(scene, 12)
    fitted = SmoothFitter(scene).fit(seen.images)
    true = scene.noise_variance(seen.clean, seen.lenses)
    share = (true * fitted.scale**2).mean((1, 2, 3))
    assert ((share > 0.8) & (share < 1.25)).sum() >= 11
    exposure = seen.lenses.columns["noise.exposure_factor"]
    assert exposure.max() > 4 * exposure.min()


def test_substructure_is_left_over() -> None:
    """Deep images of the same lenses, with a tenth of the mass in subhalos and without."""
    deep = ("noise.exposure_factor=100", "classes.cdm.mass_fraction=0.1")
    heavy = "classes.cdm.min_mass=1e8"  # lighter ones cost time and change little
    scene = load_scene("fair-euclid", [*SMALL, *deep, heavy]).with_classes(["no_sub", "cdm"])
    seen = observe(scene, 12, seed=4, paired=True)
    fitted = SmoothFitter(scene).fit(seen.images)
    smooth, clumpy = (fitted.chi_square / PIXELS).reshape(-1, 2).T
    assert np.sum(smooth < 1.15) >= 5
    assert np.sum(clumpy > smooth + 0.1) >= 5
    assert np.median(clumpy - smooth) > 0.2
    # a smooth lens of other parameters takes up most of what subhalos change
    change = squares(seen.clean[1::2] - seen.clean[::2], fitted.scale[1::2])
    assert np.median((clumpy - smooth) * PIXELS / change) < 0.5


def test_a_second_look_finds_the_angle_of_nearly_round_lenses() -> None:
    """Lens 35 of this stream: the first fit ends beside the minimum, with a multipole turned."""
    scene = load_scene("fair-euclid").with_classes(["no_sub"])
    images = simulate(SimulationRequest(scene=scene, seed=77, start=34, num=2)).images
    fitter, observed = SmoothFitter(scene), torch.from_numpy(images)
    first = fitter.fit(observed)
    second = fitter.refit(observed, first)
    gain = first.chi_square - second.chi_square
    assert (gain > -1).all()
    assert gain[1] > 100
    assert second.chi_square[1] < 1.1 * observed[1].numel()
    np.testing.assert_allclose(
        squares(observed - second.images, second.scale), second.chi_square, rtol=1e-4
    )


def test_fits_are_selected_and_replaced(fits: SmoothFits) -> None:
    chosen = torch.tensor([5, 2])
    some = fits.select(chosen)
    assert torch.equal(some.images[1], fits.images[2])
    assert some.chi_square[0] == fits.chi_square[5]
    changed = fits.select(torch.arange(len(fits.images)))
    changed.put(torch.tensor([0, 1]), some)
    for name in ("images", "scale", "parameters"):
        assert torch.equal(getattr(changed, name)[:2], getattr(fits, name)[chosen])
        assert torch.equal(getattr(changed, name)[2:], getattr(fits, name)[2:])
    for values, others in zip(changed.values.values(), fits.values.values(), strict=True):
        assert values[:2].tolist() == others[[5, 2]].tolist()
    assert changed.converged[:2].tolist() == fits.converged[[5, 2]].tolist()


def test_nothing_is_fitted_to_nothing(fitter: SmoothFitter) -> None:
    fitted = fitter.fit(torch.zeros(0, 1, 48, 48))
    assert (len(fitted.images), len(fitted.chi_square), len(fitted.converged)) == (0, 0, 0)


def test_an_empty_sky_is_fitted_without_an_error(fitter: SmoothFitter) -> None:
    sigma = fitter.noise.sky_variance**0.5
    noise = sigma * torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    fitted = fitter.fit(torch.cat([noise, torch.zeros(1, 1, 48, 48)]))
    assert np.isfinite(fitted.chi_square).all()
    assert torch.isfinite(fitted.images).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": {"kind": "galaxies", "path": "absent.npz", "magnitude": 22.0}}, "Sersic"),
        ({"noise": {"kind": "counting"}}, "noise.kind=instrument"),
        ({"noise": {"kind": "none"}}, "noise.kind=instrument"),
        ({"storage": {"scaling": "peak"}}, "stored as they are"),
    ],
)
def test_scenes_that_cannot_be_fitted(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as error:
        SmoothFitter(small_scenes.scene(**changes))
    assert "small" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(2, 1, 40, 40), (2, 2, 48, 48), (2, 48, 48)])
def test_other_shapes_are_refused(fitter: SmoothFitter, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"\(1, 48, 48\)"):
        fitter.fit(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pixels_that_are_no_numbers_are_refused(fitter: SmoothFitter, value: float) -> None:
    images = torch.zeros(3, 1, 48, 48)
    images[1, 0, 5, 6] = value
    with pytest.raises(DataError, match="not finite"):
        fitter.fit(images)
