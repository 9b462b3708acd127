"""Subhalos put where someone wants them, in lenses that a scene has drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import drawing
from darkarcs.scenes.geometry import make_geometry
from darkarcs.scenes.parameters import LensParameters
from darkarcs.scenes.scene import Scene
from darkarcs.scenes.single_subhalo import SingleSubhalo


def place_subhalos(
    scene: Scene,
    lens: LensParameters,
    kind: SingleSubhalo,
    *,
    log10_mass: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
) -> LensParameters:
    """Put one subhalo after another into a smooth lens.

    Parameters
    ----------
    scene : Scene
        Which drew the lens; it says whether mass is conserved.
    lens : LensParameters
        One smooth lens.
    kind : SingleSubhalo
        Structure of the subhalos; see `SingleSubhalo.typical_at`.
    log10_mass : array_like, shape (B,) or scalar, log10 solar masses
        m_200 at infall.
    x, y : array_like, shape (B,) or scalar, arcsec
        Relative to the lens.

    Returns
    -------
    LensParameters
        B lenses, alike but for the subhalo and what the smooth lens gives up for it.

    Raises
    ------
    ConfigurationError
        If the lens is not one smooth lens, a number is not finite, or a subhalo outweighs it.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid").with_classes(["no_sub"])
    >>> lens = scene.draw(seed=7, start=0, count=1)
    >>> kind = SingleSubhalo(log10_mass=9.0)
    >>> placed = place_subhalos(scene, lens, kind, log10_mass=9.0, x=[1.2, 0.0], y=[0.0, 1.2])
    >>> placed.masses["subhalos"]["x"].tolist()
    [[1.2], [0.0]]
    """
    if len(lens) != 1 or any((table["mass"] > 0).any() for table in lens.masses.values()):
        raise ConfigurationError("subhalos are placed in one smooth lens at a time")
    places = [np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (log10_mass, x, y)]
    log10_masses, x, y = np.broadcast_arrays(*places)
    if not all(np.isfinite(values).all() for values in (log10_masses, x, y)):
        raise ConfigurationError("masses and positions of subhalos must be finite numbers")
    columns = {name: np.repeat(values, len(x)) for name, values in lens.columns.items()}
    geometry = make_geometry(columns["z_lens"], columns["z_source"], scene.cosmology, scene.faults)
    host = drawing.hosts_of(columns, geometry, scene.grid, scene.cosmology.hubble)[0]
    table = kind.typical_at(host, log10_masses, x, y)
    columns, masses, fields = drawing.make_room(
        columns
        | {
            "substructure.log10_mass": log10_masses.copy(),
            "substructure.x": x.copy(),
            "substructure.y": y.copy(),
            "substructure.ring_distance": np.hypot(x, y) - host.einstein_radius,
        },
        {"subhalos": {name: values[:, None] for name, values in table.items()}},
        {},
        geometry,
        scene.grid,
        conserve=scene.mass_conserving,
        null=None,
    )
    return replace(
        lens,
        indices=np.repeat(lens.indices, len(x)),
        labels=np.repeat(lens.labels, len(x)),
        groups=np.repeat(lens.groups, len(x)),
        columns=columns,
        masses=masses,
        fields=fields,
    )
