"""Granules: amplitude, correlation and deflection."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from darkarcs.errors import ConfigurationError
from darkarcs.seeding import numpy_generator
from darkarcs.substructure import granules


def test_scale_and_amplitude() -> None:
    # de Broglie wavelength h / (m v): 0.6 kpc for 1e-22 eV and 200 km/s
    assert 2 * np.pi * granules.de_broglie_scale(1e-22, 200.0) == pytest.approx(0.6, rel=0.01)
    assert granules.de_broglie_scale(4e-22, 100.0) == pytest.approx(
        granules.de_broglie_scale(2e-22, 200.0)
    )
    # isothermal halo: rho = s^2 / (2 pi G r^2), Sigma = s^2 / (2 G R); units with s^2 / G = 1
    radius, scale, critical = 7.0, 0.05, 0.3
    density_squared = 1 / (4 * np.pi**2) * np.pi / (2 * radius**3)
    variance = granules.convergence_variance(scale, density_squared, critical)
    rms = granules.isothermal_rms(scale, radius, 1 / (2 * radius) / critical)
    assert float(rms**2) == pytest.approx(float(variance))


def test_variance_of_interfering_waves() -> None:
    """The formula against what it stands for: waves of random phase, squared and projected."""
    size, scale, num = 40, 2.5, 16
    frequency = 2 * np.pi * np.fft.fftfreq(size)
    squared = frequency[:, None, None] ** 2 + frequency[None, :, None] ** 2 + frequency**2
    amplitude = np.exp(-(scale**2) * squared / 4)
    random = numpy_generator(1, "waves")
    variances = []
    for _ in range(num):
        phases = random.standard_normal((size, size, size, 2)) @ np.array([1, 1j])
        density = np.abs(np.fft.ifftn(phases * amplitude)) ** 2
        column = (density / density.mean()).sum(axis=0)
        variances.append(column.var())
    expected = float(granules.convergence_variance(scale, size, 1.0))
    assert np.mean(variances) == pytest.approx(expected, rel=0.1)


def test_the_field_has_its_correlation() -> None:
    field = granules.draw_convergence(
        numpy_generator(2, "field"), num=40, size=96, pixel_scale=0.05, scale=0.3, rms=0.02
    )
    assert field.shape == (40, 96, 96)
    assert field.std() == pytest.approx(0.02, rel=0.05)
    for lag in (3, 6, 9):
        product = (field[:, :, lag:] * field[:, :, :-lag]).mean() / field.var()
        assert product == pytest.approx(np.exp(-((lag * 0.05 / 0.3) ** 2)), abs=0.05)
    # opposite edges know nothing of each other
    edges = (field[:, :, 0] * field[:, :, -1]).mean() / field.var()
    assert abs(edges) < 0.15


def test_small_granules_average_out_in_a_pixel() -> None:
    scale = 0.005
    field = granules.draw_convergence(
        numpy_generator(3, "small"), num=4, size=64, pixel_scale=0.05, scale=scale, rms=1.0
    )
    # pi lambda^2 / pixel^2 independent granules, but for those on the pixel's edge
    along = np.linspace(0, 1, 4001)
    line = np.trapezoid(2 * (1 - along) * np.exp(-((along * 0.05 / scale) ** 2)), along)
    assert field.var() == pytest.approx(line**2, rel=0.06)


def test_rms_may_vary_over_the_field() -> None:
    rms = np.linspace(0.0, 1.0, 32)[None, :] * np.ones((32, 1))
    settings = {"num": 2, "size": 32, "pixel_scale": 0.1, "scale": 0.2}
    field = granules.draw_convergence(numpy_generator(4), **settings, rms=rms)
    plain = granules.draw_convergence(numpy_generator(4), **settings, rms=1.0)
    np.testing.assert_allclose(field, plain * rms)


def test_divergence_of_the_deflection_is_twice_the_convergence() -> None:
    scale = 0.05
    field = granules.draw_convergence(
        numpy_generator(5), num=2, size=96, pixel_scale=scale, scale=0.5, rms=0.1
    )
    kappa = torch.from_numpy(field)
    alpha_x, alpha_y = granules.deflection(kappa, scale)
    slope_x = (alpha_x[:, 1:-1, 2:] - alpha_x[:, 1:-1, :-2]) / (2 * scale)
    slope_y = (alpha_y[:, 2:, 1:-1] - alpha_y[:, :-2, 1:-1]) / (2 * scale)
    inner = (slice(None), slice(2, -2), slice(2, -2))
    difference = (slope_x + slope_y)[inner] / 2 - kappa[:, 1:-1, 1:-1][inner]
    assert difference.std() < 0.02 * kappa.std()  # of the finite differences, not of the field
    twist = (alpha_x[:, 2:, 1:-1] - alpha_x[:, :-2, 1:-1]) / (2 * scale) - (
        alpha_y[:, 1:-1, 2:] - alpha_y[:, 1:-1, :-2]
    ) / (2 * scale)
    assert twist[inner].abs().max() < 0.01 * kappa.abs().max()


def _error_of_a_gaussian_blob(size: int) -> float:
    scale, width = 2.0 / size, 0.2
    axis = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * scale
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    squared = x**2 + y**2
    alpha = granules.deflection(torch.exp(-squared / (2 * width**2)), scale)
    radial = 2 * width**2 * -torch.expm1(-squared / (2 * width**2)) / squared.clamp(min=1e-12)
    return max((a - radial * b).abs().max().item() for a, b in zip(alpha, (x, y), strict=True))


def test_deflection_of_a_gaussian_blob_converges() -> None:
    coarse, fine = _error_of_a_gaussian_blob(20), _error_of_a_gaussian_blob(40)
    assert fine < 2e-3  # of 0.18 at most
    assert coarse / fine > 3.5  # second order


def test_deflection_of_one_pixel_is_that_of_a_square() -> None:
    kappa = torch.zeros(7, 7, dtype=torch.float64)
    kappa[3, 3] = 1.0
    alpha_x, alpha_y = granules.deflection(kappa, 0.1)
    fine = (np.arange(200) - 99.5) / 200 * 0.1  # the square as point masses
    y, x = np.meshgrid(fine, fine, indexing="ij")
    for row, column in ((3, 4), (4, 4), (5, 2), (0, 6)):
        to_x, to_y = (column - 3) * 0.1 - x, (row - 3) * 0.1 - y
        weight = (0.1 / 200) ** 2 / np.pi / (to_x**2 + to_y**2)
        assert alpha_x[row, column].item() == pytest.approx((to_x * weight).sum(), abs=1e-6)
        assert alpha_y[row, column].item() == pytest.approx((to_y * weight).sum(), abs=1e-6)


def test_deflection_is_linear_differentiable_and_single_precision_works() -> None:
    kappa = torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(
        lambda k: granules.deflection(k, 0.1), (kappa[:1, :1, :4, :4].requires_grad_(),)
    )
    single, _ = granules.deflection(kappa.float(), 0.1)
    double, _ = granules.deflection(kappa, 0.1)
    torch.testing.assert_close(single, double.float(), atol=1e-5, rtol=1e-4)


def test_a_field_smaller_than_its_granules_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="enlarge the field"):
        granules.draw_convergence(
            numpy_generator(0), num=1, size=16, pixel_scale=0.1, scale=1.0, rms=1.0
        )
