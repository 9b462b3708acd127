"""The steps of a draw: light, substructure, and the smooth lens that makes room for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import ConfigurationError
from darkarcs.instrument import Instrument, PixelGrid
from darkarcs.light.galaxy_library import GalaxyLibrary
from darkarcs.scenes.geometry import Geometry
from darkarcs.scenes.hosts import Drawn, Host
from darkarcs.scenes.parameters import Null
from darkarcs.scenes.priors import GalaxySource, SersicSource, draw_columns
from darkarcs.scenes.streams import Streams
from darkarcs.scenes.substructure import Substructure
from darkarcs.substructure import enclosed, smooth_einstein_radius

Columns = dict[str, NDArray[np.float64]]
#: What the masses of a null test without mass are multiplied by.
MASSLESS = 1e-8
#: Columns of lists of masses that must not be zero in their padding.
_RADII = ("concentration", "scale_radius", "truncation_radius")
#: Columns that scale with the mass, and the power by which they do.
_STRENGTHS = {"mass": 1.0, "bound_mass": 1.0, "scale_deflection": 1.0, "einstein_radius": 0.5}


def light_columns(
    prior: SersicSource | GalaxySource,
    prefix: str,
    streams: Streams,
    lenses: NDArray[np.int64],
    instrument: Instrument,
    library: GalaxyLibrary | None = None,
) -> Columns:
    """Draw the light of sources or lens galaxies.

    Parameters
    ----------
    prior : SersicSource or GalaxySource
        What to draw from.
    prefix : str
        Of the columns' names.
    streams : Streams
        Where the numbers come from.
    lenses : ndarray of int64, shape (B,)
        Which lenses.
    instrument : Instrument
        Turns magnitudes into electrons per second.
    library : GalaxyLibrary, optional
        For a `GalaxySource`.

    Returns
    -------
    dict of str to ndarray, each of shape (B,)
        The prior's own columns, ``flux`` (electrons / s) where magnitudes are drawn, and for
        real galaxies ``galaxy`` (which one) and ``size_scale``.
    """
    columns = draw_columns(prior, prefix, streams, lenses)
    if f"{prefix}.magnitude" in columns:
        brightness = instrument.zero_point - columns[f"{prefix}.magnitude"]
        columns[f"{prefix}.flux"] = 10 ** (0.4 * brightness)
    if library is not None:
        which = (streams.uniform(f"{prefix}.galaxy", lenses) * len(library)).astype(np.int64)
        columns[f"{prefix}.galaxy"] = which.astype(np.float64)
        radius = columns.get(f"{prefix}.half_light_radius")
        measured = library.half_light_radius[which]
        columns[f"{prefix}.size_scale"] = (
            np.ones(len(which)) if radius is None else radius / measured
        )
        columns[f"{prefix}.half_light_radius"] = measured if radius is None else radius
    return columns


def hosts_of(columns: Columns, geometry: Geometry, grid: PixelGrid, hubble: float) -> list[Host]:
    """Describe each lens to the substructure that is drawn for it.

    Parameters
    ----------
    columns : dict of str to ndarray
        With ``lens.einstein_radius``.
    geometry : Geometry
        Of the lenses.
    grid : PixelGrid
        Of the image.
    hubble : float, km / s / Mpc
        Hubble constant.

    Returns
    -------
    list of Host
        One a lens.
    """
    return [
        Host(
            einstein_radius=float(columns["lens.einstein_radius"][i]),
            redshift=float(geometry.z_lens[i]),
            hubble=hubble / 100,
            critical_surface_density=float(geometry.critical_surface_density[i]),
            critical_density=float(geometry.critical_density[i]),
            kpc_per_arcsec=float(geometry.kpc_per_arcsec[i]),
            distance_ratio=float(geometry.distance_ratio[i]),
            mass_factor=float(geometry.mass_factor[i]),
            num_samples=grid.num_samples,
            sample_scale=grid.sample_scale,
        )
        for i in range(len(geometry.z_lens))
    ]


def draw_substructure(
    classes: Mapping[str, Substructure],
    labels: NDArray[np.int64],
    streams: Streams,
    lenses: NDArray[np.int64],
    hosts: list[Host],
) -> tuple[dict[str, Columns], Columns, Columns]:
    """Draw the substructure of a batch, each lens from a stream of its own.

    Parameters
    ----------
    classes : mapping of str to substructure
        In the order of the labels.
    labels : ndarray of int64, shape (B,)
        Class of each image.
    streams : Streams
        Where the numbers come from.
    lenses : ndarray of int64, shape (B,)
        Which smooth lens each image shows.
    hosts : list of Host, length B
        The lenses.

    Returns
    -------
    masses : dict of str to dict of str to ndarray of shape (B, S)
        As in `LensParameters.masses`.
    fields : dict of str to ndarray of shape (B, N, N)
        As in `LensParameters.fields`.
    columns : dict of str to ndarray of shape (B,)
        What else was drawn; zero where a class has no such number.
    """
    names = list(classes)
    drawn: list[Drawn] = []
    for label, lens, host in zip(labels, lenses, hosts, strict=True):
        name = names[label]
        random = streams.generator(f"substructure.{name}", int(lens))
        drawn.append(classes[name].draw_for(random, host))
    masses = {
        kind: _padded([one.masses.get(kind) for one in drawn])
        for kind in sorted({kind for one in drawn for kind in one.masses})
    }
    fields: Columns = {}
    for name in sorted({name for one in drawn for name in one.fields}):
        example = next(one.fields[name] for one in drawn if name in one.fields)
        empty = np.zeros_like(example)
        fields[name] = np.stack([one.fields.get(name, empty) for one in drawn])
    columns = {
        name: np.array([one.columns.get(name, 0.0) for one in drawn])
        for name in sorted({name for one in drawn for name in one.columns})
    }
    return masses, fields, columns


def make_room(
    columns: Columns,
    masses: dict[str, Columns],
    fields: Columns,
    geometry: Geometry,
    grid: PixelGrid,
    *,
    conserve: bool,
    null: Null | None,
) -> tuple[Columns, dict[str, Columns], Columns]:
    """Shrink the smooth lenses by what the substructure holds, and apply a null test.

    Parameters
    ----------
    columns : dict of str to ndarray
        Of the smooth lens.
    masses, fields : dict
        Of the substructure.
    geometry : Geometry
        Of the lenses.
    grid : PixelGrid
        On which fields are drawn.
    conserve : bool
        Whether mass inside the Einstein radius is conserved.
    null : {"massless", "smooth"}, optional
        What to do to the substructure.

    Returns
    -------
    columns, masses, fields : dict
        With ``lens.smooth_einstein_radius``, ``substructure.mass`` (solar masses) and
        ``substructure.fraction`` (share of the mass inside the Einstein radius).

    Raises
    ------
    ConfigurationError
        If the substructure outweighs the lens.
    """
    if null == "massless":
        masses, fields = _scaled(masses, fields, MASSLESS)
    radius = columns["lens.einstein_radius"]
    square = _enclosed_square(columns, masses, fields, geometry, grid)
    smooth = radius.copy()
    if null == "smooth":  # what the substructure held goes into the smooth lens
        smooth = radius if conserve else np.sqrt(radius**2 + np.maximum(square, -0.5 * radius**2))
        masses, fields = _scaled(masses, fields, 0.0)
    elif conserve:
        try:
            smooth = smooth_einstein_radius(radius, square, columns["lens.slope"])
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (mass_fraction or masses of a class)") from None
    total = sum(
        (_row_sums(table.get("bound_mass", table["mass"])) for table in masses.values()),
        np.zeros(len(radius)),
    )
    added = {
        "lens.smooth_einstein_radius": smooth,
        "substructure.mass": total,
        "substructure.fraction": square / radius**2,
    }
    return columns | added, masses, fields


def _enclosed_square(
    columns: Columns,
    masses: dict[str, Columns],
    fields: Columns,
    geometry: Geometry,
    grid: PixelGrid,
) -> NDArray[np.float64]:
    """Substructure inside the critical ellipse, as the square of its Einstein radius."""
    ellipse = {
        "einstein_radius": columns["lens.einstein_radius"],
        "axis_ratio": columns["lens.axis_ratio"],
        "position_angle": columns["lens.position_angle"],
    }
    square = np.zeros(len(columns["lens.einstein_radius"]))
    unit = geometry.mass_factor / (np.pi * geometry.critical_surface_density)
    for table in masses.values():
        mass = table.get("bound_mass", table["mass"]) * unit[:, None]
        each = {name: values[:, None] for name, values in ellipse.items()}
        square += _row_sums(
            enclosed(mass[..., None], table["x"][..., None], table["y"][..., None], **each)
        )
    if "granules" in fields:
        axis = (np.arange(grid.num_samples) - (grid.num_samples - 1) / 2) * grid.sample_scale
        # a field does not move with its lens: it is drawn around the image's centre
        x = (axis[None, None, :] - columns["lens.centre_x"][:, None, None]) + 0 * fields["granules"]
        y = (axis[None, :, None] - columns["lens.centre_y"][:, None, None]) + 0 * fields["granules"]
        flat = fields["granules"].reshape(len(square), -1) * grid.sample_scale**2 / np.pi
        square += enclosed(flat, x.reshape(flat.shape), y.reshape(flat.shape), **ellipse)
    return square


def _row_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum in order: NumPy's own sum depends, in its last bit, on how long the padding is."""
    if not values.shape[1]:
        return np.zeros(len(values))
    return np.asarray(np.cumsum(values, axis=1)[:, -1])


def _scaled(
    masses: dict[str, Columns], fields: Columns, factor: float
) -> tuple[dict[str, Columns], Columns]:
    scaled = {
        kind: {
            name: values * factor ** _STRENGTHS[name] if name in _STRENGTHS else values
            for name, values in table.items()
        }
        for kind, table in masses.items()
    }
    return scaled, {name: values * factor for name, values in fields.items()}


def _padded(tables: list[Columns | None]) -> Columns:
    """Put lists of different lengths into one array; padding has no mass and radii of one."""
    names = list(next(table for table in tables if table is not None))
    width = max(len(table["mass"]) for table in tables if table is not None)
    padded = {name: np.full((len(tables), width), float(name in _RADII)) for name in names}
    for row, table in enumerate(tables):
        if table is not None:
            for name in names:
                padded[name][row, : len(table[name])] = table[name]
    return padded
