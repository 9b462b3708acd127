"""The public DeepLenseSim, one image at a time, with lenstronomy, for lenses that we have drawn.

Written after ``deeplense/lens.py`` of mwt5345/DeepLenseSim (commit a0c0191): Model I by
``ImageModel``, Models II and III by ``SimAPI``. Names that lenstronomy has changed since are
today's; the kernel, which its newer versions cut elsewhere, is unchanged.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM
from numpy.typing import NDArray

from darkarcs.scenes.parameters import LensParameters

Floats = NDArray[np.float64]

#: What ``SimAPI`` calls a band: lenstronomy 1.9.2's Euclid VIS, and HST WFC3 F160W.
BANDS: dict[str, dict[str, Any]] = {
    "deeplense-2": {
        "pixel_scale": 0.101,
        "seeing": 0.16,
        "psf_type": "GAUSSIAN",
        "magnitude_zero_point": 24.0,
        "exposure_time": 565.0,
        "num_exposures": 4,
        "sky_brightness": 22.35,
        "read_noise": 4.2,
        "ccd_gain": 3.1,
    },
    "deeplense-3": {
        "pixel_scale": 0.08,
        "seeing": 0.08,
        "psf_type": "GAUSSIAN",
        "magnitude_zero_point": 25.96,
        "exposure_time": 5400.0,
        "num_exposures": 1,
        "sky_brightness": 22.3,
        "read_noise": 4.0,
        "ccd_gain": 2.5,
    },
}

_SOURCE = {"R_sersic": 0.25, "n_sersic": 1, "e1": -0.1, "e2": 0.1}
_UNIVERSE = FlatLambdaCDM(H0=70, Om0=0.3, Ob0=0.05)
_BACKGROUND_RMS = 0.01


def einstein_radius(mass: float, arcsec_per_radian: float = 206265.0) -> float:
    """Turn a mass into an Einstein radius as the published code does, by luminosity distances.

    Parameters
    ----------
    mass : float, solar masses
        Of a lens at redshift 0.5; the source is at 1.
    arcsec_per_radian : float
        As the published code rounds it.

    Returns
    -------
    float, arcsec
        1.28 for 1e12 solar masses.

    Examples
    --------
    >>> round(einstein_radius(1e12), 2)
    1.28
    """
    near, far = (_UNIVERSE.luminosity_distance(z).to(units.m) for z in (0.5, 1.0))
    square = 4 * constants.G * mass * constants.M_sun / constants.c**2 * (far - near) / (near * far)
    return float(np.sqrt(square.value) * arcsec_per_radian)


def lens_model(parameters: LensParameters, index: int) -> tuple[list[str], list[dict[str, float]]]:
    """List a lens's profiles and their keywords.

    Parameters
    ----------
    parameters : LensParameters
        Drawn from ``deeplense-1``, ``-2`` or ``-3``.
    index : int
        Which of them.

    Returns
    -------
    names : list of str
        lenstronomy's.
    keywords : list of dict
        One a profile.
    """
    names = ["SIE", "SHEAR"]
    halo = {"theta_E": einstein_radius(1e12), "e1": 0.1, "e2": 0.0}
    keywords = [halo | {"center_x": 0.0, "center_y": 0.0}, {"gamma1": 0.05, "gamma2": 0.0}]
    table = parameters.masses.get("point_masses")
    if table is not None:
        rows = zip(table["mass"][index], table["x"][index], table["y"][index], strict=True)
        for mass, x, y in rows:
            if mass > 0:  # the rest is padding
                names.append("POINT_MASS")
                place = {"center_x": float(x), "center_y": float(y)}
                keywords.append({"theta_E": einstein_radius(mass)} | place)
    return names, keywords


def published_image(scene: str, parameters: LensParameters, index: int) -> Floats:
    """Render one noiseless image.

    Parameters
    ----------
    scene : {"deeplense-1", "deeplense-2", "deeplense-3"}
        Which model.
    parameters : LensParameters
        Drawn from that scene: source positions and substructure are taken from there, all else
        is fixed here.
    index : int
        Which of them.

    Returns
    -------
    ndarray, shape (H, W)
        Model I: counts per unit of exposure. Models II and III: electrons per second, twice, as
        the published code adds the image to itself.
    """
    names, keywords = lens_model(parameters, index)
    centre = {
        f"center_{axis}": float(parameters.columns[f"source.centre_{axis}"][index])
        for axis in ("x", "y")
    }
    if scene == "deeplense-1":
        return _model_1(names, keywords, {"amp": 20.0, **_SOURCE, **centre})
    source = {"magnitude": 20.0, **_SOURCE, **centre}
    with warnings.catch_warnings():
        # that a cosmology is given is what the published code means
        warnings.filterwarnings("ignore", "Cosmology is provided", UserWarning)
        return 2 * _model_2(names, keywords, source, BANDS[scene])


def _model_1(
    names: list[str], keywords: list[dict[str, float]], source: dict[str, float]
) -> Floats:
    grid = import_module("lenstronomy.Util.util").make_grid_with_coordtransform
    data = import_module("lenstronomy.Data.imaging_data").ImageData
    psf = import_module("lenstronomy.Data.psf").PSF
    image_model = import_module("lenstronomy.ImSim.image_model").ImageModel
    lens = import_module("lenstronomy.LensModel.lens_model").LensModel
    light = import_module("lenstronomy.LightModel.light_model").LightModel

    _, _, right_ascension, declination, _, _, to_angle, _ = grid(
        num_pix=150, delta_pix=0.05, center_ra=0, center_dec=0, subgrid_res=1, inverse=False
    )
    pixels = data(
        image_data=np.zeros((150, 150)),
        ra_at_xy_0=right_ascension,
        dec_at_xy_0=declination,
        transform_pix2angle=to_angle,
    )
    model = image_model(
        pixels,
        psf(psf_type="GAUSSIAN", fwhm=0.087, pixel_size=0.05, truncation=3),
        lens_model_class=lens(names),
        source_model_class=light(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": 1, "supersampling_convolution": False},
    )
    return np.asarray(model.image(keywords, [source]), dtype=np.float64)


def _model_2(
    names: list[str],
    keywords: list[dict[str, float]],
    source: dict[str, float],
    band: dict[str, Any],
) -> Floats:
    sim_api = import_module("lenstronomy.SimulationAPI.sim_api").SimAPI
    api = sim_api(
        num_pix=64,
        kwargs_single_band=band,
        kwargs_model={
            "lens_model_list": names,
            "lens_redshift_list": [0.5] * len(names),
            "source_light_model_list": ["SERSIC_ELLIPSE"],
            "source_redshift_list": [1.0],
            "cosmo": _UNIVERSE,
            "z_source_convention": 2.5,
            "z_source": 1.0,
        },
    )
    model = api.image_model_class({"point_source_supersampling_factor": 1})
    _, amplitudes, _ = api.magnitude2amplitude(None, [source])
    return np.asarray(model.image(keywords, amplitudes, None), dtype=np.float64)


def published_noise(image: Floats, exposure: float, random: np.random.Generator) -> Floats:
    """Observe a noiseless image of Model I as the published code does.

    Parameters
    ----------
    image : ndarray, shape (..., H, W)
        From `published_image`.
    exposure : float
        Counts per unit of the image.
    random : numpy.random.Generator
        Source of chance; the published code has no seed.

    Returns
    -------
    ndarray, shape (..., H, W)
        Whole counts.
    """
    # lenstronomy's add_poisson, which is normal everywhere, and its add_background
    photons = random.normal(size=image.shape) * np.sqrt(np.clip(image, 0, None) / exposure)
    background = _BACKGROUND_RMS * random.normal(size=image.shape)
    total = exposure * (image + photons + background)
    return random.poisson(np.clip(total, 0, None)).astype(np.float64)
