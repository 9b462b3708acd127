"""From batches of tensors to the flat arrays that the compiled loops read, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from darkarcs.lensing.kernels.threads import run_in_parts


def run_over_images(
    loop: Callable[..., None],
    theta_x: Tensor,
    theta_y: Tensor,
    parameters: Sequence[Tensor],
    *tables: Tensor,
) -> tuple[Tensor, Tensor]:
    """Run a compiled loop over all pixels of all images, on torch's number of threads.

    Whole images are shared out; fewer images than threads are shared out by their pixels.

    Parameters
    ----------
    loop : callable
        Adds to sums: gets positions, parameters, tables, sums, and the first and last (exclusive)
        image and pixel of its part.
    theta_x, theta_y : Tensor, shape (H, W), (1, H, W) or (B, H, W), float32, arcsec
        Positions in the image plane.
    parameters : sequence of Tensor, shape (B, S), float32
        Of the masses.
    *tables : Tensor
        What else the loop reads.

    Returns
    -------
    alpha_x, alpha_y : Tensor, shape (B, H, W), float32, arcsec
        The sums.
    """
    batch, pixels = len(parameters[0]), theta_x.shape[-2:]
    sums = torch.zeros((2, batch, pixels.numel()))
    flat = (theta.reshape(-1, pixels.numel()) for theta in (theta_x, theta_y))
    inputs = (*flat, *parameters, *tables)
    arrays = [array.detach().contiguous().numpy() for array in inputs] + [*sums.numpy()]
    if batch >= torch.get_num_threads():
        run_in_parts(lambda first, last: loop(*arrays, first, last, 0, pixels.numel()), batch)
    else:
        run_in_parts(lambda first, last: loop(*arrays, 0, batch, first, last), pixels.numel())
    alpha_x, alpha_y = sums.reshape(2, batch, *pixels)
    return alpha_x, alpha_y
