"""``scene:`` URIs, wherever a path to data is asked for."""

from __future__ import annotations

from darkarcs.data.lens_images import LensImages
from darkarcs.simulation.progress import show_progress
from darkarcs.simulation.request import parse_uri
from darkarcs.simulation.simulate import simulate


def open_scene(uri: str) -> LensImages:
    """Open a ``scene:`` URI; found by `darkarcs.data.open` through an entry point.

    Parameters
    ----------
    uri : str
        See `parse_uri`; it must say ``num``.

    Returns
    -------
    LensImages
        Simulated on the CPU.
    """
    request = parse_uri(uri)
    with show_progress(f"simulating {request.scene.name}", request.num or 0) as advance:
        return simulate(request, progress=advance)
