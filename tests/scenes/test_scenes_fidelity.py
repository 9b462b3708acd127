"""The published scenes beside an image-at-a-time lenstronomy script of the published recipe."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import load_scene
from darkarcs.seeding import numpy_generator, torch_generator

EUCLID = {"pixel_scale": 0.101, "seeing": 0.16, "magnitude_zero_point": 24.0}
EUCLID |= {"exposure_time": 565.0, "num_exposures": 4, "sky_brightness": 22.35}
EUCLID |= {"read_noise": 4.2, "ccd_gain": 3.1}
HUBBLE = {"pixel_scale": 0.08, "seeing": 0.08, "magnitude_zero_point": 25.96}
HUBBLE |= {"exposure_time": 5400.0, "num_exposures": 1, "sky_brightness": 22.3}
HUBBLE |= {"read_noise": 4.0, "ccd_gain": 2.5}
BANDS: dict[str, dict[str, Any]] = {"deeplense-2": EUCLID, "deeplense-3": HUBBLE}
SOURCE = {"R_sersic": 0.25, "n_sersic": 1, "e1": -0.1, "e2": 0.1}


def _radius(mass: float) -> float:
    """The published ``mass_to_radius``: luminosity distances and their difference."""
    from astropy import constants, units
    from astropy.cosmology import FlatLambdaCDM

    universe = FlatLambdaCDM(H0=70, Om0=0.3, Ob0=0.05)
    near = universe.luminosity_distance(0.5).to(units.m)
    far = universe.luminosity_distance(1.0).to(units.m)
    mass = mass * constants.M_sun
    return float(
        np.sqrt(4 * constants.G * mass / constants.c**2 * (far - near) / (near * far)).value
        * 206265
    )


def _lens(lenses: Any, index: int) -> tuple[list[str], list[dict[str, float]], dict[str, float]]:
    names = ["SIE", "SHEAR"]
    keywords = [
        {"theta_E": _radius(1e12), "e1": 0.1, "e2": 0.0, "center_x": 0.0, "center_y": 0.0},
        {"gamma1": 0.05, "gamma2": 0.0},
    ]
    table = lenses.masses["point_masses"]
    for mass, x, y in zip(table["mass"][index], table["x"][index], table["y"][index], strict=True):
        if mass > 0:
            names.append("POINT_MASS")
            keywords.append({"theta_E": _radius(mass), "center_x": float(x), "center_y": float(y)})
    centre = {f"center_{a}": float(lenses.columns[f"source.centre_{a}"][index]) for a in "xy"}
    return names, keywords, {**SOURCE, **centre}


def _model_1(lenses: Any, index: int) -> np.ndarray:
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel
    from lenstronomy.Util.util import make_grid_with_coordtransform

    names, keywords, source = _lens(lenses, index)
    _, _, ra, dec, _, _, to_angle, _ = make_grid_with_coordtransform(
        num_pix=150, delta_pix=0.05, center_ra=0, center_dec=0, subgrid_res=1, inverse=False
    )
    pixels = ImageData(
        np.zeros((150, 150)), ra_at_xy_0=ra, dec_at_xy_0=dec, transform_pix2angle=to_angle
    )
    model = ImageModel(
        pixels,
        PSF(psf_type="GAUSSIAN", fwhm=0.087, pixel_size=0.05, truncation=3),
        lens_model_class=LensModel(names),
        source_model_class=LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": 1, "supersampling_convolution": False},
    )
    return np.asarray(model.image(keywords, [{"amp": 20.0, **source}]))


def _models_2_and_3(scene: str, lenses: Any, index: int) -> np.ndarray:
    from astropy.cosmology import FlatLambdaCDM
    from lenstronomy.SimulationAPI.sim_api import SimAPI

    names, keywords, source = _lens(lenses, index)
    api = SimAPI(
        num_pix=64,
        kwargs_single_band={**BANDS[scene], "psf_type": "GAUSSIAN"},
        kwargs_model={
            "lens_model_list": names,
            "lens_redshift_list": [0.5] * len(names),
            "source_light_model_list": ["SERSIC_ELLIPSE"],
            "source_redshift_list": [1.0],
            "cosmo": FlatLambdaCDM(H0=70, Om0=0.3, Ob0=0.05),
            "z_source_convention": 2.5,
            "z_source": 1.0,
        },
    )
    model = api.image_model_class({"point_source_supersampling_factor": 1})
    _, amplitudes, _ = api.magnitude2amplitude(None, [{"magnitude": 20, **source}])
    image = np.asarray(model.image(keywords, amplitudes, None))
    return image + image  # as published


@pytest.mark.parametrize("name", ["deeplense-1", "deeplense-2", "deeplense-3"])
def test_same_draws_give_the_published_images(name: str) -> None:
    pytest.importorskip("lenstronomy")
    scene = load_scene(name)
    lenses = scene.draw(11, 0, 6)
    factor = getattr(scene.noise, "factor", 1.0)
    ours = scene.render(lenses)[:, 0].double().numpy() * factor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, image in enumerate(ours):
            if name == "deeplense-1":
                theirs = _model_1(lenses, index)
            else:
                theirs = _models_2_and_3(name, lenses, index)
            assert np.abs(image - theirs).max() < 3e-5 * theirs.max()


def test_noise_of_model_1_is_the_published_one() -> None:
    scene = load_scene("deeplense-1")
    lens = scene.draw(2, 1, 1)
    image, draws = scene.render(lens), 300
    generator, random = torch_generator(0, "ours"), numpy_generator(0, "theirs")
    ours = np.stack([scene.observe(image, lens, generator)[0, 0].numpy() for _ in range(draws)])
    model, exposure = (
        image[0, 0].double().clamp(min=0).numpy(),
        10 ** lens.columns["noise.log10_exposure"][0],
    )
    shape = (draws, *model.shape)
    photons = random.normal(size=shape) * np.sqrt(model / exposure)
    background = 0.01 * random.normal(size=shape)
    theirs = random.poisson(np.clip(exposure * (model + photons + background), 0, None))
    variances = ours.var(axis=0, ddof=1), theirs.var(axis=0, ddof=1)
    squares = (ours.mean(axis=0) - theirs.mean(axis=0)) ** 2 / (sum(variances) / draws)
    assert 0.95 < squares.mean() < 1.05  # 22500 pixels: a standard error of 0.01
    assert abs(variances[0].sum() / variances[1].sum() - 1) < 0.01
    assert np.array_equal(ours, ours.round())
    assert abs((ours == 0).mean() - (theirs == 0).mean()) < 0.003


def test_jpeg_storage() -> None:
    scene = load_scene("deeplense-test5")
    lenses = scene.draw(0, 0, 2)
    stored = scene.observe(scene.render(lenses), lenses, torch.Generator().manual_seed(0))
    assert torch.equal(stored, stored.round())
    assert stored.min() >= 0
    assert stored.max() <= 255
    plain = load_scene("deeplense-test5", ["storage.jpeg_quality=null"])
    whole = plain.observe(plain.render(lenses), lenses, torch.Generator().manual_seed(0))
    assert 0 < (stored - whole).abs().max() < 60
    with pytest.raises(ConfigurationError, match="levels: 256"):
        load_scene("deeplense-test5", ["storage.levels=64"])


def test_smoothed_noise_keeps_the_light_and_says_its_variance() -> None:
    scene = load_scene("deeplense-test5", ["storage.scaling=none", "storage.levels=null",
                                           "storage.jpeg_quality=null"])  # fmt: skip
    lens = scene.draw(3, 0, 1)
    image, generator = scene.render(lens), torch.Generator().manual_seed(0)
    draws = torch.stack([scene.observe(image, lens, generator)[0, 0] for _ in range(400)]).double()
    variance = scene.noise_variance(image, lens)[0, 0]
    inner = (slice(10, 140), slice(10, 140))
    assert draws.var(dim=0)[inner].sum().item() == pytest.approx(
        variance[inner].sum().item(), rel=0.03
    )
    exposure = 10 ** lens.columns["noise.log10_exposure"][0]
    expected = (image[0, 0].double() + 0.09) * exposure
    assert draws.mean(dim=0).sum().item() == pytest.approx(expected.sum().item(), rel=0.002)


def test_offset_of_a_source_is_polar() -> None:
    lenses = load_scene("deeplense-test5").draw(0, 0, 200)
    x, y = (lenses.columns[f"source.centre_{axis}"] for axis in "xy")
    assert np.allclose(np.hypot(x, y), lenses.columns["source.offset"])
    assert 0.4 < np.hypot(x, y).mean() < 0.6


def test_classes_of_the_two_class_scene() -> None:
    assert load_scene("deeplense-test5").class_names == ("no_sub", "sub")


@pytest.mark.shared
def test_common_test_samples_are_whole_counts(shared_path: Path) -> None:
    for path in sorted(shared_path.glob("data/deeplense_samples/test1/*/*.npy")):
        image = np.load(path)[0]
        counts = image / np.diff(np.unique(image)).min()
        assert np.abs(counts - counts.round()).max() < 1e-6
        assert 700 < counts.max() < 950
