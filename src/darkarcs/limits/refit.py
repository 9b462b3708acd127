"""The smooth lens fitted to an image with substructure: a check of the linear approximation.

The tangent space stands for all smooth lenses near the true one. A fit of the lens itself, by
Levenberg and Marquardt's method in float64, leaves a difference of its own; where the two agree
the approximation holds, where the fit leaves less the marginalized oracle is too hopeful, and
where it leaves more it is too modest, or the fit ended in a minimum beside the best one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from darkarcs.least_squares import Problem, minimize
from darkarcs.limits.derivatives import linearize
from darkarcs.limits.whitening import noise_scale
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.smooth import galaxies_of, smooth_values

_FIRST_DAMPING = 1e-3
#: A fit has converged when a step lowers chi-squared by a smaller share of the first than this.
_TOLERANCE = 1e-6


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
    converged : bool
        Whether the last of them changed next to nothing.
    """

    d: float
    remaining: float
    values: dict[str, float]
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
        At most this many pairs of steps, see `darkarcs.least_squares.minimize`.

    Returns
    -------
    Refit
        Compare ``remaining`` with d_perp.
    """
    galaxies = galaxies_of(scene, smooth, torch.float64)
    values = smooth_values(smooth)
    truth = scene.render_values(values, galaxies)
    scale = noise_scale(scene, truth, smooth)

    def lens(point: Tensor) -> dict[str, Tensor]:
        return values | {name: values[name] + point[:, i] for i, name in enumerate(names)}

    def slopes(points: Tensor) -> Tensor:
        each = [linearize(scene, lens(p[None]), names, galaxies).derivatives for p in points]
        return torch.stack(each)

    everywhere = torch.full((len(names),), torch.inf, dtype=torch.float64)
    square = (((image.double() - truth) * scale) ** 2).sum()
    fitted = minimize(
        Problem(
            data=image.double()[None],
            model=lambda points: scene.render_values(lens(points), galaxies),
            slopes=slopes,
            weight=lambda prediction, which: scale.expand_as(prediction),
            low=-everywhere,
            high=everywhere,
            prior=0.0,
        ),
        torch.zeros(1, len(names), dtype=torch.float64),
        max_steps=max_steps,
        tolerance=_TOLERANCE * float(square),
        damping=_FIRST_DAMPING,
    )
    found = {name: float(value) for name, value in lens(fitted.parameters).items() if name in names}
    remaining = float(fitted.objective.sqrt())
    return Refit(float(square.sqrt()), remaining, found, bool(fitted.converged))
