"""Priors over the smooth lens and its light: what is drawn alike in every class."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.light.galaxy_library import GalaxyLibrary, load_galaxies
from darkarcs.scenes.distributions import (
    Distribution,
    NotNegative,
    Positive,
    Ratio,
    is_distribution,
    quantile,
    support,
)
from darkarcs.scenes.parameters import Part
from darkarcs.scenes.streams import Streams


class LensPrior(Configuration):
    """The smooth lens: an elliptical power law, external shear and two multipoles.

    Attributes
    ----------
    einstein_radius : Distribution, optional, arcsec
        Circularised, of the lens with its substructure if mass is conserved. Either this or
        ``mass``.
    mass : Distribution, optional, solar masses
        Inside the Einstein radius.
    axis_ratio : Distribution
        Minor over major axis.
    position_angle : Distribution, radians
        Of the major axis, from x towards y.
    slope : Distribution
        Negative slope of the density in space; 2 is isothermal.
    centre_x, centre_y : Distribution, arcsec
        Position.
    shear, shear_angle : Distribution, and radians
        Strength and direction of the external shear.
    multipole_3, multipole_4 : Distribution
        Share of the radius by which the contours move.
    multipole_3_angle, multipole_4_angle : Distribution, radians
        Direction of a maximum relative to the major axis.
    """

    einstein_radius: Positive | None = None
    mass: Positive | None = None
    axis_ratio: Ratio = 1.0
    position_angle: Distribution = 0.0
    slope: Distribution = 2.0
    centre_x: Distribution = 0.0
    centre_y: Distribution = 0.0
    shear: Distribution = 0.0
    shear_angle: Distribution = 0.0
    multipole_3: Distribution = 0.0
    multipole_3_angle: Distribution = 0.0
    multipole_4: Distribution = 0.0
    multipole_4_angle: Distribution = 0.0

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.einstein_radius is None) == (self.mass is None):
            raise ValueError("give either einstein_radius or mass")
        low, high = support(self.slope)
        if not 1 < low <= high < 3:
            raise ValueError("slope must lie between 1 and 3, where the lens has a finite mass")
        return self


class SersicSource(Configuration):
    """A source, or the light of a lens, as one elliptical Sersic profile.

    Attributes
    ----------
    kind : "sersic"
        Which light this is.
    magnitude : Distribution, optional, AB magnitudes
        Of the whole profile, without lensing. Either this or ``amplitude``.
    amplitude : Distribution, optional
        Surface brightness at the half-light radius per square arcsec, in the image's unit.
    half_light_radius : Distribution, arcsec
        Circularised.
    sersic_index : Distribution
        n.
    axis_ratio : Distribution
        Minor over major axis.
    position_angle : Distribution, radians
        Of the major axis, from x towards y.
    centre_x, centre_y : Distribution, arcsec
        Position; for lens light relative to the lens.
    offset, offset_angle : Distribution, arcsec, and radians
        A further step away from there, and its direction from x towards y.
    linear_concentration : bool
        Take b_n = 1.9992 n - 0.3271 as lenstronomy does, instead of the series of Ciotti & Bertin.
    """

    kind: Literal["sersic"] = "sersic"
    magnitude: Distribution | None = None
    amplitude: NotNegative | None = None
    half_light_radius: Positive
    sersic_index: Positive = 1.0
    axis_ratio: Ratio = 1.0
    position_angle: Distribution = 0.0
    centre_x: Distribution = 0.0
    centre_y: Distribution = 0.0
    offset: Distribution = 0.0
    offset_angle: Distribution = 0.0
    linear_concentration: bool = False

    @model_validator(mode="after")
    def _one_brightness(self) -> Self:
        if (self.magnitude is None) == (self.amplitude is None):
            raise ValueError("give either magnitude or amplitude")
        return self


class GalaxySource(Configuration):
    """A source taken from images of real galaxies.

    Attributes
    ----------
    kind : "galaxies"
        Which light this is.
    path : str
        An npz, a FITS file or a folder of them; environment variables such as
        ``$DARKARCS_SHARED`` are filled in, and a relative path is relative to the scene's file.
    pixel_scale : float, optional, arcsec per pixel
        Where the file does not tell.
    min_snr : float, optional
        Leave fainter galaxies out.
    half_light_radius : Distribution, optional, arcsec
        Rescale each galaxy to this size; as observed by default.
    magnitude : Distribution, AB magnitudes
        Without lensing.
    rotation : Distribution, radians
        Of the galaxy's image.
    centre_x, centre_y : Distribution, arcsec
        Position.
    part : {"split", "all", "train", "validation", "test"}
        Which galaxies: by default those of the part of the stream that is asked for, so that no
        galaxy is a source in two of them.
    """

    kind: Literal["galaxies"] = "galaxies"
    path: str
    pixel_scale: float | None = Field(None, gt=0)
    min_snr: float | None = None
    half_light_radius: Positive | None = None
    magnitude: Distribution
    rotation: Distribution = 0.0
    centre_x: Distribution = 0.0
    centre_y: Distribution = 0.0
    part: Literal["split", "all", "train", "validation", "test"] = "split"


Source = Annotated[SersicSource | GalaxySource, Field(discriminator="kind")]


def draw_columns(
    prior: Configuration, prefix: str, streams: Streams, indices: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Draw every distribution of a prior.

    Parameters
    ----------
    prior : Configuration
        Its fields that are distributions are drawn; others are left alone.
    prefix : str
        Put before the names: ``lens`` gives ``lens.axis_ratio``.
    streams : Streams
        Where the numbers come from.
    indices : ndarray of int64, shape (B,)
        Which lenses.

    Returns
    -------
    dict of str to ndarray, each of shape (B,)
        Columns; the centre of a `SersicSource` with its offset.

    Examples
    --------
    >>> prior = LensPrior.parse({"einstein_radius": {"uniform": [1, 2]}}, "example")
    >>> columns = draw_columns(prior, "lens", Streams(0, ("example",)), np.arange(3))
    >>> columns["lens.einstein_radius"].shape, columns["lens.slope"].tolist()
    ((3,), [2.0, 2.0, 2.0])
    """
    columns = {}
    for name in type(prior).model_fields:
        value = getattr(prior, name)
        if is_distribution(value):
            key = f"{prefix}.{name}"
            columns[key] = quantile(value, streams.uniform(key, indices))
    if isinstance(prior, SersicSource):
        offset, angle = columns[f"{prefix}.offset"], columns[f"{prefix}.offset_angle"]
        columns[f"{prefix}.centre_x"] += offset * np.cos(angle)
        columns[f"{prefix}.centre_y"] += offset * np.sin(angle)
    return columns


def resolve_path(path: str, folder: Path | None) -> Path:
    """Find a data file that a scene names.

    Parameters
    ----------
    path : str
        As the scene writes it.
    folder : pathlib.Path, optional
        Of the scene's file.

    Returns
    -------
    pathlib.Path
        With environment variables filled in; it need not exist.
    """
    expanded = Path(os.path.expandvars(path)).expanduser()
    return expanded if expanded.is_absolute() or folder is None else folder / expanded


@lru_cache(maxsize=8)
def source_galaxies(source: GalaxySource, folder: Path | None, part: Part) -> GalaxyLibrary:
    """Read the galaxies that are sources in a part of a scene.

    Parameters
    ----------
    source : GalaxySource
        Says which.
    folder : pathlib.Path, optional
        Where relative paths start.
    part : {"train", "validation", "test"}
        Of the stream.

    Returns
    -------
    GalaxyLibrary
        Kept in memory for the next call.

    Raises
    ------
    ConfigurationError
        If they are not there.
    """
    path = resolve_path(source.path, folder)
    if not path.exists():
        raise ConfigurationError(
            f"the source galaxies {source.path} are not there: set the environment variable, or "
            "give another file by the key source.path"
        )
    library = load_galaxies(path, pixel_scale=source.pixel_scale, min_snr=source.min_snr)
    return library.subset(part if source.part == "split" else source.part)
