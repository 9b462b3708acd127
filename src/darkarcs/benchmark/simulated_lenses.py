"""The lenses that `darkarcs.benchmark.simulation_speed` renders, and how we render them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.instrument import convolve
from darkarcs.kernels import run_in_parts
from darkarcs.lensing import point_mass, ray_shooting, shear, sie, tnfw
from darkarcs.light import sersic
from darkarcs.seeding import numpy_generator

#: Sides of the images in pixels, with the side of a pixel and the width of the PSF in arcsec.
FIELDS = {64: (0.1, 0.16), 150: (0.05, 0.087)}

#: Number and kind of subhalos.
SUBSTRUCTURE = ("0", "25 point", "200 point", "25 tnfw", "200 tnfw")

#: Pixels that are rendered at a time: their temporary arrays stay in the cache of a core.
_PIXELS_TOGETHER = 2**16


class Field(NamedTuple):
    """What all images of a batch share.

    Attributes
    ----------
    theta_x, theta_y : Tensor, shape (H, W), arcsec
        Centres of the pixels.
    kernel : Tensor, shape (K, K)
        The PSF.
    """

    theta_x: Tensor
    theta_y: Tensor
    kernel: Tensor


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


def render_batch(parameters: Mapping[str, Tensor], field: Field) -> Tensor:
    """Render lenses; this is what is timed.

    Parameters
    ----------
    parameters : mapping of str to Tensor, shape (B,) or (B, S)
        Of `draw_lenses`.
    field : Field
        Pixels and PSF.

    Returns
    -------
    Tensor, shape (B, H, W)
        Images.
    """
    one = {name: value[:, None, None] for name, value in parameters.items() if value.ndim == 1}
    theta = field.theta_x, field.theta_y
    deflections = [
        sie.deflection(
            *theta,
            **{
                name: one[name]
                for name in (
                    *("einstein_radius", "axis_ratio", "position_angle"),
                    *("centre_x", "centre_y"),
                )
            },
        ),
        shear.deflection(*theta, shear_1=one["shear_1"], shear_2=one["shear_2"]),
    ]
    for kind, profile in (("point", point_mass), ("tnfw", tnfw)):
        halos = {
            name.removeprefix(f"{kind}_"): value
            for name, value in parameters.items()
            if name.startswith(f"{kind}_")
        }
        if halos:
            deflections.append(profile.total_deflection(*theta, **halos))
    light = sersic.surface_brightness(
        *ray_shooting(*theta, deflections),
        half_light_radius=one["half_light_radius"],
        sersic_index=one["sersic_index"],
        axis_ratio=one["source_axis_ratio"],
        position_angle=one["source_position_angle"],
        centre_x=one["source_x"],
        centre_y=one["source_y"],
    )
    return convolve(light, field.kernel)


def render_all(parameters: Mapping[str, Tensor], field: Field) -> Tensor:
    """Render many lenses in batches that fit the caches, on as many threads as torch uses.

    Parameters
    ----------
    parameters : mapping of str to Tensor, shape (N,) or (N, S)
        Of `draw_lenses`.
    field : Field
        Pixels and PSF.

    Returns
    -------
    Tensor, shape (N, H, W)
        Images.
    """
    count = len(parameters["einstein_radius"])
    together = max(1, _PIXELS_TOGETHER // field.theta_x.numel())
    images = torch.empty((count, *field.theta_x.shape))

    def render(first: int, last: int) -> None:
        for start in range(first, last, together):
            batch = slice(start, min(start + together, last))
            images[batch] = render_batch({k: v[batch] for k, v in parameters.items()}, field)

    run_in_parts(render, count)
    return images
