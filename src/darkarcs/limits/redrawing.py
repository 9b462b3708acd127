"""Many draws of substructure around one smooth lens, which a scene itself shows once only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from darkarcs.errors import ConfigurationError
from darkarcs.registry import nearest
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.drawing import draw_substructure, hosts_of, make_room
from darkarcs.scenes.geometry import make_geometry
from darkarcs.scenes.streams import Streams


def redraw_substructure(
    scene: Scene, class_name: str, lens: LensParameters, count: int, *, seed: int = 0
) -> LensParameters:
    """Draw other substructure for a lens, the smooth lens making room for each draw.

    Parameters
    ----------
    scene : Scene
        Whose prior.
    class_name : str
        Which substructure.
    lens : LensParameters
        One lens, of any class.
    count : int
        How many draws.
    seed : int, default 0
        Of these draws; their streams are none of those of the scene's own lenses.

    Returns
    -------
    LensParameters
        ``count`` lenses that differ in their substructure only.

    Raises
    ------
    ConfigurationError
        If the scene has no such class.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid")
    >>> lens = scene.draw(seed=0, start=0, count=1, part="test")
    >>> drawn = redraw_substructure(scene, "cdm", lens, 3)
    >>> len(drawn), len(set(drawn.columns["substructure.mass"].tolist()))
    (3, 3)
    """
    if class_name not in scene.classes:
        known = nearest(class_name, list(scene.classes))
        raise ConfigurationError(f"scene {scene.name} has no class '{class_name}': {known}")
    many = lens.select(np.zeros(count, dtype=np.int64))
    columns = {
        name: values
        for name, values in many.columns.items()
        if not name.startswith("substructure.")
    }
    address = (scene.name, str(scene.version), lens.part, "limits", str(lens.identities[0]))
    geometry = make_geometry(columns["z_lens"], columns["z_source"], scene.cosmology, scene.faults)
    masses, fields, drawn = draw_substructure(
        {class_name: scene.classes[class_name]},
        np.zeros(count, dtype=np.int64),
        Streams(seed, address),
        np.arange(count),
        hosts_of(columns, geometry, scene.grid, scene.cosmology.hubble),
    )
    columns, masses, fields = make_room(
        columns | drawn,
        masses,
        fields,
        geometry,
        scene.grid,
        conserve=scene.mass_conserving,
        null=None,
    )
    labels = np.full(count, list(scene.classes).index(class_name), dtype=np.int64)
    names = scene.class_names
    return replace(
        many, columns=columns, masses=masses, fields=fields, labels=labels, class_names=names
    )
