"""The lenses that `darkarcs.benchmark.simulation_speed` renders, and a scene that renders them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from darkarcs.scenes import LensParameters, Scene
from darkarcs.seeding import numpy_generator

#: Sides of the images in pixels, with the side of a pixel and the width of the PSF in arcsec.
FIELDS = {64: (0.1, 0.16), 150: (0.05, 0.087)}

#: Number and kind of subhalos.
SUBSTRUCTURE = ("0", "25 point", "200 point", "25 tnfw", "200 tnfw")


def draw_lenses(
    num_lenses: int, substructure: str, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Draw the lenses that both sides render.

    Parameters
    ----------
    num_lenses : int
        How many.
    substructure : str
        One of ``SUBSTRUCTURE``.
    seed : int, default 0
        Of the random stream.

    Returns
    -------
    dict of str to ndarray, shape (num_lenses,), or (num_lenses, S) for subhalos
        Parameters; angles in radians, lengths in arcsec.

    Examples
    --------
    >>> lenses = draw_lenses(2, "25 point")
    >>> lenses["einstein_radius"].shape, lenses["point_einstein_radius"].shape
    ((2,), (2, 25))
    """
    random = numpy_generator(seed, "simulation_speed", substructure)
    ranges = {
        "einstein_radius": (1.0, 1.4),
        "axis_ratio": (0.6, 0.95),
        "position_angle": (0.0, np.pi),
        "centre_x": (-0.1, 0.1),
        "centre_y": (-0.1, 0.1),
        "shear_1": (-0.05, 0.05),
        "shear_2": (-0.05, 0.05),
        "half_light_radius": (0.1, 0.25),
        "sersic_index": (1.0, 1.5),
        "source_axis_ratio": (0.5, 0.95),
        "source_position_angle": (0.0, np.pi),
        "source_x": (-0.2, 0.2),
        "source_y": (-0.2, 0.2),
    }
    lenses = {name: random.uniform(*range_, num_lenses) for name, range_ in ranges.items()}
    number, _, kind = substructure.partition(" ")
    shape = (num_lenses, int(number))
    if not kind:
        return lenses
    if kind == "point":
        lenses["point_einstein_radius"] = random.uniform(0.002, 0.01, shape)
    else:
        lenses["tnfw_scale_radius"] = random.uniform(0.03, 0.2, shape)
        lenses["tnfw_scale_deflection"] = random.uniform(2e-4, 2e-3, shape)
        reach = random.uniform(2.0, 10.0, shape)
        lenses["tnfw_truncation_radius"] = reach * lenses["tnfw_scale_radius"]
    for axis in "xy":
        lenses[f"{kind}_centre_{axis}"] = random.uniform(-2.0, 2.0, shape)
    return lenses


@cache
def make_scene(num_pixels: int) -> Scene:
    """Make the scene whose `render` is timed.

    Its priors say only which parts there are; the parameters are those of `draw_lenses`.

    Parameters
    ----------
    num_pixels : int
        Side of the image, of ``FIELDS``.

    Returns
    -------
    Scene
        An isothermal ellipsoid with shear before a Sersic source, behind a Gaussian PSF.
    """
    pixel_scale, fwhm = FIELDS[num_pixels]
    return Scene.parse(
        {
            "name": f"simulation-speed-{num_pixels}",
            "instrument": {
                "description": "of a benchmark without noise",
                "pixel_scale": pixel_scale,
                "point_spread": {"kind": "gaussian", "fwhm": fwhm},
                "zero_point": 0.0,
                "sky_brightness": 99.0,
                "read_noise": 0.0,
                "exposure_time": 1.0,
            },
            "num_pixels": num_pixels,
            "lens": {"einstein_radius": {"uniform": [1.0, 1.4]}, "shear": {"uniform": [0.0, 0.1]}},
            "source": {"kind": "sersic", "amplitude": 1.0, "half_light_radius": 0.2},
            "classes": {"no_sub": {"kind": "none"}},
            "mass_conserving": False,
        },
        "the scene of the benchmark",
    )


def to_parameters(scene: Scene, lenses: Mapping[str, NDArray[np.float64]]) -> LensParameters:
    """Write drawn lenses as a scene's table of parameters.

    Parameters
    ----------
    scene : Scene
        Of `make_scene`.
    lenses : mapping of str to ndarray
        Of `draw_lenses`.

    Returns
    -------
    LensParameters
        What `Scene.render` takes.

    Examples
    --------
    >>> scene = make_scene(64)
    >>> scene.render(to_parameters(scene, draw_lenses(2, "25 point"))).shape
    torch.Size([2, 1, 64, 64])
    """
    count = len(lenses["einstein_radius"])
    one, zero = np.ones(count), np.zeros(count)
    columns = {
        "lens.smooth_einstein_radius": lenses["einstein_radius"],
        **{
            f"lens.{name}": lenses[name]
            for name in ("axis_ratio", "position_angle", "centre_x", "centre_y")
        },
        "lens.shear": np.hypot(lenses["shear_1"], lenses["shear_2"]),
        "lens.shear_angle": np.arctan2(lenses["shear_2"], lenses["shear_1"]) / 2,
        "source.amplitude": one,
        "source.half_light_radius": lenses["half_light_radius"],
        "source.sersic_index": lenses["sersic_index"],
        "source.axis_ratio": lenses["source_axis_ratio"],
        "source.position_angle": lenses["source_position_angle"],
        "source.centre_x": lenses["source_x"],
        "source.centre_y": lenses["source_y"],
        "channel.source": one,
    }
    masses = {}
    for kind, name in (("point", "point_masses"), ("tnfw", "subhalos")):
        own = {k.removeprefix(f"{kind}_"): v for k, v in lenses.items() if k.startswith(kind)}
        for axis in "xy" if own else "":  # a scene counts from the centre of the lens
            own[axis] = own.pop(f"centre_{axis}") - lenses[f"centre_{axis}"][:, None]
        if own:
            masses[name] = own
    indices = np.arange(count)
    return LensParameters(
        scene=scene.identity,
        seed=0,
        part="test",
        indices=indices,
        labels=zero.astype(np.int64),
        class_names=scene.class_names,
        groups=indices.astype(str),
        columns=columns,
        masses=masses,
        fields={},
    )
