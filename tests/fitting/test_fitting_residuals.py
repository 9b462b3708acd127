"""Residuals: what the channels hold, what is kept, how they are stored, and how they resume."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

import small_scenes
from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, DarkarcsError, DataError, OutputExistsError
from darkarcs.fitting import (
    SmoothFit,
    SmoothFits,
    SmoothFitter,
    SubhaloMaps,
    SubhaloSearch,
    fit_of,
    residual_images,
    residuals_to_store,
    scene_of,
)
from darkarcs.scenes import Scene, load_scene
from darkarcs.simulation import SimulationRequest, simulate

NUM = 10


@pytest.fixture(scope="module")
def scene() -> Scene:
    return small_scenes.scene().with_classes(["no_sub", "cdm"])


@pytest.fixture(scope="module")
def lenses(scene: Scene) -> LensImages:
    return simulate(SimulationRequest(scene=scene, num=NUM, seed=1))


@pytest.fixture(scope="module")
def fit(scene: Scene) -> SmoothFit:
    return SmoothFit.of(scene)


@pytest.fixture(scope="module")
def made(lenses: LensImages, fit: SmoothFit) -> LensImages:
    return residual_images(lenses, fit)


def same(one: LensImages, other: LensImages) -> None:
    """Compare sets bit for bit."""
    assert np.array_equal(one.images, other.images)
    assert set(one.metadata) == set(other.metadata)
    for name, values in one.metadata.items():
        assert np.array_equal(values, other.metadata[name], equal_nan=values.dtype.kind == "f"), (
            name
        )
    assert np.array_equal(one.label_names, other.label_names)
    assert (one.class_names, one.pixel_scale) == (other.class_names, other.pixel_scale)


def in_pixels(places: Tensor, scene: Scene) -> NDArray[np.float64]:
    """Interpolate maps between the middles of places; beyond the outermost nothing changes."""
    field = scene.num_pixels * scene.instrument.pixel_scale
    side, pixels = places.shape[-1], scene.num_pixels
    middles = ((np.arange(side) + 0.5) / side - 0.5) * field
    wanted = ((np.arange(pixels) + 0.5) / pixels - 0.5) * field
    wanted = wanted.clip(middles[0], middles[-1])
    grid = np.stack(np.meshgrid(wanted, wanted, indexing="ij"), axis=-1)
    flat = places.double().numpy().reshape(-1, side, side).transpose(1, 2, 0)
    found = RegularGridInterpolator((middles, middles), flat)(grid)
    return np.moveaxis(found, -1, 0).reshape(*places.shape[:2], pixels, pixels)


def by_hand(scene: Scene, images: Tensor) -> tuple[SmoothFits, SubhaloMaps]:
    """Fit and search; where there seem to be subhalos, fit and search again."""
    fitter = SmoothFitter(scene)
    fits, search = fitter.fit(images), SubhaloSearch(fitter)
    (doubtful,) = torch.nonzero(search.search(images, fits).log_evidence > 1, as_tuple=True)
    fits.put(doubtful, fitter.refit(images[doubtful], fits.select(doubtful)))
    return fits, search.search(images, fits)


def test_channels_are_residual_light_and_maps(
    scene: Scene, lenses: LensImages, made: LensImages, fit: SmoothFit
) -> None:
    fits, maps = by_hand(scene, torch.from_numpy(lenses.images))
    assert fit.num_channels == 7
    assert made.images.shape == (NUM, 7, 20, 20)
    expected = [
        maps.residuals.clamp(-15, 15),
        torch.asinh(fits.images * fits.scale),
        in_pixels(maps.significance.clamp(-15, 15), scene),
        in_pixels(maps.sensitivity, scene),
        in_pixels(maps.evidence.clamp(-15, 15), scene),
    ]
    np.testing.assert_allclose(made.images, np.concatenate(expected, axis=1), atol=2e-3)
    assert made.images[:, 1].max() > 2 > made.images[:, 0].std()
    log_evidence = made.metadata["fit.log_evidence"]
    assert log_evidence.dtype == np.float32
    np.testing.assert_allclose(log_evidence, maps.log_evidence, atol=2e-3)


def test_residuals_have_a_limit(lenses: LensImages, fit: SmoothFit) -> None:
    scar = lenses.select([0])
    pixels = scar.images.copy()
    pixels[0, 0, 2, 3], pixels[0, 0, 17, 3] = 1e4, -1e4
    left = residual_images(replace(scar, images=pixels), fit).images[0, 0]
    assert (left[2, 3], left[17, 3]) == (15.0, -15.0)
    assert np.abs(left).max() == 15.0


def test_bands_come_residuals_first() -> None:
    """In a field of 3.8 arcsec, whose ten places a side are a little narrower than two pixels."""
    changes = {"channels": [{"name": "g", "source": 0.4}, {"name": "r"}], "num_pixels": 19}
    colour = small_scenes.scene(**changes).with_classes(["no_sub"])
    taken = simulate(SimulationRequest(scene=colour, num=2, seed=1))
    made, fitter = residual_images(taken, SmoothFit.of(colour)), SmoothFitter(colour)
    images = torch.from_numpy(taken.images)
    fits = fitter.fit(images)
    light = np.arcsinh((fits.images * fits.scale).numpy())
    assert made.images.shape == (2, SmoothFit.of(colour).num_channels, 19, 19) == (2, 9, 19, 19)
    np.testing.assert_allclose(made.images[:, 2:4], light, atol=1e-3)
    maps = SubhaloSearch(fitter).search(images, fits)
    np.testing.assert_allclose(made.images[:, :2], maps.residuals.clamp(-15, 15), atol=1e-3)
    assert maps.significance.shape[-1] == 10
    for place, some in ((4, maps.significance), (5, maps.sensitivity), (6, maps.evidence)):
        found = made.images[:, place : place + some.shape[1]]
        np.testing.assert_allclose(found, in_pixels(some, colour), atol=2e-3)
    # of a source that is fainter in g
    assert (made.images[:, 2].max((1, 2)) < made.images[:, 3].max((1, 2))).all()


def test_columns_are_those_of_the_fit(scene: Scene, lenses: LensImages, made: LensImages) -> None:
    fitter = SmoothFitter(scene)
    fits, _ = by_hand(scene, torch.from_numpy(lenses.images))
    added = set(made.metadata) - set(lenses.metadata)
    told = {f"fit.{name}" for name in fitter.coordinates.names}
    assert added == told | {"fit.chi_square", "fit.converged", "fit.log_evidence"}
    np.testing.assert_allclose(made.metadata["fit.chi_square"], fits.chi_square, rtol=1e-4)
    assert made.metadata["fit.converged"].dtype == bool
    inside = (np.abs(made.images[:, 0]) < 15).all((1, 2))
    assert inside.sum() > 5
    # a fit ends where steps gain little; what is shown is one step further, which no bound holds
    gain = made.metadata["fit.chi_square"] - (made.images[:, 0] ** 2).sum((1, 2))
    assert np.sum(np.abs(gain[inside]) < 1) >= inside.sum() - 1
    radius = made.metadata["fit.lens.smooth_einstein_radius"]
    assert np.corrcoef(radius, lenses.metadata["lens.einstein_radius"])[0, 1] > 0.8


def test_all_else_is_kept(lenses: LensImages, made: LensImages, fit: SmoothFit) -> None:
    for name, values in lenses.metadata.items():
        assert np.array_equal(made.metadata[name], values), name
    assert np.array_equal(made.label_names, lenses.label_names)
    assert made.content_hash == lenses.content_hash
    assert made.pixel_scale == lenses.pixel_scale
    assert set(made.lists) == set(lenses.lists) == {"subhalos"}
    for i in range(NUM):
        one, other = (some.lists["subhalos"][i] for some in (made, lenses))
        assert np.array_equal(one["mass"], other["mass"])
    assert made.manifest["scene"] == lenses.manifest["scene"]
    assert "smooth_fit" not in lenses.manifest
    assert fit_of(lenses) is None
    assert fit_of(made) == fit


def test_unlabelled_images_of_unknown_scale(lenses: LensImages, fit: SmoothFit) -> None:
    bare = residual_images(LensImages.from_arrays(lenses.images[:2]), fit)
    assert (bare.labels, bare.class_names, bare.pixel_scale) == (None, (), None)
    assert bare.images.shape == (2, 7, 20, 20)


def refusal(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(DarkarcsError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_residuals_are_not_fitted_again(made: LensImages, fit: SmoothFit, tmp_path: Path) -> None:
    assert "residuals of fits already" in refusal(residual_images, made, fit)
    assert "already" in refusal(residuals_to_store, made, fit, tmp_path / "out.h5")
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_instrument_are_refused(lenses: LensImages, fit: SmoothFit) -> None:
    other = replace(lenses, pixel_scale=0.1)
    message = refusal(residual_images, other, fit)
    assert "0.1 arcsec" in message
    assert "small, 0.2 arcsec" in message
    assert "give images of that instrument" in message
    nearly = replace(lenses.select([0]), pixel_scale=0.20001)
    assert len(residual_images(nearly, fit)) == 1
    cut = LensImages.from_arrays(lenses.images[:, :, 2:-2, 2:-2])
    assert "(1, 16, 16)" in refusal(residual_images, cut, fit)
    colour = LensImages.from_arrays(lenses.images.repeat(3, axis=1))
    assert "(3, 20, 20)" in refusal(residual_images, colour, fit)


def test_pixels_that_are_no_numbers_are_refused(lenses: LensImages, fit: SmoothFit) -> None:
    pixels = lenses.images[:2].copy()
    pixels[1, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        residual_images(LensImages.from_arrays(pixels), fit)


def test_a_store_holds_the_same(
    lenses: LensImages, made: LensImages, fit: SmoothFit, tmp_path: Path
) -> None:
    seen: list[int] = []
    out = residuals_to_store(lenses, fit, tmp_path / "new" / "out.h5", progress=seen.append)
    read = data.open(out)
    same(read, made)
    assert fit_of(read) == fit
    assert sum(seen) == NUM
    assert [path.name for path in out.parent.iterdir()] == ["out.h5"]
    before = out.read_bytes()
    with pytest.raises(OutputExistsError):
        residuals_to_store(lenses, fit, out)
    assert out.read_bytes() == before


class Interrupted(Exception):
    """What a test stops a run by."""


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Shards of four images; the sizes of those that were fitted. A size of -1 fails the next."""
    # the package names its function alike
    module = importlib.import_module("darkarcs.fitting.residuals")
    counts: list[int] = []
    fit_some = SmoothFitter.fit

    def counted(self: SmoothFitter, images: torch.Tensor) -> Any:
        if counts and counts[-1] == -1:
            counts.pop()
            raise Interrupted
        counts.append(len(images))
        return fit_some(self, images)

    monkeypatch.setattr(module, "_SHARD", 4)
    monkeypatch.setattr(SmoothFitter, "fit", counted)
    return counts


def test_an_interrupted_run_goes_on(
    lenses: LensImages, fit: SmoothFit, tmp_path: Path, fitted: list[int]
) -> None:
    whole = data.open(residuals_to_store(lenses, fit, tmp_path / "whole.h5"))
    assert fitted == [4, 4, 2]
    fitted.clear()

    def interrupt(count: int) -> None:
        fitted.append(-1)

    out = tmp_path / "out.h5"
    with pytest.raises(Interrupted):
        residuals_to_store(lenses, fit, out, progress=interrupt)
    assert fitted == [4]
    assert not out.exists()
    partial = tmp_path / ".out.h5.partial"
    assert len(list(partial.iterdir())) == 1
    fitted.clear()
    seen: list[int] = []
    residuals_to_store(lenses, fit, out, progress=seen.append)
    assert fitted == [4, 2]
    assert seen == [4, 4, 2]
    same(data.open(out), whole)
    assert not partial.exists()


def test_shards_of_other_images_are_not_taken(
    lenses: LensImages, fit: SmoothFit, tmp_path: Path, fitted: list[int]
) -> None:
    out = tmp_path / "out.h5"
    with pytest.raises(Interrupted):
        residuals_to_store(lenses, fit, out, progress=lambda _: fitted.append(-1))
    fitted.clear()
    others = lenses.select(np.arange(NUM)[::-1])
    residuals_to_store(others, fit, out)
    assert fitted == [4, 4, 2]
    assert np.array_equal(data.open(out).metadata["identity"], others.metadata["identity"])


def test_substructure_makes_no_other_fit(scene: Scene) -> None:
    fit = SmoothFit.of(scene)
    more = {"kind": "subhalos", "mass_fraction": 0.1, "min_mass": 5e8}
    heavy = small_scenes.scene(classes={"no_sub": {"kind": "none"}, "cdm": more})
    assert SmoothFit.of(heavy) == fit
    assert SmoothFit.of(small_scenes.scene()) == fit
    assert SmoothFit.of(heavy).identity == fit.identity
    wider = small_scenes.scene(lens=small_scenes.VALUES["lens"] | {"shear": 0.0})
    assert SmoothFit.of(wider) != fit
    assert SmoothFit.of(wider).identity != fit.identity


def test_a_set_without_smooth_lenses_has_the_same_fit(scene: Scene) -> None:
    alone = small_scenes.scene().with_classes(["cdm"])
    assert SmoothFit.of(alone) == SmoothFit.of(scene)


def test_where_a_scene_lies_does_not_matter(tmp_path: Path) -> None:
    """The manifest of a simulated set holds no folder, and a released model no machine's paths."""
    loaded = load_scene(str(small_scenes.write(tmp_path)))
    fit = SmoothFit.of(loaded)
    taken = simulate(SimulationRequest(scene=loaded.with_classes(["no_sub"]), num=1))
    assert SmoothFit.of(scene_of(taken)) == fit
    assert str(tmp_path) not in fit.model_dump_json()


def test_a_fit_survives_json(fit: SmoothFit) -> None:
    assert SmoothFit.parse(fit.model_dump(mode="json"), "test") == fit
    assert SmoothFit.model_validate_json(fit.model_dump_json()).identity == fit.identity
    assert fit.identity == f"{fit.scene.identity}/fit-2"
    with pytest.raises(ConfigurationError, match="version"):
        SmoothFit.parse(fit.model_dump(mode="json") | {"version": 3}, "test")


def test_the_first_version_searched_no_subhalos(lenses: LensImages, fit: SmoothFit) -> None:
    """Models that were trained on it are still served."""
    images = torch.from_numpy(lenses.images)
    earlier = fit.model_copy(update={"version": 1})
    made, fits = residual_images(lenses, earlier), SmoothFitter(fit.scene).fit(images)
    left = ((images - fits.images) * fits.scale).clamp(-15, 15)
    light = torch.asinh(fits.images * fits.scale)
    assert earlier.num_channels == 2
    np.testing.assert_allclose(made.images, torch.cat([left, light], dim=1), atol=1e-3)
    assert "fit.log_evidence" not in made.metadata
    assert fit_of(made) == earlier


def test_scenes_are_found_in_manifests(scene: Scene, lenses: LensImages) -> None:
    assert scene_of(lenses) == scene
    message = refusal(scene_of, LensImages.from_arrays(lenses.images))
    assert message.startswith("memory: ")
    assert "--scene" in message
