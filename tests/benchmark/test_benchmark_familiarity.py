"""The measurement of flags: its sets are what they say, and its report holds together."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from darkarcs import data
from darkarcs.benchmark import familiarity
from darkarcs.benchmark.strange_images import Units, made_sets, real_sets, scene_sets
from darkarcs.data import LensImages
from darkarcs.data.resampling import border_median
from darkarcs.errors import OutputExistsError
from darkarcs.report.familiarity_cells import familiarity_cells
from darkarcs.training import Recipe, train
from rings import ring_lenses


def test_units_of_rings_in_noise() -> None:
    units = Units.of(ring_lenses(count=40, size=32).images * 10 + 5)
    assert np.isclose(units.background, 5, atol=0.3)
    assert np.isclose(units.noise, 1, rtol=0.1)
    assert 8 < units.brightness < 16


def test_made_sets_are_repeatable_and_what_they_say() -> None:
    like = ring_lenses(count=6, size=32)
    first, second = made_sets(like, 5), made_sets(like, 5)
    for name, images in first.items():
        assert len(images) == 5, name
        assert images.images.shape[1:] == like.images.shape[1:]
        assert np.isfinite(images.images).all()
        assert np.array_equal(images.images, second[name].images), name
    assert np.ptp(first["constant"].images, axis=(1, 2, 3)).max() == 0
    assert np.ptp(first["constant"].images) > 0
    assert np.ptp(first["blank"].images) == 0
    background = border_median(like.images[:5])
    sums = first["inverted"].images + like.images[:5] - 2 * background
    assert np.allclose(np.ptp(sums, axis=(1, 2, 3)), 0, atol=1e-5)
    assert not np.array_equal(made_sets(like, 5, seed=1)["stars"].images, first["stars"].images)


@pytest.mark.shared
def test_real_sets_come_in_both_units(shared_path: Path) -> None:
    like = ring_lenses(count=20, size=32)
    sets = real_sets(shared_path / "data", like, 4)
    assert {name: len(images) for name, images in sets.items()} == {
        "HST lenses": 3,
        "HST lenses (our units)": 3,
        "COSMOS galaxies": 4,
        "COSMOS galaxies (our units)": 4,
    }
    ours = sets["COSMOS galaxies (our units)"].images
    assert np.allclose(border_median(ours), Units.of(like.images).background, atol=1e-3)


def test_own_scenes_are_not_strange() -> None:
    sets = scene_sets(("fair-euclid", "deeplense-test5"), {"fair-euclid"}, 2, 0)
    assert list(sets) == ["deeplense-test5"]


def test_report_of_a_tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys.modules["darkarcs.benchmark.familiarity"],  # the name is also the function's
        "scene_sets",
        lambda *_: {"two channels": LensImages.from_arrays(np.zeros((2, 2, 16, 16)))},
    )
    made = ring_lenses(count=160)
    data.save(made.select(np.argsort(made.labels, kind="stable")), tmp_path / "lenses.h5")
    monkeypatch.setattr(sys.modules["darkarcs.benchmark.familiarity"], "MAX_IN_SETS", 16)
    recipe = Recipe.parse(
        {
            "name": "tiny",
            "preprocessing": {"size": 16},
            "model": {"name": "d4_cnn"},
            "training": {"epochs": 1, "batch_size": 16, "precision": "32"},
        },
        "test",
    )
    model = train(recipe, str(tmp_path / "lenses.h5"), tmp_path / "run").model
    out = tmp_path / "out"
    further = {"the same": str(tmp_path / "lenses.h5")}
    report = familiarity(model, str(tmp_path / "lenses.h5"), further=further, num=6, out=out)
    assert json.loads((out / "familiarity.json").read_text()) == report
    assert report["own"]["n"] == 32
    assert report["sets"]["gaussian noise"]["flagged"] == 1.0
    assert report["sets"]["gaussian noise"]["by_score"]["texture"]["auroc"] > 0.95
    assert "channels" in report["left_out"]["two channels"]
    assert len(report["prediction_sets"]) == 12
    assert all(set(row["by_class"]) == {"no_sub", "sub"} for row in report["prediction_sets"])
    assert report["sets"]["the same"]["n"] == 6
    assert report["goals"]["without_goal"] == ["turned 45", "the same"]
    first = [row[0] for row in familiarity_cells(report)[1]]
    assert {"turned 45 (no goal)", "the same (no goal)", "stars"} <= set(first)
    exempt = report["goals"]["without_goal"]
    strange = {k: row["flagged"] for k, row in report["sets"].items() if k not in exempt}
    assert report["goals"]["below"] == [k for k, share in strange.items() if share < 0.95]
    with pytest.raises(OutputExistsError):
        familiarity(model, str(tmp_path / "lenses.h5"), num=6, out=out)
