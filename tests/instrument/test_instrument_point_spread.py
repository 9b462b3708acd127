"""Kernels: scipy's Gaussian, widths at half maximum, measured kernels, and bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from darkarcs.errors import ConfigurationError, DataError
from darkarcs.instrument import (
    EmpiricalPointSpread,
    GaussianPointSpread,
    MoffatPointSpread,
    PixelGrid,
    gaussian_kernel,
    moffat_kernel,
    read_kernel,
    resample_kernel,
)
from darkarcs.instrument.point_spread import FWHM_OVER_SIGMA


@pytest.mark.parametrize(("fwhm", "truncation"), [(0.16, 5.0), (0.087, 3.0), (0.3, 4.0)])
def test_sampled_gaussian_is_that_of_scipy(fwhm: float, truncation: float) -> None:
    point = np.zeros((41, 41))
    point[20, 20] = 1
    expected = gaussian_filter(point, fwhm / FWHM_OVER_SIGMA / 0.05, truncate=truncation)
    kernel = gaussian_kernel(fwhm, 0.05, truncation=truncation, dtype=torch.float64)
    half = kernel.shape[0] // 2
    centre = slice(20 - half, 21 + half)
    np.testing.assert_allclose(kernel.numpy(), expected[centre, centre], atol=1e-15)
    assert expected.sum() == pytest.approx(expected[centre, centre].sum())


def test_integrated_gaussian_is_the_mean_of_a_fine_one() -> None:
    integrated = gaussian_kernel(0.12, 0.1, size=9, integrated=True, dtype=torch.float64)
    fine = gaussian_kernel(0.12, 0.1 / 45, size=405, dtype=torch.float64)
    blocks = fine.reshape(9, 45, 9, 45).sum(dim=(1, 3))
    torch.testing.assert_close(integrated, blocks, atol=1e-4, rtol=0)


def test_widths_at_half_maximum() -> None:
    for kernel in (
        gaussian_kernel(0.9, 0.1, size=61),
        moffat_kernel(0.9, 2.5, 0.1, size=101, oversampling=1),
    ):
        half = kernel.shape[0] // 2
        line = kernel[half, half:] / kernel[half, half]
        # the half maximum lies at 4.5 pixels
        assert line[4] > 0.5 > line[5]
        assert (line[4] + line[5]).item() == pytest.approx(1.0, abs=0.02)


def test_a_batch_of_widths_is_differentiable() -> None:
    fwhm = torch.tensor([0.1, 0.2], dtype=torch.float64, requires_grad=True)
    beta = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    kernels = gaussian_kernel(fwhm, 0.05, size=15, dtype=torch.float64)
    torch.testing.assert_close(kernels[1], gaussian_kernel(0.2, 0.05, size=15, dtype=torch.float64))
    assert torch.autograd.gradcheck(
        lambda f: gaussian_kernel(f, 0.05, size=5, dtype=torch.float64), (fwhm,)
    )
    assert torch.autograd.gradcheck(
        lambda f, b: moffat_kernel(f, b, 0.05, size=5, dtype=torch.float64), (fwhm, beta)
    )


def test_resampling_conserves_flux_and_centre() -> None:
    random = np.random.default_rng(1)
    for shape, scale in (((9, 9), 0.04), ((8, 6), 0.1), ((21, 21), 0.013)):
        kernel = random.random(shape)
        new = resample_kernel(kernel, 0.03, scale)
        assert new.shape[0] % 2 == new.shape[1] % 2 == 1
        assert new.sum() == pytest.approx(kernel.sum())
        for axis in (0, 1):
            old_place = np.arange(shape[axis]) - (shape[axis] - 1) / 2
            new_place = np.arange(new.shape[axis]) - (new.shape[axis] - 1) / 2
            old_mean = (kernel.sum(1 - axis) * old_place).sum() * 0.03 / kernel.sum()
            new_mean = (new.sum(1 - axis) * new_place).sum() * scale / new.sum()
            # a pixel's flux is spread evenly in it, so the centroid moves a little
            assert new_mean == pytest.approx(old_mean, abs=0.5 * scale)
    np.testing.assert_allclose(resample_kernel(np.eye(3), 0.1, 0.1), np.eye(3), atol=1e-12)
    symmetric = resample_kernel(np.ones((8, 8)), 0.03, 0.05)
    np.testing.assert_allclose(symmetric, symmetric[::-1, ::-1])


def test_measured_kernels_from_fits(tmp_path: Path) -> None:
    fine = gaussian_kernel(0.2, 0.02, size=75, dtype=torch.float64).numpy()
    unit = fits.PrimaryHDU(7.0 * fine.astype(np.float32))
    unit.header["PIXELSCL"] = 0.02
    unit.writeto(tmp_path / "psf.fits")
    assert read_kernel(tmp_path / "psf.fits").sum() == pytest.approx(1.0)
    kernel = EmpiricalPointSpread(path=tmp_path / "psf.fits").kernel(0.1)
    expected = gaussian_kernel(0.2, 0.1, size=15, integrated=True, dtype=torch.float64)
    torch.testing.assert_close(kernel, expected, atol=1e-3, rtol=0)
    assert EmpiricalPointSpread(path=tmp_path / "psf.fits", pixel_scale=0.2).kernel(0.2).shape == (
        75,
        75,
    )
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((4, 4)))]).writeto(tmp_path / "e.fits")
    assert read_kernel(tmp_path / "e.fits").shape == (5, 5)


def test_bad_measured_kernels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_kernel(tmp_path / "absent.fits")
    (tmp_path / "text.fits").write_text("not FITS")
    with pytest.raises(DataError, match="cannot be read"):
        read_kernel(tmp_path / "text.fits")
    fits.PrimaryHDU(np.ones(3)).writeto(tmp_path / "line.fits")
    with pytest.raises(DataError, match="no image of two dimensions"):
        read_kernel(tmp_path / "line.fits")
    for name, value in (("zero", 0.0), ("nan", np.nan)):
        fits.PrimaryHDU(np.full((3, 3), value)).writeto(tmp_path / f"{name}.fits")
        with pytest.raises(DataError, match="finite and of positive sum"):
            read_kernel(tmp_path / f"{name}.fits")
    fits.PrimaryHDU(np.ones((3, 3))).writeto(tmp_path / "scale.fits")
    with pytest.raises(DataError, match="give the scale"):
        read_kernel(tmp_path / "scale.fits", to_scale=0.1)


def test_settings_make_normalized_odd_kernels() -> None:
    for spread in (GaussianPointSpread(fwhm=0.16), MoffatPointSpread(fwhm=0.7, beta=3.0)):
        kernel = spread.kernel(0.1)
        assert kernel.shape[0] % 2 == 1
        assert kernel.sum().item() == pytest.approx(1.0)
        assert kernel.argmax().item() == kernel.numel() // 2


def test_impossible_kernels_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be odd"):
        gaussian_kernel(0.1, 0.1, size=4)
    with pytest.raises(ConfigurationError, match="needs its size"):
        gaussian_kernel(torch.ones(2), 0.1)
    with pytest.raises(ConfigurationError, match="must be positive"):
        gaussian_kernel(0.0, 0.1, size=3)
    with pytest.raises(ConfigurationError, match="beta above 1"):
        moffat_kernel(0.7, 1.0, 0.2, size=5)


def test_the_pixel_grid() -> None:
    grid = PixelGrid(num_pixels=5, pixel_scale=0.2, supersampling=3)
    theta_x, theta_y = grid.coordinates(dtype=torch.float64)
    assert theta_x.shape == (15, 15)
    assert grid.field_of_view == pytest.approx(1.0)
    # x to the right, y up with the first row at the bottom, centred
    assert theta_x[0, -1].item() == pytest.approx(0.5 - 0.2 / 6)
    assert theta_y[-1, 0].item() == pytest.approx(0.5 - 0.2 / 6)
    assert theta_x.mean().item() == pytest.approx(0.0, abs=1e-15)
    coarse_x, coarse_y = PixelGrid(num_pixels=5, pixel_scale=0.2).coordinates(dtype=torch.float64)
    averaged = grid.average(torch.stack([theta_x, theta_y]))
    torch.testing.assert_close(averaged, torch.stack([coarse_x, coarse_y]))
    with pytest.raises(DataError, match="do not fit"):
        grid.average(torch.zeros(2, 5, 5))


def test_supersampling_converges() -> None:
    """The mean over a pixel of a smooth function, as the number of samples grows."""
    errors = []
    for supersampling in (1, 2, 4):
        grid = PixelGrid(num_pixels=8, pixel_scale=0.5, supersampling=supersampling)
        x, y = grid.coordinates(dtype=torch.float64)
        mean = grid.average(torch.cos(x) * torch.cos(y))
        centre_x, centre_y = PixelGrid(num_pixels=8, pixel_scale=0.5).coordinates(
            dtype=torch.float64
        )
        exact = torch.cos(centre_x) * torch.cos(centre_y) * (np.sin(0.25) / 0.25) ** 2
        errors.append((mean - exact).abs().max().item())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)
