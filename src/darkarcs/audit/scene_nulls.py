"""Null samples of scenes: the same draws and code path, without the substructure's effect."""

from __future__ import annotations

from darkarcs.audit.null_tests import Null, NullSample
from darkarcs.data import LensImages
from darkarcs.data.schemes import scheme_of
from darkarcs.simulation import parse_uri, simulate


def scene_null_sample(uri: str) -> NullSample | None:
    """Find what draws the null samples of a scene.

    Parameters
    ----------
    uri : str
        What is audited.

    Returns
    -------
    NullSample or None
        None for what is no scene. The lenses are those of the validation part, so that they are
        none of the audited ones.
    """
    if scheme_of(uri) != "scene":
        return None
    request = parse_uri(uri)

    def sample(null: Null, seed: int, num: int) -> LensImages:
        changes = {"null": null, "seed": seed, "num": num, "start": 0, "part": "validation"}
        return simulate(request.model_copy(update=changes))

    return sample
