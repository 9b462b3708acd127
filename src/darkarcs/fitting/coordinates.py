r"""Coordinates of a smooth lens in which a fit is easy: unbounded, centred, of unit width.

An axis ratio q with its position angle :math:`\phi` becomes the ellipticity
:math:`\frac{1-q}{1+q} (\cos 2\phi, \sin 2\phi)`, a shear its two components, and a multipole of
order m with an angle :math:`a (\cos m\phi, \sin m\phi)`, the angle counted on the sky: an angle
alone turns without meaning where the lens is nearly round. What must be positive is taken by its
logarithm. Each coordinate is then centred on the mean of the scene's prior and divided by its
standard deviation, so that the prior is nearly a standard normal one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import Scene
from darkarcs.scenes.smooth import macro_nuisances, smooth_lenses, smooth_values

#: Lenses that tell mean and width of the prior.
_PRIOR_LENSES = 512
_PRIOR_SEED = 20
#: How far beyond the extremes of these a fit may go, in standard deviations.
_MARGIN = 1.0
#: Of the largest ellipticity: an axis ratio of 0.05.
_MAX_ELLIPTICITY = 0.9
_POSITIVE = ("einstein_radius", "half_light_radius", "sersic_index", "flux", "amplitude")


@dataclass(frozen=True)
class Turned:
    """A strength and its angle, which are fitted as two components.

    Attributes
    ----------
    strength, angle : str
        Columns.
    order : int
        The strength looks the same after a turn by 2 pi over this.
    from_axis : str, optional
        Column of the angle that this one is counted from.
    """

    strength: str
    angle: str
    order: int
    from_axis: str | None = None

    @property
    def is_axis_ratio(self) -> bool:
        """Whether the strength is an axis ratio, and fitted as an ellipticity."""
        return self.strength.endswith("axis_ratio")


@dataclass(frozen=True, eq=False)
class MacroCoordinates:
    """Between the columns of smooth lenses and K standardized coordinates.

    Attributes
    ----------
    turned : tuple of Turned
        Two coordinates each, in front.
    positive, plain : tuple of str
        Columns by their logarithm, and as they are; one coordinate each, in this order.
    fixed : dict of str to Tensor of shape (1,)
        All other columns that rendering may read; the scene does not draw them.
    mean, width : Tensor, shape (K,)
        Of the prior.
    low, high : Tensor, shape (K,)
        Where a fit is held, in standard deviations.
    """

    turned: tuple[Turned, ...]
    positive: tuple[str, ...]
    plain: tuple[str, ...]
    fixed: dict[str, Tensor]
    mean: Tensor
    width: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, scene: Scene) -> Self:
        """Take the prior from a scene.

        Parameters
        ----------
        scene : Scene
            Whose smooth lenses; what it draws is fitted.

        Returns
        -------
        MacroCoordinates
            In float32.

        Raises
        ------
        ConfigurationError
            If all its smooth lenses are alike.

        Examples
        --------
        >>> from darkarcs.scenes import load_scene
        >>> coordinates = MacroCoordinates.of(load_scene("fair-euclid"))
        >>> len(coordinates), coordinates.turned[0].strength
        (18, 'lens.axis_ratio')
        """
        drawn = list(macro_nuisances(scene))
        if not drawn:
            raise ConfigurationError(
                f"scene {scene.name} draws nothing of its smooth lenses: there is nothing to fit"
            )
        turned = tuple(pair for pair in map(_angle_of, drawn) if pair and pair.angle in drawn)
        paired = {name for pair in turned for name in (pair.strength, pair.angle)}
        alone = [name for name in drawn if name not in paired]
        positive = tuple(name for name in alone if name.endswith(_POSITIVE))
        plain = tuple(name for name in alone if name not in positive)
        values = smooth_values(smooth_lenses(scene, _PRIOR_SEED, 0, _PRIOR_LENSES))
        some = cls(turned, positive, plain, {}, *(torch.zeros(0),) * 4)
        raw = some._stack(values)
        mean, width = raw.mean(0), raw.std(0)
        standard = (raw - mean) / width
        fixed = {name: v[:1].float() for name, v in values.items() if name not in drawn}
        low, high = standard.amin(0) - _MARGIN, standard.amax(0) + _MARGIN
        return cls(
            turned, positive, plain, fixed, *(limit.float() for limit in (mean, width, low, high))
        )

    def __len__(self) -> int:
        return 2 * len(self.turned) + len(self.positive) + len(self.plain)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that are fitted; shape (K,)."""
        pairs = [name for pair in self.turned for name in (pair.strength, pair.angle)]
        return (*pairs, *self.positive, *self.plain)

    def index(self, name: str) -> int:
        """Find the coordinate of a column that has one of its own.

        Parameters
        ----------
        name : str
            Among ``positive`` or ``plain``.

        Returns
        -------
        int
            Its place.
        """
        return 2 * len(self.turned) + (*self.positive, *self.plain).index(name)

    def encode(self, values: Mapping[str, Tensor]) -> Tensor:
        """Give the coordinates of lenses.

        Parameters
        ----------
        values : mapping of str to Tensor, each of shape (B,)
            Columns.

        Returns
        -------
        Tensor, shape (B, K)
            Standardized.
        """
        return (self._stack(values) - self.mean) / self.width

    def decode(self, coordinates: Tensor) -> dict[str, Tensor]:
        """Give the columns that coordinates stand for.

        Parameters
        ----------
        coordinates : Tensor, shape (B, K)
            Standardized.

        Returns
        -------
        dict of str to Tensor, each of shape (B,)
            All that rendering reads.
        """
        raw = self.mean + coordinates * self.width
        values = {name: value.expand(len(raw)) for name, value in self.fixed.items()}
        rest = raw[:, 2 * len(self.turned) :].unbind(1)
        for name, value in zip((*self.positive, *self.plain), rest, strict=True):
            values[name] = torch.exp(value) if name in self.positive else value
        for i, pair in enumerate(self.turned):
            x, y = raw[:, 2 * i], raw[:, 2 * i + 1]
            strength = torch.sqrt(x**2 + y**2 + 1e-12)
            if pair.is_axis_ratio:
                strength = strength.clamp(max=_MAX_ELLIPTICITY)
                strength = (1 - strength) / (1 + strength)
            angle = torch.atan2(y, x) / pair.order
            if pair.from_axis is not None:
                angle = angle - values[pair.from_axis]
            values |= {pair.strength: strength, pair.angle: angle}
        return values

    def _stack(self, values: Mapping[str, Tensor]) -> Tensor:
        found = []
        for pair in self.turned:
            strength, angle = values[pair.strength], values[pair.angle]
            if pair.from_axis is not None:
                angle = angle + values[pair.from_axis]
            if pair.is_axis_ratio:
                strength = (1 - strength) / (1 + strength)
            angle = pair.order * angle
            found += [strength * torch.cos(angle), strength * torch.sin(angle)]
        found += [torch.log(values[name]) for name in self.positive]
        found += [values[name] for name in self.plain]
        return torch.stack(found, dim=-1)


def _angle_of(column: str) -> Turned | None:
    """The angle that a column would have, if it is the strength of something that turns."""
    prefix, _, name = column.rpartition(".")
    if name == "axis_ratio":
        return Turned(column, f"{prefix}.position_angle", 2)
    if name == "shear":
        return Turned(column, f"{column}_angle", 2)
    if name.startswith("multipole_") and not name.endswith("angle"):
        order = int(name.removeprefix("multipole_"))
        return Turned(column, f"{column}_angle", order, f"{prefix}.position_angle")
    return None
