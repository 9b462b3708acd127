"""Geometry of preprocessing in NumPy alone: centre crop or pad, and antialiased resizing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def border_median(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Estimate each image's background from its outermost pixels.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        Images.

    Returns
    -------
    ndarray, shape (N, C, 1, 1)
        The median of the border of one pixel's width, a channel.

    Examples
    --------
    >>> border_median(np.full((1, 1, 4, 4), 3.0, dtype=np.float32)).item()
    3.0
    """
    edges = (images[..., 0, :], images[..., -1, :], images[..., 1:-1, 0], images[..., 1:-1, -1])
    median: NDArray[np.float32] = np.median(np.concatenate(edges, axis=-1), axis=-1)
    return median[..., None, None]


def centre_crop(images: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Cut the centre out of images, or pad them with the median of their border.

    Where the parity of the old and the new length differ, the centre is rounded towards the
    first row or column.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        Images.
    height, width : int, pixels
        Lengths of the result.

    Returns
    -------
    ndarray, shape (N, C, height, width)
        A view where nothing was padded.

    Examples
    --------
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> centre_crop(image, 2, 2)[0, 0].tolist()
    [[5.0, 6.0], [9.0, 10.0]]
    >>> centre_crop(image, 6, 6)[0, 0, 0, 0].item()
    7.5
    """
    old_height, old_width = images.shape[-2:]
    top, left = (old_height - height) // 2, (old_width - width) // 2
    kept = images[
        ...,
        max(top, 0) : max(top, 0) + min(height, old_height),
        max(left, 0) : max(left, 0) + min(width, old_width),
    ]
    if kept.shape[-2:] == (height, width):
        return kept
    padded = np.empty((*images.shape[:-2], height, width), dtype=images.dtype)
    padded[...] = border_median(images)
    first_row, first_column = max(-top, 0), max(-left, 0)
    padded[
        ...,
        first_row : first_row + kept.shape[-2],
        first_column : first_column + kept.shape[-1],
    ] = kept
    return padded


def resize_weights(
    old: int, new: int, *, start: float = 0.0, extent: float | None = None
) -> NDArray[np.float32]:
    """Make the matrix that resizes one axis by antialiased linear interpolation.

    Output pixel i is centred at ``start + (i + 1/2) extent / new`` (input pixel j covers
    ``[j, j + 1]``) and weighs the input by a triangle whose half-width is one pixel of the
    coarser grid, so that shrinking averages over what an output pixel covers. Each row is
    normalised to one; at the edges the triangle is cut, as Pillow does.

    Parameters
    ----------
    old, new : int, pixels
        Lengths of the axis before and after.
    start : float, default 0.0, pixels of the old axis
        Where the part to be kept begins.
    extent : float, optional, pixels of the old axis
        Length of the part to be kept; the rest of the axis by default.

    Returns
    -------
    ndarray, shape (new, old)
        Rows sum to one.

    Examples
    --------
    >>> (7 * resize_weights(4, 2)).round().tolist()
    [[3.0, 3.0, 1.0, 0.0], [0.0, 1.0, 3.0, 3.0]]
    >>> bool((resize_weights(5, 5) == np.eye(5)).all())
    True
    """
    extent = old - start if extent is None else extent
    step = extent / new
    centres = start + (np.arange(new) + 0.5) * step
    distance = np.abs(np.arange(old)[None, :] + 0.5 - centres[:, None]) / max(step, 1.0)
    weights = np.clip(1.0 - distance, 0.0, None)
    normalized: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalized.astype(np.float32)


def resize(
    images: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Resize images by two matrix products.

    Each image is taken relative to its first pixel, so that a constant image stays exactly
    constant, and each is multiplied on its own, so that its result does not depend on the
    images beside it.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        Images.
    rows : ndarray, shape (new H, H)
        Weights of the vertical axis, from `resize_weights`.
    columns : ndarray, shape (new W, W)
        Weights of the horizontal axis.

    Returns
    -------
    ndarray, shape (N, C, new H, new W)
        The resized images, float32.

    Examples
    --------
    >>> images = np.full((1, 1, 6, 6), 0.1, dtype=np.float32)
    >>> weights = resize_weights(6, 4)
    >>> bool((resize(images, weights, weights) == images[0, 0, 0, 0]).all())
    True
    """
    anchor = images[..., :1, :1]
    resized: NDArray[np.float32] = np.matmul(np.matmul(rows, images - anchor), columns.T)
    resized += anchor
    return resized
