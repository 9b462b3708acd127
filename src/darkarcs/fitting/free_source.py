r"""Sources that are no Sersic profile: a field of bumps that is marginalized beside the lens.

A fit leaves the light of a smooth galaxy, S; nature's galaxies have arms and knots, which a lens
turns into what subhalos would do. Here the source is

.. math:: S(\beta) \left[ 1 + \sum_m a_m \, e^{-|\beta - \beta_m|^2 / 2 w^2} \right]

with bumps on a square grid in the source's plane, a bump's width w apart, and amplitudes that
have independent normal priors, so that the bracket is a Gaussian field of the given rms. The
amplitudes enter the image linearly, like the parameters of the smooth lens in the neighbourhood
of a fit: both are found together by a few steps of Gauss-Newton and marginalized together, so
that a subhalo stands out only where neither a lens nor a source does the same. How rugged the
source is, the image says itself: of a few rms the one with the highest evidence is taken [2]_, and
a source that is a Sersic profile stays one.

References
----------
.. [1] Warren & Dye 2003, ApJ 590, 673: sources on a grid are a linear problem.
.. [2] Suyu, Marshall, Hobson & Blandford 2006, MNRAS 371, 983: the evidence chooses how strongly
   the source is regularized.
.. [3] Vegetti & Koopmans 2009, MNRAS 392, 945: lens, source and substructure together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from darkarcs.fitting.smooth_fit import SmoothFitter
from darkarcs.fitting.source_field import OVERLAP, SourceField
from darkarcs.scenes.rendering import light, trace

#: RMS of the field among which the evidence chooses.
RUGGEDNESS = (0.01, 0.1, 0.3, 1.0, 3.0)
#: Distance of bumps at least, in pixels.
_FINEST = 0.5
#: Steps of Gauss-Newton, halvings of each, and the farthest that a parameter of the lens moves.
_STEPS, _HALVINGS, _FARTHEST = 10, 3, 1.0
#: Less gain in chi-squared ends them.
_GAIN = 1.0
#: Step of numerical derivatives: in standard deviations of the prior; in samples.
_DIFFERENCE, _MOVE = 0.01, 0.01


class FreeFit(NamedTuple):
    """One image's lens and source, and their surroundings in units of the noise.

    Attributes
    ----------
    residuals : Tensor, shape (P,), float64
        Of all P pixels of all bands.
    known : Tensor, shape (K + M, P), float64
        Combinations of slopes whose square is what lens and source can explain; see
        `darkarcs.fitting.subhalo_search`.
    signal : Tensor, shape (C, H, W)
        Fitted light, in units of the noise.
    weights : Tensor, shape (C, H, W)
        From the light of the source to units of the noise.
    slopes : Tensor, shape (2, 1, N, N)
        Of the source's light in its position, ray by ray.
    values : dict of str to Tensor of shape (1,)
        Fitted columns.
    ruggedness : float
        RMS of the field.
    """

    residuals: Tensor
    known: Tensor
    signal: Tensor
    weights: Tensor
    slopes: Tensor
    values: dict[str, Tensor]
    ruggedness: float


class _Point(NamedTuple):
    """A lens and the amplitudes of its source, rendered."""

    parameters: Tensor  # (K,)
    amplitudes: Tensor  # (M,)
    values: dict[str, Tensor]
    beta: tuple[Tensor, Tensor]
    source: Tensor  # (1, N, N): the galaxy without its bumps
    image: Tensor  # (C, H, W)


class _Slopes:
    """An image around a point, in units of its noise, as if it were linear; float64.

    Parameters
    ----------
    whole : Tensor, shape (K + M, P)
        Slopes of the P pixels in the lens, then in bumps of unit amplitude.
    data : Tensor, shape (P,)
        Counted from where all parameters and amplitudes are zero.
    """

    def __init__(self, whole: Tensor, data: Tensor) -> None:
        self.whole, self.data = whole, data
        self.gram, self.score = whole @ whole.T, whole @ data

    def triangle(self, deviations: Tensor) -> Tensor:
        """Cholesky factor of the curvature, the priors' standard deviations being units."""
        curvature = deviations[:, None] * self.gram * deviations
        curvature.diagonal().add_(1.0)
        factor: Tensor = torch.linalg.cholesky(curvature)
        return factor

    def best(self, deviations: Tensor) -> Tensor:
        """Parameters and amplitudes at the minimum."""
        towards = (deviations * self.score)[:, None]
        return deviations * torch.cholesky_solve(towards, self.triangle(deviations))[:, 0]

    def known(self, deviations: Tensor) -> Tensor:
        """What lens and source explain; see `FreeFit`."""
        slopes = self.whole * deviations[:, None]
        found: Tensor = torch.linalg.solve_triangular(
            self.triangle(deviations), slopes, upper=False
        )
        return found


class FreeSource:
    """Fits lenses together with free sources, from fits of Sersic sources on.

    Parameters
    ----------
    fitter : SmoothFitter
        Gives scene, coordinates and noise.
    """

    def __init__(self, fitter: SmoothFitter) -> None:
        self.fitter = fitter
        scene = fitter.scene
        self.finest = _FINEST * scene.instrument.pixel_scale

    def fit(self, image: Tensor, parameters: Tensor) -> FreeFit:
        """Fit one image.

        Parameters
        ----------
        image : Tensor, shape (C, H, W), electrons / s
            As the scene's instrument observes it.
        parameters : Tensor, shape (K,)
            Standardized coordinates of the lens that was fitted to it.

        Returns
        -------
        FreeFit
            At the minimum, in linear approximation.
        """
        values = self.fitter.coordinates.decode(parameters[None])
        centre = (float(values["source.centre_x"]), float(values["source.centre_y"]))
        radius = float(values["source.half_light_radius"])
        field = SourceField.around(centre, radius, self.finest)
        sky = self.fitter.noise.sky_factor(image[None])
        point = self._render(field, parameters, torch.zeros(int(field.inside.sum())))
        for step in range(_STEPS + 1):
            scale = self.fitter.noise.scale(self.fitter.scene, point.image[None], sky)[0]
            near = self._slopes(field, point, image, scale)
            rms = self._ruggedness(near, len(parameters))
            deviations = self._deviations(near, len(parameters), rms)
            best = near.best(deviations)
            if step == _STEPS:
                break
            there, gain = self._move(field, point, image, scale, best, deviations)
            if gain < _GAIN:  # the linear approximation around here is as good
                break
            point = there
        shares = self._shares(point.values)
        return FreeFit(
            residuals=near.data - best @ near.whole,
            known=near.known(deviations),
            signal=point.image * scale,
            weights=shares * scale,
            slopes=self._source_slopes(field, point),
            values=point.values,
            ruggedness=rms,
        )

    def _deviations(self, near: _Slopes, num_lens: int, rms: float) -> Tensor:
        """Standard deviations of the prior; of lenses they are one."""
        deviations = torch.ones(len(near.whole), dtype=torch.float64)
        deviations[num_lens:] = rms / OVERLAP
        return deviations

    def _ruggedness(self, near: _Slopes, num_lens: int) -> float:
        """Choose the rms with the highest evidence."""

        def log_evidence(rms: float) -> float:
            deviations = self._deviations(near, num_lens, rms)
            triangle = near.triangle(deviations)
            along = (deviations * near.score)[:, None]
            along = torch.linalg.solve_triangular(triangle, along, upper=False)
            return float(0.5 * (along**2).sum() - triangle.diagonal().log().sum())

        return max(RUGGEDNESS, key=log_evidence)

    def _move(
        self,
        field: SourceField,
        point: _Point,
        image: Tensor,
        scale: Tensor,
        best: Tensor,
        deviations: Tensor,
    ) -> tuple[_Point, float]:
        """Go towards the minimum as far as it gets better, and tell by how much in chi-squared."""
        num_lens = len(point.parameters)
        limits = self.fitter.coordinates
        towards = (best[:num_lens].float() - point.parameters).clamp(-_FARTHEST, _FARTHEST)
        change = best[num_lens:].float() - point.amplitudes

        def objective(there: _Point) -> float:
            misfit = (((image - there.image) * scale).double() ** 2).sum()
            prior = (there.parameters.double() ** 2).sum()
            bumps = ((there.amplitudes / deviations[num_lens:]) ** 2).sum()
            return float(misfit + prior + bumps)

        before = objective(point)
        for halving in range(_HALVINGS + 1):
            share = 0.5**halving
            parameters = (point.parameters + share * towards).clamp(limits.low, limits.high)
            there = self._render(field, parameters, point.amplitudes + share * change)
            after = objective(there)
            if after < before:
                return there, before - after
        return point, 0.0

    def _render(self, field: SourceField, parameters: Tensor, amplitudes: Tensor) -> _Point:
        values = self.fitter.coordinates.decode(parameters[None])
        beta, source = self._rays(values)
        image = self.fitter.scene.collect(source * (1 + field.sum(beta, amplitudes)), values)[0]
        return _Point(parameters, amplitudes, values, beta, source, image)

    def _rays(self, values: dict[str, Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Where rays meet the plane of the source, and the galaxy's light there, (B, N, N)."""
        scene = self.fitter.scene
        _, beta = trace(values, scene.lens, scene.grid)
        return beta, light(*beta, values, "source", scene.source, None)

    def _shares(self, values: dict[str, Tensor]) -> Tensor:
        """Of each band in the light of the source, shape (C, 1, 1)."""
        channels = self.fitter.scene.channels
        return torch.cat([values[f"{one.prefix}.source"] for one in channels])[:, None, None]

    def _slopes(self, field: SourceField, point: _Point, image: Tensor, scale: Tensor) -> _Slopes:
        scene, num = self.fitter.scene, len(point.parameters)
        moved = self.fitter.coordinates.decode(point.parameters + _DIFFERENCE * torch.eye(num))
        beta, source = self._rays(moved)
        images = scene.collect(source * (1 + field.sum(beta, point.amplitudes)), moved)
        lens = (images - point.image) / _DIFFERENCE
        # the blur is linear: bumps take the part of bands
        blurred = scene.blur((point.source * field.bumps(point.beta))[None], point.values)[0]
        bumps = blurred[:, None] * self._shares(point.values)
        slopes = (torch.cat([lens, bumps]) * scale).flatten(1).double()
        residuals = ((image - point.image) * scale).flatten().double()
        here = torch.cat([point.parameters, point.amplitudes]).double()
        return _Slopes(slopes, residuals + here @ slopes)

    def _source_slopes(self, field: SourceField, point: _Point) -> Tensor:
        """Of the light in the source's position: that is, of rays that move the other way."""
        scene = self.fitter.scene
        step = _MOVE * scene.grid.sample_scale
        slopes = []
        for axis in (0, 1):
            sides = []
            for move in (step, -step):
                beta = [part.clone() for part in point.beta]
                beta[axis] = beta[axis] - move
                x, y = beta
                source = light(x, y, point.values, "source", scene.source, None)
                sides.append(source * (1 + field.sum((x, y), point.amplitudes)))
            slopes.append((sides[0] - sides[1]) / (2 * step))
        return torch.stack(slopes)
