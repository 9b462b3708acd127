"""Fits of smooth lenses to images, many at once, without being told anything of them.

What a scene draws for its smooth lenses, their sources and blur is fitted to each image, by least
squares under the scene's prior. A fit begins at the middle of the prior, with the ring's radius and
brightness read off the image, first at one ray a pixel, then at the scene's own sampling; where it
does not describe the image it is repeated from flattened lenses, and the best is kept. An image's
result depends on that image alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError, DataError
from darkarcs.fitting.coordinates import MacroCoordinates
from darkarcs.fitting.fitted_lenses import SmoothFits
from darkarcs.fitting.pixel_noise import PixelNoise
from darkarcs.fitting.smooth_model import SmoothModel
from darkarcs.kernels import run_in_parts
from darkarcs.least_squares import Problem, Solution, minimize
from darkarcs.scenes import Scene
from darkarcs.scenes.priors import GalaxySource

#: Images fitted at a time in one thread.
_AT_ONCE = 32
#: A fit is repeated where its chi-squared is this many standard deviations too large.
_SUSPICIOUS = 4.0
#: Ellipticity of further starts, in standard deviations of each component.
_FLATTENED = 1.2
#: Ellipticity from which a nearly round lens finds its direction, likewise.
_NEARLY_ROUND = 0.3
#: Pixels of light stand out by this many standard deviations of the sky.
_LIGHT = 4.0
#: Steps, and gain in chi-squared that ends them: on pixels binned by two with one ray each, at the
#: scene's sampling with slopes from one ray a pixel (a quarter of the cost), and with its own.
_STAGES = ((14, 2.0), (8, 2.0), (10, 0.3))
#: A further start is followed up where it led this much lower.
_NEWS = 2.0
#: Radius of the second start in units of the first: light far from the ring misleads.
_SMALLER = 0.8


class SmoothFitter:
    """Fits the smooth lenses of one scene.

    Parameters
    ----------
    scene : Scene
        Instrument, prior and noise; its substructure does not matter.

    Raises
    ------
    ConfigurationError
        If the scene's sources are real galaxies, its noise is not an instrument's or its images
        are stored rescaled: a fit needs a model of the source and of the noise.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid", ["num_pixels=48"]).with_classes(["no_sub"])
    >>> lenses = scene.draw(seed=3, start=0, count=1)
    >>> observed = scene.observe(scene.render(lenses), lenses, torch.Generator().manual_seed(0))
    >>> fits = SmoothFitter(scene).fit(observed)
    >>> bool(fits.chi_square[0] < 1.1 * observed.numel())
    True
    """

    def __init__(self, scene: Scene) -> None:
        if isinstance(scene.source, GalaxySource):
            raise ConfigurationError(
                f"scene {scene.name}: its sources are real galaxies, and smooth lenses are fitted "
                "from Sersic sources on: give a scene of those, such as fair-euclid, and let "
                "sources differ from them (darkarcs fit --free-source)"
            )
        self.scene = scene
        self.noise = PixelNoise(scene)
        self.coordinates = MacroCoordinates.of(scene)
        self.model = SmoothModel(scene, self.coordinates)
        coarse = scene.model_copy(update={"supersampling": 1})
        self._coarse = SmoothModel(coarse, self.coordinates)
        self._binning = 2 if scene.num_pixels % 2 == 0 else 1
        self._rough = SmoothModel(self._binned_scene(), self.coordinates)

    def fit(self, images: Tensor) -> SmoothFits:
        """Fit images.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W), electrons / s
            As the scene's instrument observes them, sky subtracted.

        Returns
        -------
        SmoothFits
            In the same order.

        Raises
        ------
        DataError
            If the images are not of the scene's size and bands, or not finite.
        """
        pixels = self.scene.num_pixels
        expected = (len(self.scene.channels), pixels, pixels)
        if tuple(images.shape[1:]) != expected:
            raise DataError(
                f"images of shape {tuple(images.shape[1:])} cannot be fitted by scene "
                f"{self.scene.name}, whose images have shape {expected}"
            )
        if not bool(torch.isfinite(images).all()):
            raise DataError("images hold pixels that are not finite, and cannot be fitted")
        data = images.float()
        return self._in_parts(data, lambda chosen: self._fit(data[chosen]))

    def refit(self, images: Tensor, fits: SmoothFits) -> SmoothFits:
        """Look for better fits in the neighbourhood where they are most often missed.

        Where a lens is nearly round its position angle, which the multipoles are counted from, is
        lost, and a fit may end at another angle than the best one. So it is repeated from lenses
        that are turned.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W), electrons / s
            That were fitted.
        fits : SmoothFits
            To these.

        Returns
        -------
        SmoothFits
            None of them is worse.
        """
        data = images.float()
        return self._in_parts(
            data, lambda chosen: self._refit(data[chosen], fits.parameters[chosen])
        )

    def at(self, images: Tensor, parameters: Tensor) -> SmoothFits:
        """Take lenses for the best ones, instead of fitting.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W), electrons / s
            Observed.
        parameters : Tensor, shape (B, K)
            Standardized coordinates of their lenses.

        Returns
        -------
        SmoothFits
            Of these lenses; no step was taken, so none has converged.
        """
        data, sky = images.float(), self.noise.sky_factor(images.float())
        with torch.no_grad():
            prediction = self.model.images(parameters)
            scale = self.noise.scale(self.scene, prediction, sky)
            misfit = (((data - prediction) * scale) ** 2).flatten(1).sum(1)
            none = torch.zeros(len(data), dtype=torch.bool)
            return self._collect(data, [Solution(parameters, prediction, scale, misfit, none)])

    def _in_parts(self, data: Tensor, solve: Callable[[slice], Solution]) -> SmoothFits:
        parts: list[tuple[int, Solution]] = []

        def fit_part(first: int, last: int) -> None:
            for start in range(first, last, _AT_ONCE):
                parts.append((start, solve(slice(start, min(start + _AT_ONCE, last)))))

        with torch.no_grad():
            run_in_parts(fit_part, len(data))
            return self._collect(data, [part for _, part in sorted(parts, key=lambda p: p[0])])

    def _refit(self, data: Tensor, parameters: Tensor) -> Solution:
        sky = self.noise.sky_factor(data)
        best = self._finish(data, sky, parameters)
        for start in self._turned(best.parameters):
            best.improve(torch.arange(len(data)), self._finish(data, sky, start))
        return best

    def _turned(self, parameters: Tensor) -> list[Tensor]:
        names = self.coordinates
        if not names.turned or names.turned[0].strength != "lens.axis_ratio":
            return []
        turned, along = parameters.clone(), parameters.clone()
        # an eighth of a turn on the sky is a quarter of one for the ellipticity
        turned[:, 0], turned[:, 1] = parameters[:, 1], -parameters[:, 0]
        along[:, 0], along[:, 1] = _NEARLY_ROUND, 0.0
        if "lens.multipole_4" in names.plain:
            place = names.index("lens.multipole_4")
            along[:, place] = parameters[:, place].abs()
        return [turned, along]

    def _collect(self, data: Tensor, parts: list[Solution]) -> SmoothFits:
        if not parts:
            empty = np.zeros(0, np.float32)
            none = torch.zeros(0, len(self.coordinates))
            return SmoothFits(data, data, none, {}, empty, empty.astype(bool))
        prediction = torch.cat([part.prediction for part in parts])
        scale = torch.cat([part.weight for part in parts])
        parameters = torch.cat([part.parameters for part in parts])
        values = self.coordinates.decode(parameters)
        chi_square = (((data - prediction) * scale) ** 2).flatten(1).sum(1)
        return SmoothFits(
            images=prediction,
            scale=scale,
            parameters=parameters,
            values={name: values[name].numpy() for name in self.coordinates.names},
            chi_square=chi_square.numpy(),
            converged=torch.cat([part.converged for part in parts]).numpy(),
        )

    def _fit(self, data: Tensor) -> Solution:
        sky = self.noise.sky_factor(data)
        first, second, *further = self._starts(data)
        begun = self._begin(data, sky, first)
        begun.improve(torch.arange(len(data)), self._begin(data, sky, second))
        best = self._finish(data, sky, begun.parameters)
        for start in further:
            poor = torch.nonzero(self._is_poor(data, best))[:, 0]
            if not len(poor):
                break
            again = self._begin(data[poor], sky[poor], start[poor])
            found = again.objective < begun.objective[poor] - _NEWS
            begun.improve(poor, again)
            if bool(found.any()):
                which = poor[found]
                best.improve(which, self._finish(data[which], sky[which], again.parameters[found]))
        return best

    def _begin(self, data: Tensor, sky: Tensor, start: Tensor) -> Solution:
        """Descend on the image's coarse version: quick, and near enough to the minimum."""
        problem = self._problem(self._rough, self._rough, _binned(data, self._binning), sky)
        steps, tolerance = _STAGES[0]
        return minimize(problem, start, max_steps=steps, tolerance=tolerance, damping=1.0)

    def _finish(self, data: Tensor, sky: Tensor, start: Tensor) -> Solution:
        for slopes, (steps, tolerance) in zip((self._coarse, self.model), _STAGES[1:], strict=True):
            problem = self._problem(self.model, slopes, data, sky)
            solution = minimize(problem, start, max_steps=steps, tolerance=tolerance)
            start = solution.parameters
        return solution

    def _is_poor(self, data: Tensor, solution: Solution) -> Tensor:
        misfit = (((data - solution.prediction) * solution.weight) ** 2).flatten(1)
        size = misfit.shape[1]
        limit = size + _SUSPICIOUS * math.sqrt(2 * size)
        return (misfit.sum(1) > limit).bool()

    def _problem(
        self, model: SmoothModel, slopes: SmoothModel, data: Tensor, sky: Tensor
    ) -> Problem:
        def weight(prediction: Tensor, which: Tensor) -> Tensor:
            return self.noise.scale(model.scene, prediction, sky[which])

        return Problem(
            data=data,
            model=model.images,
            slopes=slopes.slopes,
            weight=weight,
            low=self.coordinates.low,
            high=self.coordinates.high,
        )

    def _starts(self, data: Tensor) -> list[Tensor]:
        """Where fits begin, the most likely start first; each of shape (B, K)."""
        names = self.coordinates
        start = torch.zeros(len(data), len(names))
        starts = [start, start.clone()]
        name = "lens.smooth_einstein_radius"
        if name in names.positive:
            place, radius = names.index(name), self._light_radius(data)
            for one, share in zip(starts, (1.0, _SMALLER), strict=True):
                one[:, place] = self._standard(place, torch.log(share * radius))
        if names.turned and names.turned[0].strength == "lens.axis_ratio":
            for index, sign in ((0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)):
                flat = start.clone()
                flat[:, index] = sign * _FLATTENED
                starts.append(flat)
        return [self._with_flux(data, one) for one in starts]

    def _with_flux(self, data: Tensor, start: Tensor) -> Tensor:
        """Give the source the brightness that fits best."""
        names = self.coordinates
        fluxes = [name for name in names.positive if name in ("source.flux", "source.amplitude")]
        if fluxes:
            place = names.index(fluxes[0])
            image = self._rough.images(start.clamp(names.low, names.high))
            rough = _binned(data, self._binning)
            ratio = (rough * image).flatten(1).sum(1) / (image**2).flatten(1).sum(1)
            start[:, place] += torch.log(ratio.clamp(min=1e-3)) / names.width[place]
        return start

    def _light_radius(self, data: Tensor) -> Tensor:
        """Mean distance of the light from the middle, arcsec; shape (B,)."""
        light = torch.where(data > _LIGHT * self.noise.sky_variance**0.5, data, 0.0).sum(1)
        x, y = self._coarse.scene.grid.coordinates()
        distance = torch.sqrt(x**2 + y**2)
        total = light.flatten(1).sum(1).clamp(min=1e-12)
        return ((light * distance).flatten(1).sum(1) / total).clamp(min=0.1)

    def _standard(self, place: int, value: Tensor) -> Tensor:
        return (value - self.coordinates.mean[place]) / self.coordinates.width[place]

    def _binned_scene(self) -> Scene:
        """The same lenses on larger pixels, one ray each."""
        instrument = self.scene.instrument
        larger = {"pixel_scale": instrument.pixel_scale * self._binning}
        update = {
            "supersampling": 1,
            "num_pixels": self.scene.num_pixels // self._binning,
            "instrument": instrument.model_copy(update=larger),
        }
        return self.scene.model_copy(update=update)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return (len(self.scene.channels), self.scene.num_pixels, self.scene.num_pixels)


def _binned(images: Tensor, factor: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(images, factor) * factor**2
