"""Sensitivity maps: what is found where, against direct evaluation at single places."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from scipy.stats import norm

from darkarcs.benchmark.detection_lenses import (
    MARGINALIZED,
    ORACLE,
    ORACLES,
    render_smooth,
    smooth_scene,
    template_of,
)
from darkarcs.benchmark.detection_observers import open_predictors
from darkarcs.benchmark.sensitivity import grid_of, map_sensitivity, sensitivity
from darkarcs.benchmark.sensitivity_figure import draw_sensitivity
from darkarcs.benchmark.sensitivity_map import SensitivitySettings, smallest_mass
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.inference import Predictor
from darkarcs.report.detection_cells import sensitivity_cells
from darkarcs.scenes.placement import place_subhalos
from darkarcs.training import Recipe, train
from small_scenes import scene, write

SETTINGS = SensitivitySettings(
    index=2, grid=6, log10_masses=(9.0, 10.0, 10.8), num_controls=50, num_noise=2,
    false_positive_rates=(0.1, 0.01),
)  # fmt: skip


def test_the_smallest_mass_is_where_the_threshold_is_crossed_for_good() -> None:
    values = np.array([[1.0, 0.0, 5.0, 3.0], [2.0, 1.0, 6.0, 1.0], [4.0, 1.9, 7.0, 4.0]])
    found = smallest_mass([8.0, 9.0, 10.0], values, 2.0)
    np.testing.assert_allclose(found, [9.0, np.nan, 8.0, 9 + 1 / 3])


def test_places_fill_the_disk() -> None:
    maps = map_sensitivity(scene(), SETTINGS, marginalize=False)
    one = maps[0]
    radius = np.hypot(one.x, one.y) / one.einstein_radius
    assert radius.max() <= 2.0
    assert len(one.x) == len(np.unique(one.cells, axis=0)) == 32
    centres = (2 * np.arange(6) + 1) / 6 - 1
    np.testing.assert_allclose(one.x, centres[one.cells[:, 1]] * 2 * one.einstein_radius)
    np.testing.assert_allclose(one.y, centres[one.cells[:, 0]] * 2 * one.einstein_radius)
    assert list(one.values) == [ORACLE]


def test_the_map_is_what_single_subhalos_give() -> None:
    one = scene()
    found = map_sensitivity(one, SETTINGS)[0]
    smooth = smooth_scene(one)
    lens = render_smooth(smooth, smooth.draw(0, 2, 1, part="test"))
    place = 11
    placed = place_subhalos(
        one, lens.parameters, template_of(one), log10_mass=10.0,
        x=found.x[place], y=found.y[place],
    )  # fmt: skip
    expected = lens.strengths(one.render(placed))[ORACLE].item()
    assert found.values[ORACLE][1, place] == pytest.approx(expected, rel=1e-2)
    assert (found.values[MARGINALIZED] <= found.values[ORACLE]).all()
    assert found.thresholds[ORACLE] == pytest.approx({0.1: norm.isf(0.1), 0.01: norm.isf(0.01)})


def test_the_knowing_and_the_lenient_find_more() -> None:
    report = sensitivity(scene(), SETTINGS, map_sensitivity(scene(), SETTINGS))
    shares = {(row["observer"], row["false_positive_rate"]): row["shares"] for row in
              report["summary"]}  # fmt: skip
    assert set(shares) == {(name, rate) for name in ORACLES for rate in (0.1, 0.01)}
    for name in ORACLES:
        assert shares[name, 0.1][1] >= shares[name, 0.01][1]
        assert shares[name, 0.1][0] <= shares[name, 0.1][1]
    assert shares[ORACLE, 0.1][1] > shares[MARGINALIZED, 0.1][1]
    assert shares[ORACLE, 0.1][1] > 0.3
    rows = report["maps"][0]["smallest_log10_mass"][ORACLE]
    assert rows[0][0] is None  # a corner, outside of the disk
    inside = [value for row in rows for value in row if value is not None]
    assert all(9.0 <= value <= 10.8 for value in inside)
    share = sum(value <= 10.0 for value in inside) / 32
    assert share == pytest.approx(shares[ORACLE, 0.1][1])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensitivity")
    recipe = Recipe.parse(
        {
            "name": "tiny",
            "preprocessing": {"size": 16},
            "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 2}},
            "training": {"epochs": 1, "batch_size": 16, "precision": "32"},
        },
        "test",
    )
    return train(recipe, f"scene:{write(folder)}?num=48&classes=no_sub,cdm", folder / "run").model


def test_a_model_is_mapped_reported_and_drawn(model: Path, tmp_path: Path) -> None:
    predictors = open_predictors([model])
    settings = SETTINGS.model_copy(update={"num": 2, "false_positive_rates": (0.1, 0.001)})
    maps = map_sensitivity(scene(), settings, predictors, marginalize=False)
    assert [one.identity.rsplit("/", 1)[1] for one in maps] == ["2", "3"]
    assert list(maps[0].values) == [ORACLE, "tiny"]
    assert maps[0].values["tiny"].shape == (3, 32)
    assert len(np.unique(maps[0].values["tiny"])) == 96
    assert list(maps[0].thresholds["tiny"]) == [0.1]  # 50 controls set no threshold at 0.1 %
    assert set(maps[0].smooth_score) == {"tiny"}
    report = sensitivity(scene(), settings, maps, predictors)
    assert json.loads(json.dumps(report, allow_nan=False))["models"] == report["models"]
    again = map_sensitivity(scene(), settings, predictors, marginalize=False)
    np.testing.assert_array_equal(again[1].values["tiny"], maps[1].values["tiny"])
    # a lens that is an alarm by itself tells nothing about subhalos
    threshold = maps[0].thresholds["tiny"][0.1]
    scores = (threshold + 1, threshold - 1)
    split = [
        replace(
            one,
            smooth_score={"tiny": score},
            values={**one.values, "tiny": one.values["tiny"] * 0 + score},
        )
        for one, score in zip(maps, scores, strict=True)
    ]
    rows = {row["observer"]: row for row in sensitivity(scene(), settings, split)["summary"]}
    assert (rows["tiny"]["shares"], rows["tiny"]["num_false_alarms"]) == ([0.0, 0.0], 1)
    assert rows[ORACLE]["num_false_alarms"] == 0
    alarms = sensitivity(scene(), settings, split[:1])
    assert alarms["summary"][-1]["shares"] == [None, None]
    assert sensitivity_cells(alarms)[1][-1][2:] == ("", "", "none")
    maps = split
    figure = draw_sensitivity(maps, settings, 0.2, tmp_path / "maps.png")
    assert figure.stat().st_size > 20_000
    with pytest.raises(OutputExistsError):
        draw_sensitivity(maps, settings, 0.2, figure)
    with pytest.raises(DataError, match="png"):
        draw_sensitivity(maps, settings, 0.2, tmp_path / "maps.txt")


def test_too_few_controls_are_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object) -> None:
        raise AssertionError("nothing was to be rendered")

    monkeypatch.setattr("darkarcs.benchmark.sensitivity.control_scores", work)
    few = SETTINGS.model_copy(update={"num_controls": 5})
    with pytest.raises(DataError, match=r"5 smooth lenses .* take at least 10"):
        map_sensitivity(scene(), few, {"one": cast(Predictor, None)}, marginalize=False)


def test_a_map_is_laid_out_with_y_along_the_rows() -> None:
    one = map_sensitivity(scene(), SETTINGS, marginalize=False)[0]
    grid = grid_of(one, ORACLE, 0.1, SETTINGS)
    smallest = one.smallest(ORACLE, 0.1, SETTINGS.log10_masses)
    place = int(np.flatnonzero((one.y > 0) & np.isfinite(smallest))[0])
    row, column = one.cells[place]
    assert row >= 3
    assert grid[row, column] == smallest[place]


@pytest.mark.parametrize("keys", [{"log10_masses": (9.0,)}, {"log10_masses": (10.0, 9.0)},
                                  {"log10_masses": (1e8, 1e9)},
                                  {"false_positive_rates": (1.0,)},
                                  {"grid": 1}, {"index": -1}, {"num_noise": 0}])  # fmt: skip
def test_bad_settings_are_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        SensitivitySettings.parse(keys, "test")
