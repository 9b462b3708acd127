"""From batches of tensors to the flat arrays that the compiled loops read, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from darkarcs.kernels.threads import run_in_parts

#: Pixels that threads share out together, a multiple of what one turn of a vectorised loop takes:
#: what is left over at its end, which is rounded otherwise, is the same for any number of threads.
_BLOCK = 256


def misfit_of_masses(theta_x: Tensor, theta_y: Tensor, *masses: Tensor) -> str | None:
    """Say why shapes are not those of positions and many masses in each of many lenses.

    Shapes beyond the documented ones are left to torch's broadcasting, or to its errors.

    Parameters
    ----------
    theta_x, theta_y : Tensor
        Fit with shape (H, W), (1, H, W) or (B, H, W).
    *masses : Tensor
        Fit with shape (B, S).

    Returns
    -------
    str or None
        None if they fit.

    Examples
    --------
    >>> theta = torch.zeros(8, 8)
    >>> misfit_of_masses(theta, theta, torch.ones(2, 5)) is None
    True
    """
    batches = {len(value) for value in masses if value.ndim == 2}
    fits = (
        theta_x.shape == theta_y.shape
        and theta_x.ndim in (2, 3)
        and len(batches) == 1
        and (theta_x.ndim == 2 or len(theta_x) in (1, *batches))
    )
    return None if fits else "takes positions (H, W) or (B, H, W) and masses (B, S)"


def misfit_of_profile(theta_x: Tensor, theta_y: Tensor, *parameters: Tensor | float) -> str | None:
    """Say why shapes are not those of positions and one profile in each of many images.

    Parameters
    ----------
    theta_x, theta_y : Tensor
        Fit with shape (H, W), (1, H, W) or (B, H, W).
    *parameters : Tensor or float
        Fit as numbers, or with shape (1, 1, 1) or (B, 1, 1).

    Returns
    -------
    str or None
        None if they fit.

    Examples
    --------
    >>> theta = torch.zeros(8, 8)
    >>> misfit_of_profile(theta, theta, torch.ones(2, 1, 1), 0.5) is None
    True
    """
    tensors = [value for value in parameters if isinstance(value, Tensor) and value.ndim != 0]
    batched = tensors if theta_x.ndim == 2 else [*tensors, theta_x]
    batches = {len(value) for value in batched if value.ndim == 3}
    fits = (
        theta_x.shape == theta_y.shape
        and theta_x.ndim in (2, 3)
        and theta_x.numel() > 0
        and all(value.ndim == 3 and value.shape[1:] == (1, 1) for value in tensors)
        and len(batches - {1}) <= 1
        and 0 not in batches
    )
    return None if fits else "takes positions (H, W) or (B, H, W) and parameters (B, 1, 1)"


def tabulate(theta: Tensor, *parameters: Tensor | float) -> Tensor:
    """Write the parameters of a profile as one row for each image.

    Parameters
    ----------
    theta : Tensor, shape (H, W), (1, H, W) or (B, H, W)
        Either coordinate of the positions.
    *parameters : Tensor or float
        For which `misfit_of_profile` finds nothing.

    Returns
    -------
    Tensor, shape (B, number of parameters), float32
        The table; B is 1 where nothing has a batch.

    Examples
    --------
    >>> tabulate(torch.zeros(8, 8), torch.tensor([1.0, 2.0])[:, None, None], 0.5).tolist()
    [[1.0, 0.5], [2.0, 0.5]]
    """
    values = [theta, *parameters]
    batch = max(len(v) if isinstance(v, Tensor) and v.ndim == 3 else 1 for v in values)
    table = np.empty((batch, len(parameters)), dtype=np.float32)
    for column, value in enumerate(parameters):
        if isinstance(value, Tensor):
            table[:, column] = value.detach().numpy().ravel()
        else:
            table[:, column] = value
    return torch.from_numpy(table)


def run_over_images(
    loop: Callable[..., None],
    theta_x: Tensor,
    theta_y: Tensor,
    parameters: Sequence[Tensor],
    *tables: Tensor,
    num_results: int = 2,
) -> tuple[Tensor, ...]:
    """Run a compiled loop over all pixels of all images, on torch's number of threads.

    Whole images are shared out; fewer images than threads are shared out by their pixels.

    Parameters
    ----------
    loop : callable
        Gets positions, parameters, tables, results, and the first and last (exclusive)
        image and pixel of its part.
    theta_x, theta_y : Tensor, shape (H, W), (1, H, W) or (B, H, W), float32, arcsec
        Positions.
    parameters : sequence of Tensor, shape (B, ...), float32
        Of each image.
    *tables : Tensor
        What else the loop reads.
    num_results : int, default 2
        How many arrays it fills.

    Returns
    -------
    tuple of Tensor, shape (B, H, W), float32
        The results.
    """
    batch, pixels = len(parameters[0]), theta_x.shape[-2:]
    results = torch.empty((num_results, batch, pixels.numel()))
    flat = (theta.reshape(-1, pixels.numel()) for theta in (theta_x, theta_y))
    inputs = (*flat, *parameters, *tables)
    arrays = [array.detach().contiguous().numpy() for array in inputs] + [*results.numpy()]
    if batch >= torch.get_num_threads():
        run_in_parts(lambda first, last: loop(*arrays, first, last, 0, pixels.numel()), batch)
    else:
        end = pixels.numel()

        def pixels_of(first: int, last: int) -> None:
            loop(*arrays, 0, batch, first * _BLOCK, min(last * _BLOCK, end))

        run_in_parts(pixels_of, -(-end // _BLOCK))
    return tuple(results.reshape(num_results, batch, *pixels))


def run_profile(
    loop: Callable[..., None],
    theta_x: Tensor,
    theta_y: Tensor,
    *parameters: Tensor | float,
    num_results: int = 2,
) -> tuple[Tensor, ...]:
    """Run a compiled loop for one profile in each image.

    Parameters
    ----------
    loop : callable
        As for `run_over_images`; reads its parameters from the table of `tabulate`.
    theta_x, theta_y : Tensor, shape (H, W), (1, H, W) or (B, H, W), float32, arcsec
        Positions.
    *parameters : Tensor or float
        For which `misfit_of_profile` finds nothing.
    num_results : int, default 2
        How many arrays the loop fills.

    Returns
    -------
    tuple of Tensor, shape (H, W) or (B, H, W), float32
        The results, in the shape that broadcasting gives.
    """
    table = tabulate(theta_x, *parameters)
    results = run_over_images(loop, theta_x, theta_y, [table], num_results=num_results)
    if any(isinstance(value, Tensor) and value.ndim == 3 for value in (theta_x, *parameters)):
        return results
    return tuple(result[0] for result in results)
