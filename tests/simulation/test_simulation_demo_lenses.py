"""The demo lenses: reproducible, alike in all but the substructure, mass conserved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from darkarcs.errors import DataError
from darkarcs.lensing import image_grid, point_mass, sie
from darkarcs.light import sersic
from darkarcs.simulation import demo_lenses
from darkarcs.simulation.demo_lenses import (
    FIELD_OF_VIEW,
    NUISANCE,
    draw,
    enclosed_share,
    observe,
    render,
)


def test_contract() -> None:
    lenses = demo_lenses(3, seed=0, size=32)
    assert lenses.images.shape == (6, 1, 32, 32)
    assert lenses.images.dtype == np.float32
    assert lenses.class_names == ("no_sub", "sub")
    assert lenses.class_counts() == {"no_sub": 3, "sub": 3}
    assert lenses.pixel_scale == pytest.approx(FIELD_OF_VIEW / 32)
    assert len(set(lenses.metadata["identity"])) == 6
    assert set(NUISANCE) < set(lenses.metadata)
    assert (lenses.images == np.rint(lenses.images)).all()
    assert lenses.metadata["num_subhalos"].tolist() == [0, 6, 0, 6, 0, 6]


def test_image_depends_on_seed_and_number_alone() -> None:
    few, many = demo_lenses(2, seed=5), demo_lenses(40, seed=5)
    assert (many.images[:4] == few.images).all()
    assert (many.metadata["identity"][:4] == few.metadata["identity"]).all()
    assert (demo_lenses(2, seed=6).images != few.images).any(axis=(1, 2, 3)).all()


def test_nuisances_are_drawn_alike() -> None:
    parameters = draw(3, np.arange(3000))
    for name, (low, high) in NUISANCE.items():
        smooth, lumpy = parameters[name][0::2], parameters[name][1::2]
        assert low <= parameters[name].min() <= parameters[name].max() <= high
        assert ks_2samp(smooth, lumpy).pvalue > 1e-3, name


def test_noise_is_alike_and_as_stated() -> None:
    parameters = draw(1, np.arange(32))
    sky = torch.zeros(32, 64, 64, dtype=torch.float64)
    noise = observe(sky, parameters, 1, np.arange(32))
    np.testing.assert_allclose(noise.std(axis=(1, 2)), parameters["background_rms"], rtol=0.06)
    bright = observe(sky + 1000, parameters, 1, np.arange(32))
    expected = np.sqrt(1000 + parameters["background_rms"] ** 2)
    np.testing.assert_allclose(bright.std(axis=(1, 2)), expected, rtol=0.06)
    assert bright.mean() == pytest.approx(1000, abs=1)


def test_mass_inside_the_ring_is_conserved() -> None:
    parameters = draw(2, np.arange(4))
    theta = image_grid(600, 0.006, dtype=torch.float64)
    for k in range(4):
        row = {name: column[k] for name, column in parameters.items()}
        shape = {
            "axis_ratio": row["axis_ratio"],
            "position_angle": row["position_angle"],
            "centre_x": row["centre_x"],
            "centre_y": row["centre_y"],
        }
        before = sie.convergence(*theta, einstein_radius=row["einstein_radius"], **shape)
        after = sie.convergence(*theta, einstein_radius=row["smooth_einstein_radius"], **shape)
        for radius, x, y in zip(
            row["subhalo_einstein_radius"], row["subhalo_x"], row["subhalo_y"], strict=True
        ):
            after = after + point_mass.convergence(
                *theta, einstein_radius=radius, centre_x=x, centre_y=y, softening=row["softening"]
            )
        distance = torch.hypot(theta[0] - row["centre_x"], theta[1] - row["centre_y"])
        circle = distance < row["einstein_radius"]
        assert (after[circle].sum() / before[circle].sum()).item() == pytest.approx(1, abs=5e-3)
        if k % 2:
            assert row["smooth_einstein_radius"] < 0.99 * row["einstein_radius"]
        else:
            assert row["smooth_einstein_radius"] == row["einstein_radius"]


@pytest.mark.parametrize(("distance", "softening"), [(0.0, 0.3), (0.8, 0.1), (1.3, 0.5)])
def test_enclosed_share_is_the_flux_of_the_deflection(distance: float, softening: float) -> None:
    angle = torch.arange(4000, dtype=torch.float64) * 2 * torch.pi / 4000
    ring = torch.cos(angle), torch.sin(angle)
    alpha = point_mass.deflection(
        *ring, einstein_radius=1.0, centre_x=distance, softening=softening
    )
    flux = (alpha[0] * ring[0] + alpha[1] * ring[1]).mean().item()
    share = enclosed_share(np.array(1.0), np.array(distance), np.array(softening))
    assert float(share) == pytest.approx(flux, abs=1e-6)


def test_substructure_fraction_is_the_share_of_the_mass() -> None:
    parameters = draw(4, np.arange(64))
    squares = (parameters["subhalo_einstein_radius"] ** 2).sum(axis=1)
    fraction = squares / parameters["einstein_radius"] ** 2
    np.testing.assert_allclose(fraction, parameters["substructure_fraction"], rtol=1e-12)
    assert (fraction[0::2] == 0).all()
    assert (fraction[1::2] > 0.05).all()


def without_lens(parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    nothing = ("smooth_einstein_radius", "subhalo_einstein_radius", "shear", "source_distance")
    return parameters | {name: 0 * parameters[name] for name in nothing}


def test_psf_keeps_flux_and_has_the_stated_width() -> None:
    parameters = without_lens(draw(0, np.arange(4)))
    images = render(parameters, 256)
    radius, index = parameters["half_light_radius"], parameters["sersic_index"]
    flux = sersic.total_flux(
        half_light_radius=torch.from_numpy(radius),
        sersic_index=torch.from_numpy(index),
        amplitude=10 ** torch.from_numpy(parameters["log10_amplitude"]),
    )
    pixel_area = (FIELD_OF_VIEW / 256) ** 2
    torch.testing.assert_close(images.sum(dim=(1, 2)), flux / pixel_area, rtol=0.01, atol=0)

    def spread(images: torch.Tensor) -> torch.Tensor:
        x, _ = image_grid(256, FIELD_OF_VIEW / 256, dtype=torch.float64)
        mean = (images * x).sum(dim=(1, 2)) / images.sum(dim=(1, 2))
        squares = (x - mean[:, None, None]) ** 2
        return (images * squares).sum(dim=(1, 2)) / images.sum(dim=(1, 2))

    sharp = render(parameters | {"psf_fwhm": np.zeros(4)}, 256)
    added = (spread(images) - spread(sharp)).numpy()
    np.testing.assert_allclose(added, (parameters["psf_fwhm"] / 2.3548) ** 2, rtol=0.02)


def test_the_same_lens_at_another_size_is_the_same_sky() -> None:
    """At three times the size every third pixel is sampled at the same place."""
    parameters = draw(0, np.arange(32))
    coarse, fine = render(parameters, 64), render(parameters, 192)[:, 1::3, 1::3]
    error = (fine - coarse).square().sum(dim=(1, 2)).sqrt() / fine.square().sum(dim=(1, 2)).sqrt()
    assert error.max() < 0.05


def test_ring_size_does_not_tell_the_class() -> None:
    """The light-weighted radius is a shortcut wherever mass is added instead of replaced."""
    lenses = demo_lenses(400, seed=9, size=32)
    axis = np.arange(32) - 15.5
    radius = np.hypot(axis[:, None], axis[None, :])
    images = np.clip(lenses.images[:, 0], 0, None)
    size = (images * radius).sum(axis=(1, 2)) / images.sum(axis=(1, 2))
    size /= lenses.metadata["einstein_radius"]  # known better than any network could
    smooth, lumpy = size[lenses.labels == 0], size[lenses.labels == 1]
    auc = (smooth[:, None] < lumpy[None, :]).mean()
    assert 0.35 < auc < 0.65


@pytest.mark.parametrize(("count", "size"), [(0, 64), (-1, 64), (2, 8)])
def test_bad_numbers_are_refused(count: int, size: int) -> None:
    with pytest.raises(DataError, match=r"at least one image|fewer than 16"):
        demo_lenses(count, seed=0, size=size)
