"""Evidence by erasing: how much of a class is lost when a piece of the image goes.

References
----------
.. [1] Zeiler & Fergus 2014, ECCV, arXiv:1311.2901, section 4.2: occlusion sensitivity.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from darkarcs.errors import ModelError
from darkarcs.explain.filling import Fill, filling
from darkarcs.explain.scores import Measure, class_score, resolve_class


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Place windows along one side, so that every pixel is covered.

    Parameters
    ----------
    length, window, stride : int, pixels
        Of the side, of a window, and between windows.

    Returns
    -------
    list of int
        Where windows begin; the last one ends with the side.

    Examples
    --------
    >>> window_starts(10, 4, 4), window_starts(8, 4, 2)
    ([0, 4, 6], [0, 2, 4])
    """
    last = length - window
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


@torch.no_grad()
def evidence_map(
    model: nn.Module,
    images: Tensor,
    patch_size: int,
    stride: int | None = None,
    fill: Fill = "background",
    class_index: int | Tensor | None = None,
    *,
    measure: Measure = "log_odds",
    batch_size: int = 128,
    seed: int = 0,
) -> Tensor:
    """Measure what each piece of an image contributes to a class [1]_.

    A square window is filled with the image's own sky, the model predicts again, and the drop
    of the class is noted; a pixel gets the mean drop of the windows that cover it. Positive
    where the image speaks for the class, negative where it speaks against.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode; any model whose output has ``logits``.
    images : Tensor, shape (B, C, H, W)
        Preprocessed, on the model's device.
    patch_size : int, pixels
        Side of the window.
    stride : int, optional, pixels
        Between windows; the side of a window by default, so that windows do not overlap.
        Smaller strides give a smoother map at the square of the cost.
    fill : {"background", "level", "mean"}, default "background"
        See `darkarcs.explain.filling.Fill`.
    class_index : int, or Tensor of shape (B,), optional
        Evidence for what; by default for the class that each image is called.
    measure : {"log_odds", "probability"}, default "log_odds"
        What drops, see `darkarcs.explain.scores.Measure`.
    batch_size : int, default 128
        Images a forward pass.
    seed : int, default 0
        Of the filling noise.

    Returns
    -------
    Tensor, shape (B, H, W)
        Drop of the log-odds or of the probability, on the images' device.

    Raises
    ------
    ModelError
        If the window does not fit into the image.

    References
    ----------
    .. [1] Zeiler & Fergus 2014, ECCV, arXiv:1311.2901, section 4.2.
    """
    height, width = images.shape[-2:]
    step = patch_size if stride is None else stride
    if not 1 <= step <= patch_size <= min(height, width):
        raise ModelError(
            f"evidence map of {height} x {width} pixels: needs 1 <= stride <= patch_size <= "
            f"{min(height, width)}, not stride {step} and patch_size {patch_size}"
        )
    corners = [
        (top, left)
        for top in window_starts(height, patch_size, step)
        for left in window_starts(width, patch_size, step)
    ]
    maps = []
    for image, replacement, chosen in _each(model, images, fill, class_index, batch_size, seed):
        scores = [class_score(model(image).logits, chosen, measure)]
        for first in range(0, len(corners), batch_size):
            part = corners[first : first + batch_size]
            erased = image.repeat(len(part), 1, 1, 1)
            for row, (top, left) in enumerate(part):
                window = (slice(None), slice(top, top + patch_size), slice(left, left + patch_size))
                erased[(row, *window)] = replacement[window]
            scores.append(class_score(model(erased).logits, chosen.expand(len(part)), measure))
        whole, *parts = scores
        drops = whole - torch.cat(parts)
        maps.append(_spread(drops, corners, patch_size, height, width))
    return torch.stack(maps) if maps else images.new_zeros(0, height, width)


def _each(
    model: nn.Module,
    images: Tensor,
    fill: Fill,
    class_index: int | Tensor | None,
    batch_size: int,
    seed: int,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Give for each image itself (1, C, H, W), its filling (C, H, W) and its class (1,)."""
    if not len(images):
        return
    starts = range(0, len(images), batch_size)
    logits = torch.cat([model(images[start : start + batch_size]).logits for start in starts])
    chosen = resolve_class(logits, class_index)
    replacements = filling(images, fill, seed)
    for row in range(len(images)):
        yield images[row : row + 1], replacements[row], chosen[row : row + 1]


def _spread(
    drops: Tensor, corners: list[tuple[int, int]], window: int, height: int, width: int
) -> Tensor:
    """Average over each pixel the drops of the windows that cover it."""
    total, count = drops.new_zeros(height, width), drops.new_zeros(height, width)
    for drop, (top, left) in zip(drops, corners, strict=True):
        covered = (slice(top, top + window), slice(left, left + window))
        total[covered] += drop
        count[covered] += 1
    return total / count
