"""Scenes that are drawn in milliseconds, for tests of what is common to all scenes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from darkarcs.scenes import LensParameters, Scene

UNIFORM = {"uniform": [0.0, 3.0]}

#: All kinds of distribution, a substructure of each sort, pixels coarse enough to be fast.
VALUES: dict[str, Any] = {
    "name": "small",
    "description": "for tests",
    "instrument": {
        "description": "for tests",
        "pixel_scale": 0.2,
        "point_spread": {"kind": "gaussian", "fwhm": 0.3},
        "zero_point": 25.0,
        "sky_brightness": 22.0,
        "read_noise": 3.0,
        "exposure_time": 500.0,
        "num_exposures": 4,
    },
    "num_pixels": 20,
    "z_lens": {"uniform": [0.4, 0.6]},
    "z_source": {"choice": [1.2, 2.0]},
    "lens": {
        "einstein_radius": {"uniform": [0.9, 1.3]},
        "axis_ratio": {"uniform": [0.6, 0.95]},
        "position_angle": UNIFORM,
        "centre_x": {"normal": [0.0, 0.05], "between": [-0.1, 0.1]},
        "centre_y": {"normal": [0.0, 0.05], "between": [-0.1, 0.1]},
        "shear": {"uniform": [0.0, 0.1]},
        "shear_angle": UNIFORM,
        "multipole_3": {"normal": [0.0, 0.005]},
        "multipole_3_angle": UNIFORM,
        "multipole_4": {"normal": [0.0, 0.01]},
    },
    "source": {
        "kind": "sersic",
        "magnitude": {"uniform": [22.0, 23.0]},
        "half_light_radius": {"log_uniform": [0.15, 0.4]},
        "sersic_index": {"uniform": [0.8, 1.5]},
        "axis_ratio": {"uniform": [0.5, 1.0]},
        "position_angle": UNIFORM,
        "centre_x": {"normal": [0.0, 0.1]},
        "centre_y": {"normal": [0.0, 0.1]},
    },
    "classes": {
        "no_sub": {"kind": "none"},
        "cdm": {"kind": "subhalos", "mass_fraction": 0.02, "min_mass": 5e8},
        "axion": {"kind": "granules", "log10_axion_mass": {"uniform": [-22.5, -22.0]}},
    },
    "mass_conserving": True,
    "noise": {"kind": "instrument", "exposure_factor": {"uniform": [0.8, 1.2]}},
}


def values(**changes: Any) -> dict[str, Any]:
    """Give the keys of the small scene, top-level ones changed."""
    return copy.deepcopy(VALUES) | changes


def scene(**changes: Any) -> Scene:
    """Make the small scene."""
    return Scene.parse(values(**changes), "small")


def write(folder: Path, file: str = "small.yaml", /, **changes: Any) -> Path:
    """Write the small scene as a user would."""
    path = folder / file
    path.write_text(yaml.safe_dump(values(**changes)), encoding="utf-8")
    return path


def assert_same(one: LensParameters, other: LensParameters) -> None:
    """Compare lenses bit for bit, but for padding and for kinds that no lens of theirs has."""
    for attribute in ("identities", "labels", "groups"):
        assert np.array_equal(getattr(one, attribute), getattr(other, attribute)), attribute
    zero = np.zeros(len(one))
    for name in one.columns | other.columns:
        pair = one.columns.get(name, zero), other.columns.get(name, zero)
        assert np.array_equal(*pair), name
    for i in range(len(one)):
        assert _lists(one, i) == _lists(other, i)
    for name in one.fields | other.fields:
        pair = [table.fields.get(name) for table in (one, other)]
        arrays = [np.zeros(1) if field is None else field for field in pair]
        assert np.array_equal(*np.broadcast_arrays(*arrays)), name


def _lists(lenses: LensParameters, index: int) -> dict[str, list[float]]:
    return {
        f"{kind}.{name}": values[index][table["mass"][index] > 0].tolist()
        for kind, table in lenses.masses.items()
        if (table["mass"][index] > 0).any()
        for name, values in table.items()
    }
