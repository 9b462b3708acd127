"""What to simulate: a scene, a seed, which images of which stream."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic import Field

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError
from darkarcs.registry import nearest
from darkarcs.scenes import Null, Part, Scene, load_scene


class SimulationRequest(Configuration):
    """Images of a scene; image i depends on none of the others.

    Attributes
    ----------
    scene : Scene
        With its classes and changed keys.
    seed : int
        Root seed.
    num : int, optional
        How many images; None is a stream without end.
    start : int
        Index of the first.
    part : {"train", "validation", "test"}
        Which stream: no lens and no source galaxy is in two of them.
    paired : bool
        Each smooth lens in all classes, one image after another.
    noiseless : bool
        Leave the noise, and how the set stores its images, away.
    null : {"massless", "smooth"}, optional
        A null test of the scene.
    """

    scene: Scene
    seed: int = 0
    num: int | None = Field(None, ge=1)
    start: int = Field(0, ge=0)
    part: Part = "train"
    paired: bool = False
    noiseless: bool = False
    null: Null | None = None

    @property
    def source(self) -> str:
        """What a manifest says of where images come from.

        Returns
        -------
        str
            ``scene:NAME?...`` with the options that matter.
        """
        options: dict[str, Any] = {"seed": self.seed, "num": self.num, "part": self.part}
        options |= {"start": self.start or None, "paired": int(self.paired) or None}
        options |= {"noiseless": int(self.noiseless) or None, "null": self.null}
        given = "&".join(f"{key}={value}" for key, value in options.items() if value is not None)
        return f"scene:{self.scene.name}?{given}"


#: Options of a ``scene:`` URI that are not keys of the scene.
_OPTIONS = ("seed", "num", "start", "part", "paired", "noiseless", "null", "classes")


def parse_uri(uri: str) -> SimulationRequest:
    """Read a ``scene:`` URI.

    Parameters
    ----------
    uri : str
        ``scene:NAME_OR_FILE?seed=7&num=5000&part=test&paired=1&classes=no_sub,cdm``; an option
        with a dot, or any other key of the scene, changes the scene:
        ``classes.cdm.mass_fraction=0.01``, ``num_pixels=64``.

    Returns
    -------
    SimulationRequest
        Validated.

    Raises
    ------
    ConfigurationError
        If the scene or an option does not exist.

    Examples
    --------
    >>> request = parse_uri("scene:fair-euclid?seed=7&num=10&classes=no_sub,cdm")
    >>> request.seed, request.num, request.scene.class_names
    (7, 10, ('no_sub', 'cdm'))
    """
    name, _, query = uri.removeprefix("scene:").partition("?")
    try:
        # a plus sign is one, as in 1e+12, not the blank that a web form makes of it
        pairs = parse_qsl(
            query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query)
        )
    except ValueError:
        raise ConfigurationError(f"{uri}: options must read ?key=value&key=value") from None
    options: dict[str, Any] = {}
    changes = []
    keys = set(Scene.model_fields) - {"folder"}
    for key, value in pairs:
        if [other for other, _ in pairs].count(key) > 1:
            raise ConfigurationError(f"{uri}: gives '{key}' twice")
        if key in _OPTIONS:
            options[key] = value
        elif key in keys or "." in key:
            changes.append(f"{key}={value}")
        else:
            hint = nearest(key, [*_OPTIONS, *keys])
            raise ConfigurationError(f"{uri}: no option '{key}': {hint}")
    scene = load_scene(unquote(name), changes)
    classes = options.pop("classes", None)
    if classes is not None:
        scene = scene.with_classes(classes.split(","))
    return SimulationRequest.parse({**options, "scene": scene}, uri)
