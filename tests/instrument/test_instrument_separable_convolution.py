"""Two compiled passes: equal to Fourier space, and taken only for products of lines."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from darkarcs.instrument import convolution, convolve, gaussian_kernel, moffat_kernel
from darkarcs.instrument.separable_convolution import convolve_separably, separate


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def crooked(height: int, width: int) -> Tensor:
    """A product of lines without symmetry, some of it negative."""
    column, row = images(height, seed=1) - 0.3, images(width, seed=2) - 0.4
    return column[:, None] * row


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many taps each call of the compiled convolution had."""
    seen: list[int] = []

    def count(some: Tensor, column: Tensor, row: Tensor) -> Tensor:
        seen.append(column.shape[-1] + row.shape[-1])
        return convolve_separably(some, column, row)

    monkeypatch.setattr(convolution, "convolve_separably", count)
    return seen


@pytest.mark.parametrize("shape", [(64, 64), (3, 20, 33), (2, 3, 17, 8), (1, 1, 1)])
@pytest.mark.parametrize("sides", [(1, 1), (3, 5), (7, 7), (9, 1), (41, 27)])
def test_equal_to_fourier_space(
    shape: tuple[int, ...], sides: tuple[int, int], passes: list[int]
) -> None:
    """Kernels wider than the images among them."""
    some, kernel = images(*shape), crooked(*sides)
    found = convolve(some, kernel)
    exact = convolve(some.double(), kernel.double(), method="fft")
    assert passes == [sum(sides)]
    assert found.dtype == torch.float32
    scale = exact.abs().max().clamp(min=kernel.abs().max())
    assert ((found - exact).abs() <= 2e-6 * scale).all()


@pytest.mark.parametrize("shape", [(5, 20, 20), (5, 2, 20, 20)])
def test_a_kernel_for_each_image(shape: tuple[int, ...], passes: list[int]) -> None:
    some, kernels = images(*shape), gaussian_kernel(torch.linspace(0.1, 0.4, 5), 0.1, size=13)
    found = convolve(some, kernels)
    assert passes == [26]
    torch.testing.assert_close(found, convolve(some, kernels, method="fft"), rtol=0, atol=1e-6)


def test_other_kernels_go_through_fourier_space(passes: list[int]) -> None:
    some = images(2, 30, 30)
    whole = gaussian_kernel(0.3, 0.1, dtype=torch.float64)
    tilted = torch.eye(5)
    without_sum = torch.tensor([[1.0, 0.0, -1.0]] * 3)
    wide = torch.ones(151, 151)
    for kernel in (moffat_kernel(0.3, 3.0, 0.1, size=21), tilted, without_sum, wide):
        assert torch.equal(convolve(some, kernel), convolve(some, kernel, method="fft"))
    assert torch.equal(convolve(some.double(), whole), convolve(some.double(), whole, method="fft"))
    assert not passes
    convolve(some, whole)  # in the images' precision
    assert len(passes) == 1


def test_a_kernel_is_taken_apart_only_to_rounding() -> None:
    kernel = gaussian_kernel(0.3, 0.1)
    assert separate(kernel) is not None
    kernel[3, 4] += 1e-4 * kernel.max()
    assert separate(kernel) is None


def test_derivatives_go_through_auto(passes: list[int]) -> None:
    some, kernel = images(2, 12, 12), gaussian_kernel(0.3, 0.1)
    for leaf in (some, kernel):
        gradients = []
        leaf.requires_grad_()
        for method in ("auto", "fft"):
            chosen: Any = method
            blurred = convolve(some, kernel, method=chosen)
            gradients += torch.autograd.grad(blurred.square().sum(), leaf)
        leaf.requires_grad_(False)
        assert torch.equal(*gradients)
        assert gradients[0].any()
    assert not passes
    tangent = torch.ones_like(some)
    _, ours = torch.func.jvp(lambda value: convolve(value, kernel), (some,), (tangent,))
    torch.testing.assert_close(ours, convolve(tangent, kernel))


def test_what_is_not_a_number_stays_one() -> None:
    some = images(2, 9, 9)
    some[1, 4, 4] = torch.nan
    blurred = convolve(some, gaussian_kernel(0.1, 0.1))
    assert blurred[0].isfinite().all()
    assert blurred[1, 4, 4].isnan()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_two_threads_give_the_same(batch: int) -> None:
    some, kernel = images(batch, 40, 30), gaussian_kernel(0.3, 0.1)
    one = convolve(some, kernel)
    torch.set_num_threads(2)
    try:
        assert torch.equal(convolve(some, kernel), one)
    finally:
        torch.set_num_threads(1)
