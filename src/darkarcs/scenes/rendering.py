"""From the parameters of lenses to their noiseless images: pure, batched, differentiable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from darkarcs.instrument import (
    GaussianPointSpread,
    Instrument,
    PixelGrid,
    convolve,
    gaussian_kernel,
)
from darkarcs.instrument.point_spread import FWHM_OVER_SIGMA
from darkarcs.lensing import (
    elliptical_power_law,
    multipole,
    point_mass,
    ray_shooting,
    shear,
    sie,
    tnfw,
)
from darkarcs.light import galaxy_images, sersic
from darkarcs.scenes.priors import GalaxySource, LensPrior, SersicSource
from darkarcs.substructure import granules

Columns = Mapping[str, Tensor]


@dataclass(frozen=True)
class Galaxies:
    """Images of real galaxies on the rendering device.

    Attributes
    ----------
    images : Tensor, shape (G, P, P)
        Of unit flux.
    pixel_scale : float, arcsec
        Of the images.
    """

    images: Tensor
    pixel_scale: float


def deflections(
    theta_x: Tensor, theta_y: Tensor, values: Columns, prior: LensPrior, sample_scale: float
) -> list[tuple[Tensor, Tensor]]:
    """Compute the deflection of every part of the lenses.

    Parameters
    ----------
    theta_x, theta_y : Tensor, shape (H, W), arcsec
        Positions in the image plane.
    values : mapping of str to Tensor
        From `LensParameters.tensors`.
    prior : LensPrior
        Tells which parts there are.
    sample_scale : float, arcsec
        Step of the positions, for substructure on a grid.

    Returns
    -------
    list of (alpha_x, alpha_y), each of shape (B, H, W), arcsec
        Reduced deflections.
    """
    lens: dict[str, Any] = {
        name: values[f"lens.{name}"][:, None, None]
        for name in ("axis_ratio", "position_angle", "centre_x", "centre_y")
    }
    radius = values["lens.smooth_einstein_radius"][:, None, None]
    if prior.slope == 2.0:
        parts = [sie.deflection(theta_x, theta_y, einstein_radius=radius, **lens)]
    else:
        slope = values["lens.slope"][:, None, None]
        parts = [
            elliptical_power_law.deflection(
                theta_x, theta_y, einstein_radius=radius, slope=slope, **lens
            )
        ]
    strength, angle = values["lens.shear"], 2 * values["lens.shear_angle"]
    if prior.shear != 0.0:
        shear_1, shear_2 = strength * torch.cos(angle), strength * torch.sin(angle)
        parts.append(
            shear.deflection(
                theta_x, theta_y, shear_1=shear_1[:, None, None], shear_2=shear_2[:, None, None]
            )
        )
    for order, share in ((3, prior.multipole_3), (4, prior.multipole_4)):
        if share != 0.0:
            turned = values[f"lens.multipole_{order}_angle"][:, None, None]
            parts.append(
                multipole.deflection(
                    theta_x,
                    theta_y,
                    order=order,
                    amplitude=values[f"lens.multipole_{order}"][:, None, None] * radius,
                    position_angle=lens["position_angle"] + turned,
                    centre_x=lens["centre_x"],
                    centre_y=lens["centre_y"],
                )
            )
    parts.extend(_substructure(theta_x, theta_y, values, sample_scale))
    return parts


def _substructure(
    theta_x: Tensor, theta_y: Tensor, values: Columns, sample_scale: float
) -> list[tuple[Tensor, Tensor]]:
    # substructure moves with its lens
    centre_x, centre_y = values["lens.centre_x"][:, None], values["lens.centre_y"][:, None]
    parts = []
    if "point_masses.x" in values:
        parts.append(
            point_mass.total_deflection(
                theta_x,
                theta_y,
                einstein_radius=values["point_masses.einstein_radius"],
                centre_x=values["point_masses.x"] + centre_x,
                centre_y=values["point_masses.y"] + centre_y,
            )
        )
    if "subhalos.x" in values:
        parts.append(
            tnfw.total_deflection(
                theta_x,
                theta_y,
                scale_radius=values["subhalos.scale_radius"],
                scale_deflection=values["subhalos.scale_deflection"],
                truncation_radius=values["subhalos.truncation_radius"],
                centre_x=values["subhalos.x"] + centre_x,
                centre_y=values["subhalos.y"] + centre_y,
            )
        )
    if "fields.granules" in values:
        parts.append(granules.deflection(values["fields.granules"], sample_scale))
    return parts


def light(
    x: Tensor,
    y: Tensor,
    values: Columns,
    prefix: str,
    prior: SersicSource | GalaxySource,
    galaxies: Galaxies | None,
) -> Tensor:
    """Compute the surface brightness of a source or of a lens galaxy.

    Parameters
    ----------
    x, y : Tensor, shape (B, H, W), arcsec
        Positions in the plane of the light.
    values : mapping of str to Tensor
        From `LensParameters.tensors`.
    prefix : str
        Of the columns: ``source``, ``lens_light_1`` ...
    prior : SersicSource or GalaxySource
        Which light it is.
    galaxies : Galaxies, optional
        For a `GalaxySource`.

    Returns
    -------
    Tensor, shape (B, H, W)
        Per arcsec^2, in the unit of ``PREFIX.flux``, or of ``PREFIX.amplitude``.
    """

    def column(name: str) -> Tensor:
        return values[f"{prefix}.{name}"][:, None, None]

    place: dict[str, Any] = {"centre_x": column("centre_x"), "centre_y": column("centre_y")}
    if isinstance(prior, GalaxySource):
        assert galaxies is not None
        return galaxy_images.surface_brightness(
            x,
            y,
            images=galaxies.images,
            index=values[f"{prefix}.galaxy"].long(),
            pixel_scale=galaxies.pixel_scale,
            flux=column("flux"),
            rotation=column("rotation"),
            size_scale=column("size_scale"),
            **place,
        )
    radius, index = column("half_light_radius"), column("sersic_index")
    fade: Tensor | float = 1.0
    if prior.linear_concentration:  # the same profile, written with the exact b_n
        exact, linear = sersic.concentration(index), 1.9992 * index - 0.3271
        radius, fade = radius * (exact / linear) ** index, torch.exp(linear - exact)
    if prior.amplitude is None:
        unit = sersic.total_flux(half_light_radius=radius, sersic_index=index)
        amplitude = column("flux") / unit
    else:
        amplitude = column("amplitude") * fade
    return sersic.surface_brightness(
        x,
        y,
        half_light_radius=radius,
        sersic_index=index,
        amplitude=amplitude,
        axis_ratio=column("axis_ratio"),
        position_angle=column("position_angle"),
        **place,
    )


def trace(
    values: Columns, prior: LensPrior, grid: PixelGrid
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Shoot rays through the lenses.

    Parameters
    ----------
    values : mapping of str to Tensor
        From `LensParameters.tensors`.
    prior : LensPrior
        Tells which parts the lenses have.
    grid : PixelGrid
        Where the rays start.

    Returns
    -------
    theta : (theta_x, theta_y), each of shape (H, W), arcsec
        Positions in the image plane, supersampled.
    beta : (beta_x, beta_y), each of shape (B, H, W), arcsec
        Positions in the source plane.
    """
    radius = values["lens.smooth_einstein_radius"]
    theta_x, theta_y = grid.coordinates(dtype=radius.dtype, device=radius.device)
    parts = deflections(theta_x, theta_y, values, prior, grid.sample_scale)
    if "deflection_factor" in values:
        factor = values["deflection_factor"][:, None, None]
        parts = [(factor * alpha_x, factor * alpha_y) for alpha_x, alpha_y in parts]
    return (theta_x, theta_y), ray_shooting(theta_x, theta_y, parts)


def blur(
    images: Tensor,
    values: Columns,
    instrument: Instrument,
    grid: PixelGrid,
    *,
    largest_factor: float = 1.0,
) -> Tensor:
    """Convolve supersampled images with the point-spread function and average over pixels.

    Parameters
    ----------
    images : Tensor, shape (B, C, N, N)
        Surface brightness at the samples.
    values : mapping of str to Tensor
        ``point_spread_factor`` widens each image's Gaussian kernel where it is given.
    instrument : Instrument
        Whose point-spread function.
    grid : PixelGrid
        The samples.
    largest_factor : float, default 1.0
        Of any image of the scene: it sets the kernels' side, which must not depend on what other
        images are in the batch.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        Surface brightness of the pixels.
    """
    spread = instrument.point_spread
    if "point_spread_factor" in values and isinstance(spread, GaussianPointSpread):
        fwhm = spread.fwhm * values["point_spread_factor"]
        widest = spread.fwhm * largest_factor / FWHM_OVER_SIGMA / grid.sample_scale
        size = 2 * math.ceil(spread.truncation * widest) + 1
        kernel = gaussian_kernel(
            fwhm, grid.sample_scale, size=size, dtype=images.dtype, device=images.device
        )
    else:
        kernel = spread.kernel(grid.sample_scale)
    return grid.average(convolve(images, kernel))
