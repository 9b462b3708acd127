"""The keys of a scene's YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.instrument import GaussianPointSpread, Instrument, PixelGrid, load_instrument
from darkarcs.labels import canonical_class, order_classes
from darkarcs.registry import nearest
from darkarcs.scenes.distributions import NotNegative, Positive
from darkarcs.scenes.geometry import CosmologySettings, Faults
from darkarcs.scenes.noise import InstrumentNoise, Noise, Storage
from darkarcs.scenes.priors import LensPrior, SersicSource, Source
from darkarcs.scenes.substructure import Substructure


class Channel(Configuration):
    """One band of a colour image.

    Attributes
    ----------
    name : str
        Of the band.
    source, lens_light : Distribution
        Flux in this band, in units of what the magnitudes say.
    """

    name: str
    source: NotNegative = 1.0
    lens_light: NotNegative = 1.0

    @property
    def prefix(self) -> str:
        """Put before this band's columns.

        Returns
        -------
        str
            ``channel.NAME``, or ``channel`` without a name.
        """
        return f"channel.{self.name}" if self.name else "channel"


def _instrument(value: Any) -> Any:
    return load_instrument(value) if isinstance(value, str) else value


class SceneSettings(Configuration):
    """A prior over lenses, as YAML says it; `darkarcs.scenes.Scene` draws and renders it.

    Attributes
    ----------
    schema_version : 1
        Of these keys.
    name : str
        Addresses the random streams: two scenes of one name and version draw alike.
    version : int
        A change that changes a draw asks for a new one.
    description : str
        One line.
    differences : tuple of str
        What the scene leaves out or does otherwise than what it follows.
    instrument : Instrument
        By name, or by its own keys.
    num_pixels : int
        Side of the images.
    supersampling : int
        Samples along the side of a pixel.
    cosmology : CosmologySettings
        The universe.
    z_lens, z_source : Distribution
        Redshifts of lens and source.
    lens : LensPrior
        The smooth lens.
    source : SersicSource or GalaxySource
        What is lensed.
    lens_light : tuple of SersicSource
        Light of the lens galaxy, centred on the lens; none by default.
    channels : tuple of Channel
        Bands; one without a name by default.
    classes : dict of str to substructure
        One entry a class.
    mass_conserving : bool
        The smooth lens loses what the substructure brings inside its Einstein radius.
    point_spread_factor : Distribution
        Width of each image's Gaussian point-spread function in units of the instrument's.
    noise : Noise
        What is added to the noiseless image.
    storage : Storage
        How a set then stores it.
    faults : Faults
        Published faults to reproduce.
    folder : pathlib.Path, optional
        Where relative paths start; set by `load_scene`.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[^/\s]+$")
    version: int = Field(1, ge=1)
    description: str = ""
    differences: tuple[str, ...] = ()
    instrument: Annotated[Instrument, BeforeValidator(_instrument)]
    num_pixels: int = Field(ge=8)
    supersampling: int = Field(1, ge=1)
    cosmology: CosmologySettings = CosmologySettings()
    z_lens: Positive = 0.5
    z_source: Positive = 1.0
    lens: LensPrior
    source: Source
    lens_light: tuple[SersicSource, ...] = ()
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)] = (Channel(name=""),)
    classes: dict[str, Substructure]
    mass_conserving: bool
    point_spread_factor: Positive = 1.0
    noise: Noise = InstrumentNoise()
    storage: Storage = Storage()
    faults: Faults = Faults()
    folder: Path | None = None

    @field_validator("classes")
    @classmethod
    def _canonical(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(value) < 1:
            raise ValueError("name at least one class")
        named = {canonical_class(name): kind for name, kind in value.items()}
        if len(named) < len(value):
            raise ValueError(f"{list(value)}: two of them mean the same class")
        return {name: named[name] for name in order_classes(named)}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        gaussian = isinstance(self.instrument.point_spread, GaussianPointSpread)
        if self.point_spread_factor != 1.0 and not gaussian:
            raise ValueError("point_spread_factor needs a Gaussian point-spread function")
        names = [channel.name for channel in self.channels]
        if len(set(names)) < len(names):
            raise ValueError(f"channels {names}: two of them have one name")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in canonical order.

        Returns
        -------
        tuple of str
            Labels are positions in it.
        """
        return tuple(self.classes)

    @property
    def grid(self) -> PixelGrid:
        """The pixels and their samples.

        Returns
        -------
        PixelGrid
            Of the instrument.
        """
        return self.instrument.grid(self.num_pixels, self.supersampling)

    @property
    def content_hash(self) -> str:
        """Hash of all that decides what is drawn.

        Returns
        -------
        str
            Eight hexadecimal digits. Texts and the folder do not count, nor do defaults: neither
            a new key of a later version nor a default that is spelled out makes another scene.
        """
        values = _beyond_defaults(self)
        for text in ("folder", "description", "differences"):
            values.pop(text, None)
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def identity(self) -> str:
        """Name, version and hash.

        Returns
        -------
        str
            ``NAME/VERSION/HASH``.
        """
        return f"{self.name}/{self.version}/{self.content_hash}"

    def with_classes(self, names: Sequence[str]) -> Self:
        """Keep some of the classes.

        Parameters
        ----------
        names : sequence of str
            Which, by any of their aliases.

        Returns
        -------
        SceneSettings
            With these classes in canonical order.

        Raises
        ------
        ConfigurationError
            If a class is not one of the scene's.
        """
        wanted = order_classes(canonical_class(name) for name in names)
        for name in wanted:
            if name not in self.classes:
                raise ConfigurationError(
                    f"scene {self.name} has no class '{name}': {nearest(name, list(self.classes))}"
                )
        return self.model_copy(update={"classes": {name: self.classes[name] for name in wanted}})


def _beyond_defaults(value: Any) -> Any:
    """What a configuration says that is not the default anyway; its kind always."""
    if isinstance(value, Configuration):
        return {
            name: _beyond_defaults(getattr(value, name))
            for name, field in type(value).model_fields.items()
            if name == "kind" or field.is_required() or getattr(value, name) != field.default
        }
    if isinstance(value, dict):
        return {key: _beyond_defaults(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_beyond_defaults(one) for one in value]
    return str(value) if isinstance(value, Path) else value
