"""Libraries of galaxies: reading, splitting, refusing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import ndimage

from darkarcs.errors import DataError
from darkarcs.light.galaxy_files import pixel_scale_of
from darkarcs.light.galaxy_library import GalaxyLibrary, load_galaxies
from darkarcs.light.galaxy_preparation import Rejection, prepare_galaxy

PARTS = ("train", "validation", "test")


def _cutouts(num: int = 12, side: int = 64, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    images = [
        np.exp(-np.hypot(x, y / rng.uniform(0.5, 1)) / rng.uniform(1.5, 2.5))
        + rng.normal(scale=0.01, size=(side, side))
        for _ in range(num)
    ]
    return np.array(images, dtype=np.float32)


def _npz(folder: Path, name: str = "galaxies.npz", **arrays: Any) -> Path:
    np.savez(folder / name, **arrays)
    return folder / name


def _header(scale: float = 0.05) -> fits.Header:
    world = WCS(naxis=2)
    world.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    world.wcs.cdelt = [-scale / 3600, scale / 3600]
    world.wcs.crval = [150.0, 2.0]
    return world.to_header()


def test_an_archive_becomes_a_library(tmp_path: Path) -> None:
    library = load_galaxies(_npz(tmp_path, image=_cutouts(), pixel_scale=0.04))
    assert len(library) == 12 == len(set(library.identity))
    assert library.images.shape == (12, 64, 64)
    assert library.images.dtype == np.float32
    assert library.pixel_scale == 0.04
    assert library.rejected == {}
    np.testing.assert_allclose(library.images.sum((1, 2)), 1, rtol=1e-5)
    assert ((library.half_light_radius > 0.05) & (library.half_light_radius < 0.2)).all()


def test_the_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    images = _cutouts(20)
    first = load_galaxies(_npz(tmp_path, "a.npz", image=images), pixel_scale=0.03)
    second = load_galaxies(_npz(tmp_path, "b.npz", other=images[::-1]), pixel_scale=0.03)
    assert first.identity == second.identity
    np.testing.assert_array_equal(first.images, second.images)
    for part in PARTS:
        assert first.subset(part).identity == second.subset(part).identity


def test_parts_are_disjoint_complete_and_stable_when_galaxies_are_added(tmp_path: Path) -> None:
    images = _cutouts(40)
    library = load_galaxies(_npz(tmp_path, "all.npz", image=images), pixel_scale=0.03)
    fewer = load_galaxies(_npz(tmp_path, "few.npz", image=images[:30]), pixel_scale=0.03)
    parts = {part: set(library.subset(part).identity) for part in PARTS}
    assert sum(map(len, parts.values())) == 40
    assert set.union(*parts.values()) == set(library.identity)
    for part in PARTS:
        assert set(fewer.subset(part).identity) == parts[part] & set(fewer.identity)
    assert library.subset("all") is library


def test_parts_meet_their_fractions_on_average() -> None:
    rng = np.random.default_rng(0)
    names = tuple(rng.bytes(8).hex() for _ in range(20_000))
    nothing = np.zeros(20_000)
    library = GalaxyLibrary(
        np.zeros((20_000, 2, 2), np.float32), 0.03, names, nothing, nothing, nothing
    )
    for part, fraction in zip(PARTS, (0.5, 0.2, 0.3), strict=True):
        share = len(library.subset(part, (0.5, 0.2, 0.3))) / 20_000
        assert share == pytest.approx(fraction, abs=0.012)


def test_rows_stay_together_in_a_part(tmp_path: Path) -> None:
    library = load_galaxies(_npz(tmp_path, image=_cutouts(20)), pixel_scale=0.03)
    part = library.subset("train")
    where = [library.identity.index(name) for name in part.identity]
    for name in ("images", "half_light_radius", "snr", "peak_to_noise"):
        np.testing.assert_array_equal(getattr(part, name), getattr(library, name)[where])


def test_an_empty_part_and_bad_fractions_are_refused(tmp_path: Path) -> None:
    library = load_galaxies(_npz(tmp_path, image=_cutouts(2)), pixel_scale=0.03)
    with pytest.raises(DataError, match="no galaxy falls into the part 'validation'"):
        library.subset("validation", (0.5, 0.0, 0.5))
    with pytest.raises(DataError, match="sum to 1"):
        library.subset("train", (0.5, 0.5, 0.5))
    with pytest.raises(DataError, match="no part 'valid'"):
        library.subset("valid")  # type: ignore[arg-type]


def test_choices_by_snr_and_number(tmp_path: Path) -> None:
    snr = np.arange(12.0)
    path = _npz(tmp_path, images=_cutouts(), snr=snr)
    bright = load_galaxies(path, pixel_scale=0.03, min_snr=6.0)
    assert sorted(bright.snr) == [6, 7, 8, 9, 10, 11]
    assert bright.rejected == {"below min_snr": 6}
    few = load_galaxies(path, pixel_scale=0.03, max_galaxies=5)
    assert few.identity == load_galaxies(path, pixel_scale=0.03).identity[:5]
    with pytest.raises(DataError, match="none of 12 cutouts"):
        load_galaxies(path, pixel_scale=0.03, min_snr=100.0)
    with pytest.raises(DataError, match="at least 1"):
        load_galaxies(path, pixel_scale=0.03, max_galaxies=0)


def test_bad_cutouts_and_duplicates_are_counted(tmp_path: Path) -> None:
    images = np.concatenate([_cutouts(4), _cutouts(1), np.zeros((1, 64, 64), np.float32)])
    images[1, 3, 3] = np.nan
    library = load_galaxies(_npz(tmp_path, image=images), pixel_scale=0.03)
    assert len(library) == 3
    assert library.rejected == {"duplicate": 1, "not finite": 1, "nothing at the centre": 1}
    with pytest.raises(DataError, match="none of 2 cutouts can be used"):
        load_galaxies(_npz(tmp_path, "nan.npz", image=images[[1, 5]]), pixel_scale=0.03)


def test_the_library_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = _npz(tmp_path, image=_cutouts(4))
    library = load_galaxies(path, pixel_scale=0.03)
    assert load_galaxies(str(path), pixel_scale=0.03) is library
    _npz(tmp_path, image=_cutouts(4, seed=1))
    os.utime(path, ns=(1, 1))
    assert load_galaxies(path, pixel_scale=0.03).identity != library.identity


def test_galaxies_that_are_not_square_are_padded_and_centred(tmp_path: Path) -> None:
    images = np.pad(_cutouts(3), ((0, 0), (0, 0), (9, 30)), mode="wrap")
    images[:, :, 78:] = images[:, ::-1, :25]  # no second galaxy
    images = np.roll(images, (2, -5), axis=(1, 2))[:, :, 10:75]
    library = load_galaxies(_npz(tmp_path, image=images), pixel_scale=0.03)
    assert library.images.shape == (3, 66, 66)
    axis = np.arange(66) - 32.5
    assert (np.abs(library.images.sum(1) @ axis) <= 0.51).all()
    assert (np.abs(library.images.sum(2) @ axis) <= 0.51).all()


def test_fits_of_every_shape_in_a_folder(tmp_path: Path) -> None:
    images, folder = _cutouts(7), tmp_path / "galaxies"
    folder.mkdir()
    fits.PrimaryHDU(images[0], _header()).writeto(folder / "one.fits")
    fits.PrimaryHDU(images[1:4], _header()).writeto(folder / "cube.fits.gz")
    units = [fits.PrimaryHDU(header=_header())]
    units += [fits.ImageHDU(image, _header()) for image in images[4:6]]
    units += [fits.ImageHDU(images[6], _header(), name="WHT")]  # weights are not light
    fits.HDUList(units).writeto(folder / "several.fits")
    library = load_galaxies(folder)
    assert library.pixel_scale == pytest.approx(0.05)
    reference = load_galaxies(_npz(tmp_path, "same.npz", image=images[:6]), pixel_scale=0.05)
    assert library.identity == reference.identity
    fits.PrimaryHDU(images[6], _header(0.08)).writeto(folder / "coarse.fits")
    with pytest.raises(DataError, match=r"0.05 to 0.08 arcsec"):
        load_galaxies(folder)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"PIXSCALE": 0.03}, 0.03),
        ({"CD1_1": -0.05 / 3600, "CD2_2": 0.05 / 3600}, 0.05),
        ({"CDELT1": -0.04 / 3600, "CDELT2": 0.04 / 3600}, 0.04),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-5, "CDELT2": 1e-5}, 0.036),
        ({}, None),
        ({"PIXSCALE": "unknown"}, None),
    ],
)
def test_pixel_scale_of_a_header(cards: dict[str, Any], expected: float | None) -> None:
    scale = pixel_scale_of(fits.Header(cards))
    assert scale == (None if expected is None else pytest.approx(expected))


def test_a_pixel_scale_is_asked_for(tmp_path: Path) -> None:
    path = _npz(tmp_path, image=_cutouts(2))
    with pytest.raises(DataError, match="give pixel_scale"):
        load_galaxies(path)
    with pytest.raises(DataError, match="not one of a telescope"):
        load_galaxies(path, pixel_scale=-1.0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((64, 64))}, "needs an array 'image'"),
        ({"a": _cutouts(2), "b": _cutouts(2)}, "needs an array 'image'"),
        ({"image": np.array([{}] * 8, dtype=object).reshape(2, 2, 2)}, "pickled"),
        ({"image": _cutouts(2).astype(complex)}, "complex64|complex128"),
        ({"image": _cutouts(2), "snr": np.ones(3)}, "'snr' must hold one number for each of 2"),
        ({"image": _cutouts(2), "pixel_scale": np.ones(2)}, "must be one number"),
        ({"image": np.zeros((2, 8, 8))}, "not one galaxy"),
        ({"image": np.zeros((0, 64, 64))}, "none of 0"),
    ],
)
def test_archives_without_galaxies(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_galaxies(_npz(tmp_path, **arrays), pixel_scale=0.03)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_galaxies(tmp_path / "absent.npz", pixel_scale=0.03)
    with pytest.raises(DataError, match="the folder holds no"):
        load_galaxies(tmp_path, pixel_scale=0.03)
    for name, message in (
        ("a.npz", "NumPy|damaged"),
        ("b.fits", "damaged FITS"),
        ("c.png", "galaxies are read from"),
    ):
        (tmp_path / name).write_bytes(b"something else altogether")
        with pytest.raises(DataError, match=message):
            load_galaxies(tmp_path / name, pixel_scale=0.03)
    whole = _npz(tmp_path, image=_cutouts(2)).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.npz"):
        load_galaxies(tmp_path / "cut.npz", pixel_scale=0.03)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "num_stored", "at_least", "radii"),
    [
        ("hst_acs_f814w_cutouts.npz", 56, 50, (0.12, 1.0)),
        ("galsim_real_galaxies.npz", 43, 28, (0.2, 0.9)),
    ],
)
def test_real_galaxies(
    shared_path: Path, name: str, num_stored: int, at_least: int, radii: tuple[float, float]
) -> None:
    library = load_galaxies(shared_path / "data" / "cosmos" / name, pixel_scale=0.03)
    assert len(library) + sum(library.rejected.values()) == num_stored
    assert len(library) >= at_least
    assert radii[0] < library.half_light_radius.min()
    assert library.half_light_radius.max() < radii[1]
    assert (library.images >= 0).all()
    # the light has gone to zero within the picture
    border = np.concatenate([library.images[:, :4].ravel(), library.images[:, :, -4:].ravel()])
    assert border.max() < 1e-3 * library.images.max((1, 2)).min()
    for part in PARTS:
        assert len(library.subset(part)) > 0


@pytest.mark.shared
def test_the_stated_signal_to_noise_is_what_is_measured(shared_path: Path, tmp_path: Path) -> None:
    path = shared_path / "data" / "cosmos" / "hst_acs_f814w_cutouts.npz"
    with np.load(path) as archive:
        without = _npz(tmp_path, image=archive["image"])
    stated = load_galaxies(path, pixel_scale=0.03)
    measured = load_galaxies(without, pixel_scale=0.03)
    assert stated.identity == measured.identity
    ratio = measured.snr / stated.snr
    assert 0.95 < np.median(ratio) < 1.1


@pytest.mark.shared
def test_noise_of_real_galaxies_is_taken_out_of_their_faint_light(shared_path: Path) -> None:
    """What stays below the PSF's width, in light of one to four sigma, is almost nothing."""
    path = shared_path / "data" / "cosmos" / "hst_acs_f814w_cutouts.npz"
    with np.load(path) as archive:
        stored = archive["image"].astype(np.float64)
    left = []
    for image in stored:
        galaxy = prepare_galaxy(image)
        if isinstance(galaxy, Rejection):
            continue
        noise = np.median(np.abs(image[:20] - np.median(image[:20]))) / 0.6745
        scaled = galaxy.image * galaxy.peak_to_noise / galaxy.image.max()
        smooth = ndimage.gaussian_filter(scaled, 3.0)
        faint = (smooth > 1) & (smooth < 4)
        fine_before = image / noise - ndimage.gaussian_filter(image / noise, 1.4)
        fine_after = scaled - ndimage.gaussian_filter(scaled, 1.4)
        left.append(fine_after[faint].std() / fine_before[faint].std())
    assert np.median(left) < 0.15
