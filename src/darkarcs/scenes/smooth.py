"""The smooth lenses of a scene: what each lens is without its substructure, and what varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from darkarcs.scenes.parameters import LensParameters
from darkarcs.scenes.priors import GalaxySource, source_galaxies
from darkarcs.scenes.rendering import Galaxies
from darkarcs.scenes.scene import Scene

#: Kinds of substructure in a table of tensors; a smooth lens has none.
SUBSTRUCTURE = ("point_masses.", "subhalos.", "fields.")
#: Lenses that tell which parameters a scene draws, and how widely.
_PRIOR_LENSES = 512


def macro_nuisances(scene: Scene) -> dict[str, float]:
    """Find the parameters of the smooth lens, the source and the blur that a scene draws.

    They are the columns that rendering a smooth lens reads and that differ between lenses; which
    of a library's galaxies is the source is no direction and left out.

    Parameters
    ----------
    scene : Scene
        Whose.

    Returns
    -------
    dict of str to float
        Standard deviation of each in the scene's prior.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> list(macro_nuisances(load_scene("deeplense-1")))
    ['source.centre_x', 'source.centre_y']
    """
    lenses = smooth_lenses(scene, 0, 0, _PRIOR_LENSES)
    one = _Reads(smooth_values(lenses.select(slice(0, 1))))
    scene.render_values(one, galaxies_of(scene, lenses, torch.float64))
    drawn = [name for name in sorted(lenses.columns) if np.ptp(lenses.columns[name]) > 0]
    return {
        name: float(np.std(lenses.columns[name]))
        for name in drawn
        if name in one.read and name != "source.galaxy"
    }


def smooth_partners(scene: Scene, lenses: LensParameters) -> LensParameters:
    """Give the same lenses without their substructure, as the scene's ``no_sub`` has them.

    Parameters
    ----------
    scene : Scene
        Whose lenses.
    lenses : LensParameters
        Of any class.

    Returns
    -------
    LensParameters
        Without masses and fields; the smooth lens has all the mass where the scene conserves it.
    """
    columns = dict(lenses.columns)
    columns["lens.smooth_einstein_radius"] = columns["lens.einstein_radius"]
    return replace(lenses, columns=columns, masses={}, fields={})


def smooth_lenses(scene: Scene, seed: int, start: int, count: int) -> LensParameters:
    """Draw smooth lenses.

    Parameters
    ----------
    scene : Scene
        Whose prior.
    seed, start, count : int
        See `Scene.draw`.

    Returns
    -------
    LensParameters
        Without substructure.
    """
    first = scene.class_names[0]
    return smooth_partners(scene, scene.with_classes([first]).draw(seed, start, count))


def smooth_values(
    lenses: LensParameters, *, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """Give what rendering reads of smooth lenses, lists of substructure left away.

    Parameters
    ----------
    lenses : LensParameters
        Smooth; masses and fields, of whatever strength, are dropped.
    dtype : torch.dtype, default float64
        Precision.

    Returns
    -------
    dict of str to Tensor, each of shape (B,)
        For `linearize` and `Scene.render_values`.
    """
    values = lenses.tensors(dtype=dtype)
    return {name: v for name, v in values.items() if not name.startswith(SUBSTRUCTURE)}


def galaxies_of(scene: Scene, lenses: LensParameters, dtype: torch.dtype) -> Galaxies | None:
    """Give the images of the source galaxies, where a scene has them.

    Parameters
    ----------
    scene : Scene
        Whose lenses.
    lenses : LensParameters
        They tell the part of the stream.
    dtype : torch.dtype
        Precision.

    Returns
    -------
    Galaxies or None
        For `linearize` and `Scene.render_values`.
    """
    if not isinstance(scene.source, GalaxySource):
        return None
    library = source_galaxies(scene.source, scene.folder, lenses.part)
    return Galaxies(torch.from_numpy(library.images).to(dtype), library.pixel_scale)


class _Reads(dict[str, Tensor]):
    """Remembers what was asked for."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.read.add(name)
        return super().__getitem__(name)
