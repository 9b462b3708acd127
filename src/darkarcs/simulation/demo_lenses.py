"""A small honest set of lens images, so that the main job runs without any data.

Two classes, ``no_sub`` and ``sub``. Every lens is a singular isothermal ellipsoid with external
shear, its source one elliptical Sersic. In ``sub`` a few softened masses near the ring take the
place of smooth mass: the ellipsoid is weakened until the mass inside the Einstein radius is what
it was. Everything else is drawn alike in both classes, from streams the class does not touch, so
the size of the ring, the brightness and the noise tell nothing. The substructure is stronger than
nature's, so that a small transformer finds it in minutes: a demonstration, not a forecast.

The images are whole electrons, as a detector counts them. Image i depends on the seed and on i
alone: more images can be asked for later and the first stay as they are.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ellipk
from torch import Tensor

from darkarcs.data.lens_images import LensImages
from darkarcs.errors import DataError
from darkarcs.lensing import image_grid, point_mass, ray_shooting, shear, sie
from darkarcs.light import sersic
from darkarcs.seeding import numpy_generator

CLASS_NAMES = ("no_sub", "sub")
#: Side of every image in arcsec, whatever its number of pixels.
FIELD_OF_VIEW = 5.12
#: Number of masses in a lens of the class ``sub``.
NUM_SUBHALOS = 6
#: They lie between these distances from the centre, in Einstein radii, uniform in between ...
SUBHALO_RING = (0.8, 1.2)
#: ... and their masses are log-uniform over this ratio.
SUBHALO_MASS_RATIO = 4.0
#: Images rendered at a time: always whole blocks, so that no image depends on how many follow.
BLOCK = 32

#: Uniform ranges of what is drawn alike in both classes; arcsec, radians, electrons.
NUISANCE: dict[str, tuple[float, float]] = {
    "einstein_radius": (0.9, 1.4),
    "axis_ratio": (0.65, 0.95),
    "position_angle": (0.0, math.pi),
    "shear": (0.0, 0.08),
    "shear_angle": (0.0, math.pi),
    "centre_x": (-0.05, 0.05),
    "centre_y": (-0.05, 0.05),
    "source_distance": (0.0, 0.2),
    "source_angle": (0.0, 2 * math.pi),
    "half_light_radius": (0.15, 0.3),
    "sersic_index": (0.7, 1.5),
    "source_axis_ratio": (0.6, 1.0),
    "source_position_angle": (0.0, math.pi),
    "log10_amplitude": (2.6, 3.0),
    "psf_fwhm": (0.12, 0.18),
    "background_rms": (8.0, 16.0),
}
#: Uniform ranges of what only ``sub`` has; drawn for every lens, used in that class.
SUBSTRUCTURE: dict[str, tuple[float, float]] = {
    "substructure_fraction": (0.08, 0.12),
    "softening": (0.04, 0.04),
}


def demo_lenses(num_per_class: int, seed: int, size: int = 64) -> LensImages:
    """Simulate lenses with and without substructure.

    Parameters
    ----------
    num_per_class : int
        Images of each of the two classes; even images have no substructure, odd ones have.
    seed : int
        Image i is a function of the seed and i alone.
    size : int, default 64, pixels
        Side of the images; the field of view is the same for all sizes.

    Returns
    -------
    LensImages
        Images of shape (2 num_per_class, 1, size, size) in electrons, background subtracted,
        and every parameter of every lens as a column of the metadata.

    Raises
    ------
    DataError
        If a number is below 1, or the pixels are too coarse to show substructure.

    Examples
    --------
    >>> lenses = demo_lenses(2, seed=0)
    >>> lenses.images.shape, lenses.class_counts()
    ((4, 1, 64, 64), {'no_sub': 2, 'sub': 2})
    """
    if num_per_class < 1:
        raise DataError(f"num_per_class = {num_per_class}: at least one image is needed")
    if size < 16:
        raise DataError(f"size = {size}: images of fewer than 16 pixels show no substructure")
    count = 2 * num_per_class
    labels = np.arange(count) % 2
    images = np.empty((count, 1, size, size), dtype=np.float32)
    blocks = []
    for first in range(0, count, BLOCK):
        indices = np.arange(first, first + BLOCK)
        parameters = draw(seed, indices)
        electrons = observe(render(parameters, size), parameters, seed, indices)
        images[first : first + BLOCK, 0] = electrons[: count - first]
        blocks.append(parameters)
    metadata = {
        name: np.concatenate([block[name] for block in blocks])[:count]
        for name, column in blocks[0].items()
        if column.ndim == 1
    }
    metadata["name"] = np.array([f"{CLASS_NAMES[k]}/{i:06d}" for i, k in enumerate(labels)])
    return LensImages.from_arrays(
        images,
        labels=labels,
        class_names=CLASS_NAMES,
        metadata=metadata,
        pixel_scale=FIELD_OF_VIEW / size,
        manifest={"source": f"demo_lenses(seed={seed}, size={size})", "format": "simulation"},
    )


def draw(seed: int, indices: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """Draw the parameters of lenses.

    Parameters
    ----------
    seed : int
        Root seed.
    indices : ndarray of int, shape (B,)
        Which lenses; the odd ones have substructure.

    Returns
    -------
    dict of str to ndarray
        Columns of shape (B,), and of shape (B, NUM_SUBHALOS) those of the masses
        (``subhalo_einstein_radius``, ``subhalo_x``, ``subhalo_y``).

    Examples
    --------
    >>> lenses = draw(0, np.array([0, 1]))
    >>> lenses["num_subhalos"].tolist()
    [0.0, 6.0]
    """
    drawn = _draw_uniform(seed, "nuisance", indices, NUISANCE)
    drawn |= _draw_uniform(seed, "substructure", indices, SUBSTRUCTURE)
    substructure = indices % 2 == 1
    radius = drawn["einstein_radius"]
    units = _uniforms(seed, "subhalos", indices, 3 * NUM_SUBHALOS).reshape(-1, 3, NUM_SUBHALOS)
    distance = radius[:, None] * (SUBHALO_RING[0] + np.ptp(SUBHALO_RING) * units[:, 0])
    angle = 2 * math.pi * units[:, 1]
    share = np.exp(math.log(SUBHALO_MASS_RATIO) * units[:, 2])
    share *= substructure[:, None] * drawn["substructure_fraction"][:, None] / share.sum(1)[:, None]
    drawn["subhalo_einstein_radius"] = radius[:, None] * np.sqrt(share)
    drawn["subhalo_x"] = drawn["centre_x"][:, None] + distance * np.cos(angle)
    drawn["subhalo_y"] = drawn["centre_y"][:, None] + distance * np.sin(angle)
    drawn["num_subhalos"] = NUM_SUBHALOS * substructure.astype(np.float64)
    drawn["substructure_fraction"] *= substructure
    drawn["smooth_einstein_radius"] = _smooth_einstein_radius(drawn, distance)
    return drawn


def render(parameters: dict[str, NDArray[np.float64]], size: int) -> Tensor:
    """Compute noiseless images.

    Parameters
    ----------
    parameters : dict of str to ndarray
        From `draw`.
    size : int, pixels
        Side of the images.

    Returns
    -------
    Tensor, shape (B, size, size), float64, electrons
        The lensed source behind the PSF, sampled at the centres of the pixels.
    """
    table = {name: torch.from_numpy(column) for name, column in parameters.items()}
    lens = {name: column[:, None, None] for name, column in table.items() if column.ndim == 1}
    centre = {"centre_x": lens["centre_x"], "centre_y": lens["centre_y"]}
    pixel_scale = FIELD_OF_VIEW / size
    theta = image_grid(size, pixel_scale, dtype=torch.float64)
    smooth = sie.deflection(
        *theta,
        einstein_radius=lens["smooth_einstein_radius"],
        axis_ratio=lens["axis_ratio"],
        position_angle=lens["position_angle"],
        **centre,
    )
    tide = shear.deflection(
        *theta,
        shear_1=lens["shear"] * torch.cos(2 * lens["shear_angle"]),
        shear_2=lens["shear"] * torch.sin(2 * lens["shear_angle"]),
        **centre,
    )
    lumps = point_mass.total_deflection(
        *theta,
        einstein_radius=table["subhalo_einstein_radius"],
        centre_x=table["subhalo_x"],
        centre_y=table["subhalo_y"],
        softening=table["softening"][:, None],
    )
    beta = ray_shooting(*theta, [smooth, tide, lumps])
    light = sersic.surface_brightness(
        *beta,
        amplitude=10 ** lens["log10_amplitude"],
        half_light_radius=lens["half_light_radius"],
        sersic_index=lens["sersic_index"],
        axis_ratio=lens["source_axis_ratio"],
        position_angle=lens["source_position_angle"],
        centre_x=lens["centre_x"] + lens["source_distance"] * torch.cos(lens["source_angle"]),
        centre_y=lens["centre_y"] + lens["source_distance"] * torch.sin(lens["source_angle"]),
    )
    return _convolve(light, table["psf_fwhm"] / pixel_scale)


def observe(
    images: Tensor,
    parameters: dict[str, NDArray[np.float64]],
    seed: int,
    indices: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Count photons: Poisson noise, Gaussian background, whole electrons.

    Parameters
    ----------
    images : Tensor, shape (B, H, W), electrons
        From `render`.
    parameters : dict of str to ndarray
        From `draw`.
    seed : int
        Root seed.
    indices : ndarray of int, shape (B,)
        Which lenses; each has its own stream of noise.

    Returns
    -------
    ndarray, shape (B, H, W), float32, electrons
        What the detector reads, background subtracted.
    """
    expected = images.numpy()
    counts = np.empty(expected.shape, dtype=np.float32)
    for k, index in enumerate(indices):
        random = numpy_generator(seed, "demo", "noise", int(index))
        background = random.normal(0.0, parameters["background_rms"][k], expected.shape[1:])
        # rounding hides differences in the last bit between machines, so hashes agree
        counts[k] = random.poisson(expected[k]) + np.rint(background)
    return counts


def _uniforms(
    seed: int, stream: str, indices: NDArray[np.integer], count: int
) -> NDArray[np.float64]:
    rows = [numpy_generator(seed, "demo", stream, int(i)).random(count) for i in indices]
    return np.stack(rows)


def _draw_uniform(
    seed: int, stream: str, indices: NDArray[np.integer], ranges: dict[str, tuple[float, float]]
) -> dict[str, NDArray[np.float64]]:
    units = _uniforms(seed, stream, indices, len(ranges))
    return {
        name: low + (high - low) * units[:, column]
        for column, (name, (low, high)) in enumerate(ranges.items())
    }


def _smooth_einstein_radius(
    drawn: dict[str, NDArray[np.float64]], distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weaken the ellipsoid by the mass that the subhalos bring into the circle of the ring.

    In units of pi times the critical density, an ellipsoid of Einstein radius t has the mass
    t R (2 sqrt(q) / pi) K(1 - q^2) inside a circle of radius R about its centre.
    """
    radius, axis_ratio = drawn["einstein_radius"], drawn["axis_ratio"]
    inside = enclosed_share(radius[:, None], distance, drawn["softening"][:, None])
    lumps = (drawn["subhalo_einstein_radius"] ** 2 * inside).sum(axis=1)
    per_radius = radius * 2 * np.sqrt(axis_ratio) / math.pi * ellipk(1 - axis_ratio**2)
    smooth: NDArray[np.float64] = radius - lumps / per_radius
    return smooth


def enclosed_share(
    radius: NDArray[np.float64], distance: NDArray[np.float64], softening: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the share of a softened mass that projects into a circle it is not centred on.

    Gauss's theorem gives it as the mean of the radial deflection over the circle:
    1/2 [1 + (R^2 - d^2 - s^2) / sqrt((R^2 + d^2 + s^2)^2 - 4 R^2 d^2)].

    Parameters
    ----------
    radius : ndarray, arcsec
        R of the circle.
    distance : ndarray, arcsec
        d of the mass from the circle's centre.
    softening : ndarray, arcsec
        s of the mass.

    Returns
    -------
    ndarray
        Between 0 and 1.

    Examples
    --------
    >>> float(enclosed_share(np.array(1.0), np.array(0.0), np.array(1.0)))
    0.5
    """
    squared = radius**2 - distance**2 - softening**2
    root = np.sqrt((radius**2 + distance**2 + softening**2) ** 2 - 4 * radius**2 * distance**2)
    return 0.5 * (1 + squared / root)


def _convolve(images: Tensor, fwhm_pixels: Tensor) -> Tensor:
    """Convolve each image with its own Gaussian PSF, in Fourier space."""
    sigma = fwhm_pixels[:, None] / math.sqrt(8 * math.log(2))
    size = images.shape[-1]
    rows = torch.fft.fftfreq(2 * size, dtype=images.dtype)
    columns = torch.fft.rfftfreq(2 * size, dtype=images.dtype)
    transfer_y = torch.exp(-2 * (math.pi * sigma * rows) ** 2)
    transfer_x = torch.exp(-2 * (math.pi * sigma * columns) ** 2)
    # twice the size, so that what leaves on one side does not enter on the other
    spectrum = torch.fft.rfft2(images, s=(2 * size, 2 * size))
    spectrum = spectrum * transfer_y[:, :, None] * transfer_x[:, None, :]
    blurred: Tensor = torch.fft.irfft2(spectrum, s=(2 * size, 2 * size))
    return blurred[..., :size, :size].clamp(min=0.0)
