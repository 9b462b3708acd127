"""Convolution with kernels that are a column times a row, as Gaussian ones are; compiled.

Two passes of K taps instead of Fourier space: for kernels up to about fifty pixels wide this is
several times faster.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.kernels import compiled, inlined, run_in_parts

#: Largest difference of a kernel from the product, over its peak: rounding of float32.
_TOLERANCE = 1e-6

_SIGNATURE = (
    "void(float32[:, :, ::1], float32[:, ::1], float32[:, ::1], float32[:, :, ::1], int64, int64)"
)


def separate(kernel: Tensor) -> tuple[Tensor, Tensor] | None:
    """Write kernels as products of a column and a row.

    Parameters
    ----------
    kernel : Tensor, shape (K, L) or (B, K, L)
        The kernels.

    Returns
    -------
    tuple of Tensor, shape (1 or B, K) and (1 or B, L), or None
        Column and row; None if one of the kernels is no such product to float32 rounding.

    Examples
    --------
    >>> line = torch.tensor([1.0, 2.0, 1.0])
    >>> column, row = separate(line[:, None] * line)
    >>> (column[0, :, None] * row[0]).tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    >>> separate(torch.eye(3)) is None
    True
    """
    kernels = kernel.reshape(-1, *kernel.shape[-2:])
    total = kernels.sum((1, 2))
    column, row = kernels.sum(2), kernels.sum(1) / total[:, None]
    difference = (column[:, :, None] * row[:, None] - kernels).abs().amax((1, 2))
    # a kernel without a sum gives NaN, for which no comparison holds
    if bool((difference <= _TOLERANCE * kernels.abs().amax((1, 2))).all()):
        return column, row
    return None


def convolve_separably(images: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Convolve images along their columns and along their rows; outside them there is nothing.

    Parameters
    ----------
    images : Tensor, shape (..., H, W), float32
        On the CPU.
    column, row : Tensor, shape (1 or B, odd), float32
        One pair for all images, or one for each along the first axis of ``images``.

    Returns
    -------
    Tensor, shape (..., H, W), float32
        The convolved images.

    Examples
    --------
    >>> image = torch.zeros(1, 3, 3)
    >>> image[0, 0, 1] = 1
    >>> line = torch.tensor([[1.0, 2.0, 3.0]])
    >>> convolve_separably(image, line, line).tolist()
    [[[2.0, 4.0, 6.0], [3.0, 6.0, 9.0], [0.0, 0.0, 0.0]]]
    """
    flat = images.detach().reshape(-1, *images.shape[-2:]).contiguous()
    blurred = torch.empty_like(flat)
    arrays = [flat, column.detach().contiguous(), row.detach().contiguous(), blurred]
    loop = compiled(_convolve, _SIGNATURE)
    numbers = [array.numpy() for array in arrays]
    run_in_parts(lambda first, last: loop(*numbers, first, last), len(flat))
    return blurred.reshape(images.shape)


def _convolve(
    images: NDArray[np.float32],  # (B, H, W)
    columns: NDArray[np.float32],  # (1 or B / n, K)
    rows: NDArray[np.float32],  # (1 or B / n, L)
    blurred: NDArray[np.float32],  # (B, H, W)
    first_image: int,
    last_image: int,
) -> None:
    height, width = images.shape[1:]
    above, beside = columns.shape[1] // 2, rows.shape[1] // 2
    stride = width + 2 * beside
    # four taps at a time, the last of them with weight zero, hence three more elements
    padded = np.zeros((height + 2 * above + 4) * stride + 3, dtype=np.float32)
    upright = np.zeros(height * stride + 3, dtype=np.float32)
    column, row = np.zeros(2 * above + 4, np.float32), np.zeros(2 * beside + 4, np.float32)
    for image in range(first_image, last_image):
        which = image * len(columns) // len(images)
        column[: 2 * above + 1], row[: 2 * beside + 1] = columns[which, ::-1], rows[which, ::-1]
        for i in range(height):
            start = (i + above) * stride + beside
            source, target = images[image, i], padded[start : start + width]
            for j in range(width):
                target[j] = source[j]
        _add_taps(padded, stride, column, 2 * above + 1, upright[: height * stride])
        for i in range(height):
            _add_taps(upright[i * stride :], 1, row, 2 * beside + 1, blurred[image, i])


@inlined
def _add_taps(
    source: NDArray[np.float32],
    stride: int,
    weights: NDArray[np.float32],
    count: int,
    total: NDArray[np.float32],
) -> None:
    """Sum the source, shifted by each multiple of the stride, times the weights."""
    for k in range(0, count, 4):
        w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        s0, s1 = source[k * stride :], source[(k + 1) * stride :]
        s2, s3 = source[(k + 2) * stride :], source[(k + 3) * stride :]
        if k == 0:
            for p in range(len(total)):
                total[p] = (w0 * s0[p] + w1 * s1[p]) + (w2 * s2[p] + w3 * s3[p])
        else:
            for p in range(len(total)):
                total[p] += (w0 * s0[p] + w1 * s1[p]) + (w2 * s2[p] + w3 * s3[p])
