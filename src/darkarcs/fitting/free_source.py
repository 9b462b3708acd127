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
#: Steps, of which so many choose the rms anew; less gain in chi-squared ahead ends them.
_STEPS, _CHOOSING, _GAIN = 20, 5, 1.0
#: How near the end of its range a parameter is at it.
_EDGE = 1e-4
#: Shortenings of a step, and the farthest that a parameter of the lens may move in one.
_TRIES, _FARTHEST = 8, 2.0
#: Columns that the source's light is proportional to. Bumps can do nearly the same, and fits would
#: go far along there; so brightness is held until the last step, which is linear in both.
_BRIGHTNESS = ("source.flux", "source.amplitude")
#: Pixels that no parameter changes by more, in units of the noise, tell nothing.
_DARK = 1e-3
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
        Light of the lens and source that were rendered last, in units of the noise.
    weights : Tensor, shape (C, H, W)
        From the light of the source to units of the noise.
    slopes : Tensor, shape (2, 1, N, N)
        Of the source's light in its position, ray by ray.
    parameters : Tensor, shape (K,)
        Standardized coordinates of the lens.
    values : dict of str to Tensor of shape (1,)
        Its columns.
    ruggedness : float
        RMS of the field.
    converged : bool
        Whether there was next to nothing left to gain.
    log_evidence : float
        Of this lens without subhalos, up to what is the same for all fits to the image.
    """

    residuals: Tensor
    known: Tensor
    signal: Tensor
    weights: Tensor
    slopes: Tensor
    parameters: Tensor
    values: dict[str, Tensor]
    ruggedness: float
    converged: bool
    log_evidence: float


class _Point(NamedTuple):
    """A lens and the amplitudes of its source, rendered."""

    parameters: Tensor  # (K,)
    amplitudes: Tensor  # (M,)
    values: dict[str, Tensor]
    beta: tuple[Tensor, Tensor]
    source: Tensor  # (1, N, N): the galaxy without its bumps
    field: Tensor  # (1, N, N): of the bumps
    image: Tensor  # (C, H, W)


class _Linear:
    """An image around a point, in units of its noise, as if it were linear; float64.

    Parameters
    ----------
    whole : Tensor, shape (K + M, P)
        Slopes of the P pixels in the lens, then in bumps of unit amplitude.
    data : Tensor, shape (P,)
        Counted from where all parameters and amplitudes are zero.
    num_lens : int
        K.
    """

    def __init__(self, whole: Tensor, data: Tensor, num_lens: int) -> None:
        self.whole, self.data, self.num_lens = whole, data, num_lens
        self._lit = (whole.abs().amax(0) > _DARK).nonzero()[:, 0]
        lit = whole[:, self._lit]
        self._gram, self._score = lit @ lit.T, lit @ data[self._lit]
        self.set_rms(RUGGEDNESS[0])

    def set_rms(self, rms: float) -> None:
        """Choose the prior of the bumps; the lens's is standard normal."""
        self.deviations = torch.ones(len(self.whole), dtype=torch.float64)
        self.deviations[self.num_lens :] = rms / OVERLAP
        self._curvature = self.deviations[:, None] * self._gram * self.deviations
        self._curvature.diagonal().add_(1.0)
        self._triangle: Tensor = torch.linalg.cholesky(self._curvature)

    def log_evidence(self) -> float:
        """Of the image, up to a constant."""
        along = (self.deviations * self._score)[:, None]
        along = torch.linalg.solve_triangular(self._triangle, along, upper=False)
        gained = (along**2).sum() - (self.data**2).sum()
        return float(0.5 * gained - self._triangle.diagonal().log().sum())

    def best(self) -> Tensor:
        """Parameters and amplitudes at the minimum."""
        towards = (self.deviations * self._score)[:, None]
        return self.deviations * torch.cholesky_solve(towards, self._triangle)[:, 0]

    def known(self) -> Tensor:
        """What lens and source explain; see `FreeFit`."""
        slopes = self.whole[:, self._lit] * self.deviations[:, None]
        found = torch.zeros_like(self.whole)
        found[:, self._lit] = torch.linalg.solve_triangular(self._triangle, slopes, upper=False)
        return found

    def step(self, here: Tensor, damping: float, held: list[int]) -> tuple[Tensor, float]:
        """Go from here; the lens, in which nothing is linear, is damped, or held.

        Returns
        -------
        step : Tensor, shape (K + M,)
            Of parameters and amplitudes.
        gain : float
            In chi-squared and prior, if all were linear, without damping.
        """
        standard = here / self.deviations
        downhill = self.deviations * self._score - self._curvature @ standard
        curvature = self._curvature.clone()
        curvature.diagonal()[: self.num_lens] *= 1 + damping
        curvature[held], curvature[:, held], downhill[held] = 0.0, 0.0, 0.0
        curvature[held, held] = 1.0
        found = torch.cholesky_solve(downhill[:, None], torch.linalg.cholesky(curvature))[:, 0]
        return self.deviations * found, float(downhill @ found)


class FreeSource:
    """Fits lenses together with free sources, from fits of Sersic sources on.

    The method is Levenberg's and Marquardt's, with damping for the lens alone: the amplitudes of
    bumps are linear.

    Parameters
    ----------
    fitter : SmoothFitter
        Gives scene, coordinates and noise.
    """

    def __init__(self, fitter: SmoothFitter) -> None:
        self.fitter = fitter
        self.finest = _FINEST * fitter.scene.instrument.pixel_scale
        names = fitter.coordinates
        self._held = [names.index(name) for name in _BRIGHTNESS if name in names.positive]

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
            After a last linear step to the very minimum.
        """
        image, values = image.float(), self.fitter.coordinates.decode(parameters[None])
        centre = (float(values["source.centre_x"]), float(values["source.centre_y"]))
        radius = float(values["source.half_light_radius"])
        field = SourceField.around(centre, radius, self.finest)
        sky = self.fitter.noise.sky_factor(image[None])
        point = self._render(field, parameters, torch.zeros(int(field.inside.sum())))
        rms, damping, converged = RUGGEDNESS[0], 0.0, False
        for step in range(_STEPS + 1):
            scale = self.fitter.noise.scale(self.fitter.scene, point.image[None], sky)[0]
            near = self._linearize(field, point, image, scale)
            if step < _CHOOSING:
                rms = _choose_rms(near)
            near.set_rms(rms)
            here = torch.cat([point.parameters, point.amplitudes]).double()
            converged = self._step(near, here, 0.0)[1] < _GAIN
            if converged or step == _STEPS:
                break
            there, damping = self._descend(field, point, near, (image, scale), damping)
            if there is None:
                break
            point = there
        return FreeFit(
            residuals=near.data - near.best() @ near.whole,
            known=near.known(),
            signal=point.image * scale,
            weights=self._shares(point.values) * scale,
            slopes=self._source_slopes(field, point),
            parameters=point.parameters,
            values=point.values,
            ruggedness=rms,
            converged=converged,
            log_evidence=near.log_evidence() + float(scale.log().sum()),
        )

    def _descend(
        self,
        field: SourceField,
        point: _Point,
        near: _Linear,
        observed: tuple[Tensor, Tensor],
        damping: float,
    ) -> tuple[_Point | None, float]:
        """Take one step, shorter until it leads down; None if it never does."""
        image, scale = observed
        limits, num = self.fitter.coordinates, near.num_lens
        here = torch.cat([point.parameters, point.amplitudes]).double()

        def objective(one: _Point) -> float:
            misfit = (((image - one.image) * scale).double() ** 2).sum()
            standard = torch.cat([one.parameters, one.amplitudes]).double() / near.deviations
            return float(misfit + (standard**2).sum())

        before = objective(point)
        for _ in range(_TRIES):
            step, _ = self._step(near, here, damping)
            if float(step[:num].abs().max()) < _FARTHEST:
                lens = (here + step)[:num].float().clamp(limits.low, limits.high)
                there = self._render(field, lens, (here + step)[num:].float())
                if objective(there) < before:
                    return there, damping / 10
            damping = max(1e-2, 8 * damping)
        return None, damping

    def _step(self, near: _Linear, here: Tensor, damping: float) -> tuple[Tensor, float]:
        """Step of `_Linear` that leaves alone what would leave its range."""
        low, high = self.fitter.coordinates.low, self.fitter.coordinates.high
        lens, held = here[: near.num_lens], set(self._held)
        while True:
            step, gain = near.step(here, damping, sorted(held))
            towards = step[: near.num_lens]
            out = ((lens >= high - _EDGE) & (towards > 0)) | ((lens <= low + _EDGE) & (towards < 0))
            more = {int(place) for place in out.nonzero()[:, 0]} - held
            if not more:
                return step, gain
            held |= more

    def _render(self, field: SourceField, parameters: Tensor, amplitudes: Tensor) -> _Point:
        values = self.fitter.coordinates.decode(parameters[None])
        beta, source = self._rays(values)
        bumps = field.sum(beta, amplitudes)
        image = self.fitter.scene.collect(source * (1 + bumps), values)[0]
        return _Point(parameters, amplitudes, values, beta, source, bumps, image)

    def _rays(self, values: dict[str, Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Where rays meet the plane of the source, and the galaxy's light there, (B, N, N)."""
        scene = self.fitter.scene
        _, beta = trace(values, scene.lens, scene.grid)
        return beta, light(*beta, values, "source", scene.source, None)

    def _shares(self, values: dict[str, Tensor]) -> Tensor:
        """Of each band in the light of the source, shape (C, 1, 1)."""
        channels = self.fitter.scene.channels
        return torch.cat([values[f"{one.prefix}.source"] for one in channels])[:, None, None]

    def _linearize(
        self, field: SourceField, point: _Point, image: Tensor, scale: Tensor
    ) -> _Linear:
        scene, num = self.fitter.scene, len(point.parameters)
        moved = self.fitter.coordinates.decode(point.parameters + _DIFFERENCE * torch.eye(num))
        beta, source = self._rays(moved)
        bumps = point.field
        for slope, there, here in zip(
            field.slopes(point.beta, point.amplitudes), beta, point.beta, strict=True
        ):
            bumps = bumps + slope * (there - here)  # a step is small
        lens = (scene.collect(source * (1 + bumps), moved) - point.image) / _DIFFERENCE
        slopes = (torch.cat([lens, self._bump_images(field, point)]) * scale).flatten(1).double()
        residuals = ((image - point.image) * scale).flatten().double()
        here = torch.cat([point.parameters, point.amplitudes]).double()
        return _Linear(slopes, residuals + here @ slopes, num)

    def _bump_images(self, field: SourceField, point: _Point) -> Tensor:
        """Images of bumps of unit amplitude, (M, C, H, W)."""
        samples = field.bumps(point.beta).mul_(point.source)
        # the blur is linear: bumps take the part of bands
        blurred = self.fitter.scene.blur(samples[None], point.values)[0]
        return blurred[:, None] * self._shares(point.values)

    def _source_slopes(self, field: SourceField, point: _Point) -> Tensor:
        """Of the light in the source's position: that is, of rays that move the other way."""
        scene = self.fitter.scene
        step = _MOVE * scene.grid.sample_scale
        slopes = []
        of_field = field.slopes(point.beta, point.amplitudes)
        for axis in (0, 1):
            sides = []
            for move in (step, -step):
                x, y = (rays - move * (axis == index) for index, rays in enumerate(point.beta))
                source = light(x, y, point.values, "source", scene.source, None)
                sides.append(source * (1 + point.field - move * of_field[axis]))
            slopes.append((sides[0] - sides[1]) / (2 * step))
        return torch.stack(slopes)


def _choose_rms(near: _Linear) -> float:
    """The rms of bumps with the highest evidence."""

    def log_evidence(rms: float) -> float:
        near.set_rms(rms)
        return near.log_evidence()

    return max(RUGGEDNESS, key=log_evidence)
