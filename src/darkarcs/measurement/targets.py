"""The truth of lens images: their numbers, and their subhalos counted on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from darkarcs.data import FittedPreprocessing, LensImages
from darkarcs.data.ragged import RaggedTable
from darkarcs.errors import DataError
from darkarcs.objectives import COUNTS, TargetRequest, TargetStatistics
from darkarcs.registry import nearest

Floats = NDArray[np.float32]


def find_targets(
    images: LensImages, request: TargetRequest, preprocessing: FittedPreprocessing, grid: int
) -> dict[str, Floats]:
    """Find what an objective asks for, as ``Batch.targets`` holds it.

    Parameters
    ----------
    images : LensImages
        As stored, with metadata, and with lists of subhalos if a map is asked for.
    request : TargetRequest
        Columns, and the map.
    preprocessing : FittedPreprocessing
        Decides which field of view the map covers.
    grid : int
        Patches along the side of the preprocessed image.

    Returns
    -------
    dict of str to ndarray of float32
        Numbers of shape (N,) by column, transformed; under ``counts`` the map, (N, G, G). NaN
        where the truth is unknown.

    Raises
    ------
    DataError
        If a column is missing, or the map's field of view is unknown.
    """
    found = {
        name: transformed(_column(images, name), transform)
        for name, transform in request.transforms.items()
    }
    if request.cells is not None:
        found[COUNTS] = count_subhalos(
            images, preprocessing, grid * request.cells, request.min_mass
        )
    return found


def transformed(values: NDArray[np.float64], transform: str) -> Floats:
    """Transform numbers; what has no transform becomes NaN.

    Parameters
    ----------
    values : ndarray of float64
        As in the metadata.
    transform : {"none", "log10"}
        See `darkarcs.objectives.targets.Transform`.

    Returns
    -------
    ndarray of float32
        Of the same shape.

    Examples
    --------
    >>> transformed(np.array([0.01, 0.0, np.nan]), "log10").tolist()
    [-2.0, nan, nan]
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values) & ((values > 0) if transform == "log10" else True)
    safe = np.where(known, values, 1.0)
    result = np.log10(safe) if transform == "log10" else safe
    return np.where(known, result, np.nan).astype(np.float32)


def _column(images: LensImages, name: str) -> NDArray[np.float64]:
    column = images.metadata.get(name)
    if column is None or column.dtype.kind not in "fiub":
        numbers = [key for key, values in images.metadata.items() if values.dtype.kind in "fiub"]
        hint = nearest(name, numbers) if numbers else "these images have no metadata of numbers"
        raise DataError(f"no number '{name}' of each lens to learn or compare with: {hint}")
    values: NDArray[np.float64] = column.astype(np.float64)
    # what a class does not have is stored as 0, and it has no axion mass of 1 eV
    if name == "substructure.log10_axion_mass":
        values = np.where(values == 0, np.nan, values)
    return values


def count_subhalos(
    images: LensImages, preprocessing: FittedPreprocessing, side: int, min_mass: float
) -> Floats:
    """Count the subhalos in each cell of a grid over the preprocessed image.

    Parameters
    ----------
    images : LensImages
        With lists ``subhalos`` (bound masses count) or ``point_masses``, and the columns
        ``lens.centre_x`` and ``lens.centre_y``, relative to which their positions are.
    preprocessing : FittedPreprocessing
        Its field of view is divided into the cells.
    side : int
        Cells along the side.
    min_mass : float, solar masses
        Lighter ones are not counted.

    Returns
    -------
    ndarray of float32, shape (N, side, side)
        Rows along y as in the image. NaN for a lens whose substructure is in no list, such as
        granules; zero for one without substructure.

    Raises
    ------
    DataError
        If the pixel scale is unknown.
    """
    scale = preprocessing.pixel_scale
    if scale is None:
        raise DataError("a map needs a known pixel scale: give the images' pixel_scale")
    extent = (preprocessing.crop_height * scale, preprocessing.crop_width * scale)
    counts = np.zeros((len(images), side, side), dtype=np.float32)
    listed = np.zeros(len(images), dtype=bool)
    for kind in ("subhalos", "point_masses"):
        if kind not in images.lists:
            continue
        table = images.lists[kind]
        listed |= np.diff(table.offsets) > 0
        _add(counts, images, table, extent, min_mass)
    fraction = images.metadata.get("substructure.fraction")
    if fraction is None and not images.lists:
        raise DataError("a map needs lists of subhalos, as simulated lenses have them")
    if fraction is not None:
        counts[~listed & (fraction.astype(np.float64) != 0)] = np.nan
    return counts


def _add(
    counts: Floats,
    images: LensImages,
    table: RaggedTable,
    extent: tuple[float, float],
    min_mass: float,
) -> None:
    side = counts.shape[-1]
    lens = np.repeat(np.arange(len(images)), np.diff(table.offsets))
    mass = table.columns.get("bound_mass", table.columns["mass"])
    zero = np.zeros(len(images))
    places = []
    for axis, length in (("y", extent[0]), ("x", extent[1])):
        centre = images.metadata.get(f"lens.centre_{axis}", zero)[lens]
        position = (table.columns[axis] + centre) / length + 0.5  # 0 to 1 over the image
        places.append(np.floor(position * side).astype(np.int64))
    rows, columns = places
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side) & (mass >= min_mass)
    np.add.at(counts, (lens[inside], rows[inside], columns[inside]), 1.0)


def describe_targets(found: dict[str, Floats]) -> TargetStatistics:
    """Give the statistics by which an objective scales its targets.

    Parameters
    ----------
    found : dict of str to ndarray
        Of training lenses, from `find_targets`.

    Returns
    -------
    TargetStatistics
        Over what is known.

    Raises
    ------
    DataError
        If nothing is known of a target.

    Examples
    --------
    >>> statistics = describe_targets({"a": np.array([1.0, 3.0, np.nan], dtype=np.float32)})
    >>> statistics.mean, statistics.std
    ({'a': 2.0}, {'a': 1.0})
    """
    mean, std = {}, {}
    occupied = mean_count = None
    for name, values in found.items():
        known = values[np.isfinite(values)].astype(np.float64)
        if not known.size:
            raise DataError(
                f"no training lens has a '{name}' to learn from: it is missing, or not positive "
                "where its logarithm is asked for"
            )
        if name == COUNTS:
            occupied, mean_count = float((known > 0).mean()), float(known.mean())
            continue
        spread = float(known.std())
        mean[name], std[name] = float(known.mean()), spread
        if spread < 1e-6 * max(1.0, abs(mean[name])):
            raise DataError(
                f"'{name}' is {mean[name]:.6g} in every training lens: there is nothing to learn; "
                "let the scene draw it, as in classes.cdm.mass_fraction={log_uniform: [0.003, 0.1]}"
            )
    return TargetStatistics(mean, std, occupied, mean_count)
