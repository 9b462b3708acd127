"""Physical attributes of simulated lenses: configuration, signal to noise, substructure.

References
----------
.. [1] Schneider, Ehlers & Falco 1992, Gravitational Lenses, sections 5.2 and 8.3: caustics and
   the number of images.
.. [2] Kormann, Schneider & Bartelmann 1994, A&A 284, 285: cut and naked cusps of the singular
   isothermal ellipsoid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from darkarcs.benchmark.weaknesses_images import ARC_LEVEL, coverage
from darkarcs.data import LensImages
from darkarcs.errors import DataError
from darkarcs.instrument import PixelGrid
from darkarcs.light import sersic
from darkarcs.scenes import BLOCK, LensParameters, Scene
from darkarcs.scenes.rendering import trace
from darkarcs.simulation import request_of

Attributes = dict[str, NDArray[Any]]

#: Kinds of configuration by the number of images of the source's centre.
CONFIGURATIONS = {0: "single", 1: "single", 2: "double", 3: "naked cusp", 4: "quad"}
#: Substructure within this share of the largest mass counts as equally heavy.
_EQUAL_MASS = 1e-3
# A tangential critical curve lies outside this share of the Einstein radius, a radial one inside.
_INNER = 0.4


def scene_attributes(
    images: LensImages, *, progress: Callable[[int], None] | None = None
) -> Attributes:
    """Derive attributes of simulated lenses from the parameters that made them.

    The lenses are drawn again from the manifest and rendered without noise.

    Parameters
    ----------
    images : LensImages
        Simulated, or some of a simulated set.
    progress : callable, optional
        Called with the number of lenses that were just done.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        ``arc.configuration`` (see `configurations`), ``arc.magnification``, ``arc.peak_snr``,
        ``arc.snr`` and ``arc.coverage`` (see `arc_attributes`), ``substructure.num``,
        ``substructure.largest_mass`` and ``substructure.distance_to_arc`` (see
        `substructure_attributes`).

    Raises
    ------
    DataError
        If the set is not simulated, or the scene draws other lenses by now.
    """
    if "index" not in images.metadata:
        raise DataError("these images have no column 'index': they are not simulated lenses")
    parts = []
    for rows, parameters, scene in _drawn(images):
        dark = _without_lens_light(parameters)
        with torch.no_grad():
            arcs = scene.render(dark).double()
            variance = scene.noise_variance(
                arcs if dark is parameters else scene.render(parameters).double(), parameters
            )
            kinds = configurations(scene, parameters)
        part: Attributes = {"arc.configuration": kinds}
        part |= arc_attributes(scene, parameters, arcs, variance)
        part |= substructure_attributes(scene, parameters, arcs)
        parts.append((rows, part))
        if progress is not None:
            progress(len(rows))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    return {name: np.concatenate([part[name] for _, part in parts])[order] for name in parts[0][1]}


def _drawn(images: LensImages) -> Iterator[tuple[NDArray[np.int64], LensParameters, Scene]]:
    """Draw the lenses of images again, block by block."""
    request = request_of(images.manifest)
    scene = request.scene
    index = np.asarray(images.metadata["index"], dtype=np.int64)
    for block in np.unique(index // BLOCK):
        rows = np.flatnonzero(index // BLOCK == block)
        first, last = int(index[rows].min()), int(index[rows].max()) + 1
        parameters = scene.draw(
            request.seed,
            first,
            last - first,
            part=request.part,
            paired=request.paired,
            null=request.null,
        ).select(index[rows] - first)
        known = images.metadata.get("lens.einstein_radius", np.empty(0))[rows]
        if not np.allclose(known, parameters.columns["lens.einstein_radius"], rtol=1e-6):
            raise DataError(
                f"scene '{scene.name}' draws other lenses than these by now: simulate the set anew"
            )
        yield rows, parameters, scene


def _without_lens_light(parameters: LensParameters) -> LensParameters:
    dark = {
        name: np.zeros_like(values)
        for name, values in parameters.columns.items()
        if name.startswith("lens_light_") and name.endswith((".flux", ".amplitude"))
    }
    return replace(parameters, columns=parameters.columns | dark) if dark else parameters


def configurations(scene: Scene, parameters: LensParameters) -> NDArray[np.str_]:
    """Name the image configuration of each lens, as its smooth mass makes it.

    Rays are shot through the lens with all of its mass smooth, one a pixel. Each cell between
    four of them is two triangles, and each of these whose map to the source plane holds the
    source's centre is an image [1]_; cells within a pixel of the lens's centre, where deflections
    of singular lenses jump, are left out. Where the whole tangential caustic lies within the
    half-light radius from the source's centre, the brighter half of the source is seen in every
    direction: a ring, whatever the number of images of its centre.

    Parameters
    ----------
    scene : Scene
        Of the lenses.
    parameters : LensParameters
        B lenses.

    Returns
    -------
    ndarray of str, shape (B,)
        ``ring``; by the number of images of the source's centre ``single``, ``double``, ``naked
        cusp`` (three [2]_), ``quad`` (four or more).

    References
    ----------
    .. [1] Schneider, Ehlers & Falco 1992, sections 5.2 and 8.3.
    .. [2] Kormann et al. 1994, A&A 284, 285.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid")
    >>> kinds = configurations(scene, scene.draw(seed=1, start=0, count=6))
    >>> set(kinds.tolist()) <= {"ring", "quad", "naked cusp", "double", "single"}
    True
    """
    columns = dict(parameters.columns)
    total = np.sqrt(
        columns["lens.smooth_einstein_radius"] ** 2
        + np.maximum(columns["substructure.fraction"], 0.0) * columns["lens.einstein_radius"] ** 2
    )
    columns["lens.smooth_einstein_radius"] = (
        columns["lens.einstein_radius"] if scene.mass_conserving else total
    )
    values = {name: torch.from_numpy(column) for name, column in columns.items()}
    grid = PixelGrid(num_pixels=scene.num_pixels, pixel_scale=scene.instrument.pixel_scale)
    (theta_x, theta_y), beta = trace(values, scene.lens, grid)
    source = [values[f"source.centre_{axis}"][:, None, None] for axis in "xy"]
    from_source = beta[0] - source[0], beta[1] - source[1]
    cell_x, cell_y = (_cells(theta[None])[0] for theta in (theta_x, theta_y))
    radius = torch.hypot(
        cell_x - values["lens.centre_x"][:, None, None],
        cell_y - values["lens.centre_y"][:, None, None],
    )
    counts = _num_images(*from_source, radius > grid.pixel_scale)
    reach = _caustic_reach(
        *from_source, radius > _INNER * values["lens.einstein_radius"][:, None, None]
    )
    half_light = values["source.half_light_radius"]
    names = [
        "ring" if 0 < far <= size else CONFIGURATIONS[min(count, 4)]
        for far, size, count in zip(
            reach.tolist(), half_light.tolist(), counts.tolist(), strict=True
        )
    ]
    return np.array(names, dtype=np.str_)


def _cells(corners: Tensor) -> Tensor:
    """Mean of the four corners of each cell, shape (B, H - 1, W - 1)."""
    rows = corners[:, 1:] + corners[:, :-1]
    return (rows[:, :, 1:] + rows[:, :, :-1]) / 4


def _num_images(x: Tensor, y: Tensor, allowed: Tensor) -> Tensor:
    """Count the triangles around the origin, shape (B,)."""

    def cross(one: tuple[slice, slice], other: tuple[slice, slice]) -> Tensor:
        a, b = (slice(None), *one), (slice(None), *other)
        return x[a] * y[b] - x[b] * y[a]

    low, high, every = slice(None, -1), slice(1, None), slice(None)
    across = cross((every, low), (every, high))  # along x, shape (B, H, W - 1)
    up = cross((low, every), (high, every))  # along y, shape (B, H - 1, W)
    diagonal = cross((low, high), (high, low))
    count = torch.zeros(len(x), dtype=torch.int64)
    for sides in (
        (across[:, :-1], diagonal, -up[:, :, :-1]),
        (up[:, :, 1:], -across[:, 1:], -diagonal),
    ):
        signs = torch.stack(sides)
        inside = (signs > 0).all(0) | (signs < 0).all(0)
        count += (inside & allowed).sum((1, 2))
    return count


def _caustic_reach(x: Tensor, y: Tensor, allowed: Tensor) -> Tensor:
    """Distance of the farthest point of the tangential caustic from the origin, shape (B,)."""
    x_right, y_right = x[:, :-1, 1:] - x[:, :-1, :-1], y[:, :-1, 1:] - y[:, :-1, :-1]
    x_up, y_up = x[:, 1:, :-1] - x[:, :-1, :-1], y[:, 1:, :-1] - y[:, :-1, :-1]
    area = x_right * y_up - x_up * y_right
    far = torch.zeros(len(x), dtype=x.dtype)
    cell_x, cell_y = _cells(x), _cells(y)
    for axis in (1, 2):
        size = area.shape[axis] - 1
        one, other = (part.narrow(axis, start, size) for part in (area,) for start in (0, 1))
        crossed = (one * other < 0) & allowed.narrow(axis, 0, size) & allowed.narrow(axis, 1, size)
        share = torch.where(crossed, one / (one - other), 0.0)
        at = [
            cell.narrow(axis, 0, size)
            + share * (cell.narrow(axis, 1, size) - cell.narrow(axis, 0, size))
            for cell in (cell_x, cell_y)
        ]
        distance = torch.where(crossed, torch.hypot(*at), 0.0)
        far = torch.maximum(far, distance.amax((1, 2)))
    return far


def arc_attributes(
    scene: Scene, parameters: LensParameters, arcs: Tensor, variance: Tensor
) -> Attributes:
    """Measure noiseless arcs.

    Parameters
    ----------
    scene : Scene
        Of the lenses.
    parameters : LensParameters
        B lenses.
    arcs : Tensor, shape (B, C, H, W)
        Rendered without noise and without lens light.
    variance : Tensor, shape (B, C, H, W)
        Of the noise.

    Returns
    -------
    dict of str to ndarray of shape (B,)
        ``arc.magnification``: light in the image over that of the source, all channels.
        ``arc.peak_snr``: signal of the brightest pixel over its noise. ``arc.snr``: root of the
        summed squares of signal over noise of all pixels. Both are NaN without noise.
        ``arc.coverage``: see `coverage`.
    """
    columns = parameters.columns
    if "source.flux" in columns:
        flux = columns["source.flux"]
    else:
        unit = sersic.total_flux(
            half_light_radius=torch.from_numpy(columns["source.half_light_radius"]),
            sersic_index=torch.from_numpy(columns["source.sersic_index"]),
        )
        flux = columns["source.amplitude"] * unit.numpy()
    shares = sum(columns[f"{channel.prefix}.source"] for channel in scene.channels)
    signal = arcs
    if scene.noise.kind == "counting":  # its variance is in counts, the image in their rate
        signal = arcs * torch.from_numpy(10 ** columns["noise.log10_exposure"])[:, None, None, None]
    ratio = torch.where(variance > 0, signal / variance.sqrt(), torch.nan).flatten(1)
    seen = arcs.sum(1).numpy()
    return {
        "arc.magnification": seen.sum(axis=(1, 2)) / (flux * shares),
        "arc.peak_snr": ratio.amax(1).numpy(),
        "arc.snr": (ratio**2).sum(1).sqrt().numpy(),
        "arc.coverage": coverage(
            seen > ARC_LEVEL * seen.max(axis=(1, 2), keepdims=True),
            columns["lens.centre_x"] / scene.instrument.pixel_scale,
            columns["lens.centre_y"] / scene.instrument.pixel_scale,
        ),
    }


def substructure_attributes(scene: Scene, parameters: LensParameters, arcs: Tensor) -> Attributes:
    """Describe the heaviest mass of each lens and where it lies.

    Parameters
    ----------
    scene : Scene
        Of the lenses.
    parameters : LensParameters
        B lenses.
    arcs : Tensor, shape (B, C, H, W)
        Rendered without noise and without lens light.

    Returns
    -------
    dict of str to ndarray of shape (B,)
        ``substructure.num``, ``substructure.largest_mass`` (solar masses),
        ``substructure.distance_to_arc`` (arcsec, from the heaviest to the nearest pixel above
        `ARC_LEVEL` of the brightest; the nearest of equally heavy ones). NaN without masses, as
        for granules.
    """
    count = len(parameters)
    table = {
        name: np.concatenate([kind[name] for kind in parameters.masses.values()], axis=1)
        for name in ("mass", "x", "y")
        if parameters.masses
    }
    found = {name: np.full(count, np.nan) for name in ("num", "largest_mass", "distance_to_arc")}
    seen = arcs.sum(1).numpy()
    axis = (np.arange(seen.shape[-1]) - (seen.shape[-1] - 1) / 2) * scene.instrument.pixel_scale
    for row in range(count if table else 0):
        mass = table["mass"][row]
        if not mass.max(initial=0.0) > 0:
            continue
        heavy = mass >= (1 - _EQUAL_MASS) * mass.max()
        bright = np.argwhere(seen[row] > ARC_LEVEL * seen[row].max())
        places = [
            table[name][row, heavy] + parameters.columns[f"lens.centre_{name}"][row]
            for name in ("x", "y")
        ]
        found["num"][row] = (mass > 0).sum()
        found["largest_mass"][row] = mass.max()
        tree = KDTree(np.stack([axis[bright[:, 1]], axis[bright[:, 0]]], axis=1))
        found["distance_to_arc"][row] = tree.query(np.stack(places, axis=1))[0].min()
    return {f"substructure.{name}": values for name, values in found.items()}
