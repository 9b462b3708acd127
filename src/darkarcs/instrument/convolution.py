"""Convolution of batches of images with point-spread functions, in Fourier space or directly."""

from __future__ import annotations

from typing import Literal

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

from darkarcs.errors import DataError
from darkarcs.instrument.separable_convolution import convolve_separably, separate
from darkarcs.kernels import use_kernel

#: How to convolve.
Method = Literal["auto", "fft", "direct"]

#: Sum of the sides up to which two compiled passes are quicker than Fourier space.
_MAX_TAPS = 200


def convolve(images: Tensor, kernel: Tensor, *, method: Method = "auto") -> Tensor:
    """Convolve images; outside them there is nothing.

    All methods give the same, as ``scipy.signal.fftconvolve(mode="same")`` does. "fft" and
    "direct" are differentiable in images and kernel; Fourier space costs the same for every
    kernel, directly is faster for kernels of a few pixels. "auto" is "fft", except where a
    kernel of moderate size is a column times a row, as Gaussian ones are: that it finds out and
    convolves in two compiled passes, on the CPU, in float32 and without derivatives.

    Light that leaves the image is lost: render a margin of half a kernel around what is wanted
    if sources reach the edge. (lenstronomy repeats the edge for its Gaussian kernels instead.)

    Parameters
    ----------
    images : Tensor, shape (..., H, W)
        Float32 or float64.
    kernel : Tensor, shape (K, K) or (B, K, K)
        Odd sides; one for all images, or one for each along the first axis of ``images``.
    method : "auto", "fft" or "direct", default "auto"
        How.

    Returns
    -------
    Tensor, shape (..., H, W)
        In the precision of ``images``.

    Raises
    ------
    DataError
        If the shapes do not fit.

    Examples
    --------
    >>> point = torch.zeros(5, 5)
    >>> point[2, 2] = 1
    >>> kernel = torch.arange(9.0).reshape(3, 3)
    >>> convolve(point, kernel)[1:4, 1:4].round().int().tolist()
    [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    """
    rows, columns = kernel.shape[-2:]
    if kernel.ndim not in (2, 3) or rows % 2 == 0 or columns % 2 == 0:
        raise DataError(f"a kernel of shape {tuple(kernel.shape)} is not (odd, odd) or (B, ...)")
    if kernel.ndim == 3 and (images.ndim < 3 or len(kernel) not in (1, len(images))):
        raise DataError(
            f"{len(kernel)} kernels do not fit images of shape {tuple(images.shape)}: "
            "give one, or one for each image"
        )
    kernel = kernel.to(images)
    if method == "direct":
        return _convolve_directly(images, kernel)
    if method == "auto" and rows + columns <= _MAX_TAPS and use_kernel("auto", (images, kernel)):
        lines = separate(kernel)
        if lines is not None:
            return convolve_separably(images, *lines)
    height, width = images.shape[-2:]
    padded = (_fast_length(height + rows - 1), _fast_length(width + columns - 1))
    transfer = torch.fft.rfft2(kernel, s=padded)
    if kernel.ndim == 3:
        transfer = transfer.reshape(len(kernel), *[1] * (images.ndim - 3), *transfer.shape[-2:])
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(images, s=padded) * transfer, s=padded)
    top, left = rows // 2, columns // 2
    return blurred[..., top : top + height, left : left + width]


def _convolve_directly(images: Tensor, kernel: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    flipped = kernel.flip(-2, -1)  # torch correlates
    padding = (kernel.shape[-2] // 2, kernel.shape[-1] // 2)
    if kernel.ndim == 2 or len(kernel) == 1:
        flat = images.reshape(-1, 1, height, width)
        blurred = functional.conv2d(
            flat, flipped.reshape(1, 1, *kernel.shape[-2:]), None, 1, padding
        )
    else:
        grouped = images.reshape(len(images), -1, height, width).transpose(0, 1)
        weights = flipped[:, None]
        blurred = functional.conv2d(grouped, weights, None, 1, padding, groups=len(kernel))
        blurred = blurred.transpose(0, 1)
    return blurred.reshape(images.shape)


def _fast_length(length: int) -> int:
    return int(next_fast_len(length, real=True))
