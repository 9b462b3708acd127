"""Convolution against scipy, flux conservation, gradients."""

from __future__ import annotations

import pytest
import torch
from scipy.signal import fftconvolve

from darkarcs.errors import DataError
from darkarcs.instrument import convolve, gaussian_kernel

METHODS = ["fft", "direct"]


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(32, 32), (3, 17, 24), (2, 3, 20, 20)])
@pytest.mark.parametrize("side", [(3, 3), (7, 5), (25, 25)])
def test_one_kernel_as_scipy(method: str, shape: tuple[int, ...], side: tuple[int, int]) -> None:
    images, kernel = _random(*shape), _random(*side, seed=1)
    ours = convolve(images, kernel, method=method)
    for ours_one, image in zip(
        ours.reshape(-1, *shape[-2:]), images.reshape(-1, *shape[-2:]), strict=True
    ):
        # "same" of scipy is centred on the first argument when that is the larger one
        full = torch.from_numpy(fftconvolve(image.numpy(), kernel.numpy(), mode="full"))
        top, left = side[0] // 2, side[1] // 2
        expected = full[top : top + shape[-2], left : left + shape[-1]]
        torch.testing.assert_close(ours_one, expected, atol=1e-10, rtol=1e-10)
        if side[0] <= shape[-2] and side[1] <= shape[-1]:
            same = torch.from_numpy(fftconvolve(image.numpy(), kernel.numpy(), mode="same"))
            torch.testing.assert_close(ours_one, same, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_kernel_for_each_image(method: str, channels: tuple[int, ...]) -> None:
    images, kernels = _random(4, *channels, 16, 18), _random(4, 5, 5, seed=1)
    ours = convolve(images, kernels, method=method)
    for one, image, kernel in zip(ours, images, kernels, strict=True):
        torch.testing.assert_close(one, convolve(image, kernel))
    torch.testing.assert_close(
        convolve(images, kernels[:1], method=method), convolve(images, kernels[0])
    )


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_agrees_to_one_millionth(method: str) -> None:
    images, kernel = _random(2, 64, 64), gaussian_kernel(0.3, 0.05, dtype=torch.float64)
    single = convolve(images.float(), kernel, method=method)
    assert single.dtype == torch.float32
    expected = torch.from_numpy(fftconvolve(images[1].numpy(), kernel.numpy(), mode="same"))
    assert (single[1] - expected).abs().max() < 1e-6 * images.abs().max()


@pytest.mark.parametrize("method", METHODS)
def test_flux_is_conserved_inside(method: str) -> None:
    images = torch.zeros(2, 40, 40, dtype=torch.float64)
    images[:, 15:25, 15:25] = _random(2, 10, 10)
    blurred = convolve(images, gaussian_kernel(0.2, 0.1, dtype=torch.float64), method=method)
    torch.testing.assert_close(blurred.sum((1, 2)), images.sum((1, 2)))


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method: str) -> None:
    images, kernel = _random(2, 5, 5).requires_grad_(), _random(2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda i, k: convolve(i, k, method=method), (images, kernel))


@pytest.mark.parametrize("shape", [(4, 4), (3,), (1, 2, 3, 3)])
def test_bad_kernels(shape: tuple[int, ...]) -> None:
    if len(shape) == 1:
        shape = (1, 3, 4)
    with pytest.raises(DataError, match="is not"):
        convolve(torch.zeros(2, 8, 8), torch.zeros(shape))


def test_kernels_that_do_not_fit_the_batch() -> None:
    with pytest.raises(DataError, match="3 kernels do not fit"):
        convolve(torch.zeros(2, 8, 8), torch.zeros(3, 3, 3))
