"""The truth of lenses: transforms, what is unknown, and where subhalos are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import small_scenes
from darkarcs.data import LensImages, Preprocessing
from darkarcs.data.augmentation import apply_dihedral
from darkarcs.data.ragged import RaggedTable
from darkarcs.errors import DataError
from darkarcs.measurement import describe_targets, find_targets
from darkarcs.measurement.prediction import INVERSE
from darkarcs.objectives import COUNTS, TargetRequest
from darkarcs.simulation import SimulationRequest, simulate


def lenses(x: list[float], y: list[float], mass: list[float], **columns: list[float]) -> LensImages:
    """Make one lens of 8 by 8 pixels of 0.5 arcsec with these subhalos."""
    table = {"x": np.array(x), "y": np.array(y), "mass": np.array(mass)}
    return LensImages.from_arrays(
        np.random.default_rng(0).normal(size=(1, 1, 8, 8)),
        [0],
        ("cdm",),
        {name: np.array(values) for name, values in columns.items()},
        pixel_scale=0.5,
        lists={"subhalos": RaggedTable(table, np.array([0, len(x)]))},
    )


def count(
    images: LensImages, grid: int = 4, crop: int | None = None, **request: float
) -> np.ndarray:
    fitted = Preprocessing(crop_pixels=crop).fit(images)
    asked = TargetRequest(cells=1, min_mass=request.get("min_mass", 0.0))
    return find_targets(images, asked, fitted, grid)[COUNTS]


def test_subhalos_are_counted_in_the_cell_where_they_are() -> None:
    # the image spans -2 to 2 arcsec: cells of 1 arcsec, rows along y
    images = lenses([0.5, 0.6, -1.9, 5.0], [-1.5, -1.6, 1.9, 0.0], [1e9, 1e9, 1e9, 1e9])
    expected = np.zeros((1, 4, 4))
    expected[0, 0, 2] = 2
    expected[0, 3, 0] = 1
    assert np.array_equal(count(images), expected)


def test_light_ones_are_left_out_and_positions_move_with_the_lens() -> None:
    images = lenses(
        [0.5, 0.5], [0.5, 0.5], [1e8, 1e9],
        **{"lens.centre_x": [1.0], "lens.centre_y": [-1.0]},
    )  # fmt: skip
    counts = count(images, min_mass=5e8)
    assert counts[0, 1, 3] == 1
    assert counts.sum() == 1


def test_a_crop_narrows_the_map() -> None:
    images = lenses([0.5, 1.5], [0.5, 1.5], [1e9, 1e9])
    counts = count(images, grid=2, crop=4)  # -1 to 1 arcsec
    assert counts[0].tolist() == [[0, 0], [0, 1]]


def test_bound_mass_counts_where_there_is_one() -> None:
    images = lenses([0.5], [0.5], [1e10])
    table = images.lists["subhalos"]
    bound = RaggedTable({**table.columns, "bound_mass": np.array([1e8])}, table.offsets)
    assert count(replace(images, lists={"subhalos": bound}), min_mass=1e9).sum() == 0


def test_granules_have_no_map_and_smooth_lenses_an_empty_one() -> None:
    scene = small_scenes.scene()
    images = simulate(SimulationRequest(scene=scene, num=9))
    fitted = Preprocessing().fit(images)
    request = TargetRequest({"substructure.log10_axion_mass": "none"}, cells=1)
    found = find_targets(images, request, fitted, 5)
    names = images.label_names
    unknown = np.isnan(found[COUNTS]).any(axis=(1, 2))
    assert unknown.tolist() == (names == "axion").tolist()
    assert (found[COUNTS][names == "no_sub"] == 0).all()
    assert found[COUNTS][names == "cdm"].sum() > 0
    axion = np.isfinite(found["substructure.log10_axion_mass"])
    assert axion.tolist() == (names == "axion").tolist()


def test_counts_agree_with_the_lists_of_a_scene() -> None:
    scene = small_scenes.scene().with_classes(["cdm"])
    images = simulate(SimulationRequest(scene=scene, num=6))
    counts = count(images, grid=10)
    table = images.lists["subhalos"]
    for index in range(len(images)):
        rows = table[index]
        x = rows["x"] + images.metadata["lens.centre_x"][index]
        y = rows["y"] + images.metadata["lens.centre_y"][index]
        expected, _, _ = np.histogram2d(y, x, bins=10, range=[[-2, 2], [-2, 2]])
        assert np.array_equal(counts[index], expected)


@pytest.mark.parametrize("element", range(8))
def test_each_turn_is_undone_by_its_inverse(element: int) -> None:
    images = torch.arange(18.0).reshape(2, 1, 3, 3)
    turned = apply_dihedral(images, torch.full((2,), element))
    assert torch.equal(apply_dihedral(turned, torch.full((2,), INVERSE[element])), images)


def test_a_logarithm_of_nothing_is_unknown() -> None:
    images = lenses([], [], [], **{"substructure.fraction": [0.0]})
    fitted = Preprocessing().fit(images)
    found = find_targets(images, TargetRequest({"substructure.fraction": "log10"}), fitted, 4)
    assert np.isnan(found["substructure.fraction"]).all()
    with pytest.raises(DataError, match="no training lens has"):
        describe_targets(found)


def test_errors_say_what_to_do() -> None:
    images = lenses([0.5], [0.5], [1e9], **{"substructure.fraction": [0.1]})
    fitted = Preprocessing().fit(images)
    with pytest.raises(DataError, match=r"did you mean 'substructure.fraction'"):
        find_targets(images, TargetRequest({"substructure.fractoin": "none"}), fitted, 4)
    with pytest.raises(DataError, match="nothing to learn"):
        describe_targets({"a": np.full(5, 0.03, dtype=np.float32)})
    unscaled = fitted.model_copy(update={"pixel_scale": None})
    with pytest.raises(DataError, match="pixel scale"):
        find_targets(images, TargetRequest(cells=1), unscaled, 4)
    plain = LensImages.from_arrays(images.images, [0], ("cdm",), pixel_scale=0.5)
    with pytest.raises(DataError, match="lists of subhalos"):
        find_targets(plain, TargetRequest(cells=1), fitted, 4)
