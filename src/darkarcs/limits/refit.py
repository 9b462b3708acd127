"""The smooth lens fitted to an image with substructure: a check of the linear approximation.

The tangent space stands for all smooth lenses near the true one. A fit of the lens itself, by
Levenberg and Marquardt's method in float64, leaves a difference of its own; where the two agree
the approximation holds, where the fit leaves less the marginalized oracle is too hopeful, and
where it leaves more it is too modest, or the fit ended in a minimum beside the best one.

References
----------
.. [1] Marquardt 1963, Journal of SIAM 11, 431.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.limits.derivatives import linearize
from darkarcs.limits.whitening import noise_scale
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.smooth import galaxies_of, smooth_values

_FIRST_DAMPING = 1e-3
_LARGEST_DAMPING = 1e8
#: A fit has converged when a step lowers chi-squared by a smaller share than this.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Refit:
    """Result of `refit`.

    Attributes
    ----------
    d : float
        Of the image from the true smooth lens.
    remaining : float
        Of the image from the fitted one.
    values : dict of str to float
        The fitted parameters.
    num_steps : int
        Steps that were taken.
    converged : bool
        Whether the last of them changed next to nothing.
    """

    d: float
    remaining: float
    values: dict[str, float]
    num_steps: int
    converged: bool


def refit(
    scene: Scene,
    smooth: LensParameters,
    image: Tensor,
    names: tuple[str, ...],
    *,
    max_steps: int = 25,
) -> Refit:
    """Fit the smooth lens, its source and blur to a noiseless image.

    Parameters
    ----------
    scene : Scene
        Of the lens.
    smooth : LensParameters
        The one true smooth lens, where the fit starts.
    image : Tensor, shape (C, H, W)
        What is fitted, in the noise of the true smooth image.
    names : tuple of str
        The free parameters, from `darkarcs.scenes.smooth.macro_nuisances`.
    max_steps : int, default 25
        At most this many.

    Returns
    -------
    Refit
        Compare ``remaining`` with d_perp.
    """
    galaxies = galaxies_of(scene, smooth, torch.float64)
    values = smooth_values(smooth)
    truth = scene.render_values(values, galaxies)
    scale = noise_scale(scene, truth, smooth)[0]

    def distance(rendered: Tensor) -> NDArray[np.float64]:
        return np.asarray(((image.to(rendered) - rendered) * scale).flatten().numpy())

    residual = distance(truth[0])
    start = square = float(residual @ residual)
    damping, steps, converged = _FIRST_DAMPING, 0, False
    while steps < max_steps and not converged and damping < _LARGEST_DAMPING:
        change = linearize(scene, values, names, galaxies)
        slopes = (change.derivatives * scale).flatten(1).numpy()  # (K, P)
        while damping < _LARGEST_DAMPING:
            step = _damped_step(slopes, residual, damping)
            moved = values | {name: values[name] + by for name, by in zip(names, step, strict=True)}
            trial = distance(scene.render_values(moved, galaxies)[0])
            lower = float(trial @ trial)
            if np.isfinite(lower) and lower < square:
                break
            damping *= 10
        else:  # no step helps any more: this is the minimum, to rounding
            converged = True
            break
        converged = square - lower < _TOLERANCE * square
        values, residual, square = moved, trial, lower
        damping, steps = damping / 10, steps + 1
    fitted = {name: float(values[name]) for name in names}
    return Refit(start**0.5, square**0.5, fitted, steps, converged)


def _damped_step(
    slopes: NDArray[np.float64], residual: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    """Solve the damped normal equations; parameters scaled by their own slopes."""
    lengths = np.linalg.norm(slopes, axis=1)
    unit = slopes / np.where(lengths > 0, lengths, 1.0)[:, None]
    normal = unit @ unit.T + damping * np.eye(len(unit))
    step = np.linalg.solve(normal, unit @ residual)
    return np.asarray(np.where(lengths > 0, step / np.where(lengths > 0, lengths, 1.0), 0.0))
