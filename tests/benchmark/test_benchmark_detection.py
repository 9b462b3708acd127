"""Detection limits end to end on small lenses: what is placed, seen, counted and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkarcs.benchmark.detection import detection, in_bin, rate_rows
from darkarcs.benchmark.detection_figure import draw_detection
from darkarcs.benchmark.detection_lenses import (
    INFORMED,
    MARGINALIZED,
    ORACLE,
    distance_to_arc,
    observe,
    render_smooth,
    scene_with,
    smooth_scene,
    template_of,
)
from darkarcs.benchmark.detection_observers import (
    Detections,
    DetectionSettings,
    control_scores,
    observe_lenses,
    open_predictors,
)
from darkarcs.errors import ConfigurationError, DataError, ModelError, OutputExistsError
from darkarcs.fitting import SmoothFit, SmoothFitter
from darkarcs.inference import Predictor
from darkarcs.scenes import Scene
from darkarcs.scenes.smooth import macro_nuisances
from darkarcs.simulation import parse_uri, simulate
from darkarcs.training import Recipe, train
from small_scenes import scene, write
from suite_examples import write_model

SETTINGS = DetectionSettings(
    log10_masses=(9.0, 10.5), num=40, num_controls=60, false_positive_rates=(0.1,), seed=3
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for a second on rings of two sizes drawn by a scene; it knows no_sub and cdm."""
    folder = tmp_path_factory.mktemp("detection")
    path = write(folder)
    recipe = Recipe.parse(
        {
            "name": "tiny",
            "preprocessing": {"size": 16},
            "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 2}},
            "training": {"epochs": 1, "batch_size": 16, "precision": "32"},
        },
        "test",
    )
    return train(recipe, f"scene:{path}?num=48&classes=no_sub,cdm", folder / "run").model


def small() -> Scene:
    return scene(name="small")


def test_twins_differ_by_the_subhalo_alone() -> None:
    one, template = small(), template_of(small())
    smooth = smooth_scene(one).draw(3, 0, 8, part="test")
    light = scene_with(one, template, 8.0).draw(3, 0, 8, part="test")
    heavy = scene_with(one, template, 10.0).draw(3, 0, 8, part="test")
    for name, values in smooth.columns.items():
        if name not in (
            "lens.smooth_einstein_radius",
            "substructure.mass",
            "substructure.fraction",
        ):
            np.testing.assert_array_equal(values, light.columns[name], err_msg=name)
    np.testing.assert_array_equal(light.masses["subhalos"]["x"], heavy.masses["subhalos"]["x"])
    np.testing.assert_allclose(heavy.masses["subhalos"]["mass"], 1e10)


def test_the_lenses_are_those_of_a_uri(tmp_path: Path) -> None:
    """What the benchmark draws, anyone can draw: the smooth lenses and those with a subhalo."""
    path = write(tmp_path)
    kind = "{kind: single_subhalo, log10_mass: 9.5, distance_to_arc: {uniform: [0.0, 1.0]}}"
    uri = f"scene:{path}?seed=3&num=4&part=test&noiseless=1&classes.sub={kind}&classes=sub"
    drawn = scene_with(small(), template_of(small()), 9.5).draw(3, 0, 4, part="test")
    images = small().render(drawn).numpy()
    np.testing.assert_array_equal(simulate(parse_uri(uri)).images, images)


def test_a_class_of_the_scene_says_how_subhalos_are_built() -> None:
    kind = {"kind": "single_subhalo", "log10_mass": 7.0, "concentration": {"amplitude": 50.0}}
    one = scene(classes={"no_sub": {"kind": "none"}, "sub": kind})
    assert template_of(one).concentration.amplitude == 50.0
    dense = scene_with(one, template_of(one), 9.0).draw(3, 0, 4)
    plain = scene_with(small(), template_of(small()), 9.0).draw(3, 0, 4)
    ratio = dense.masses["subhalos"]["concentration"] / plain.masses["subhalos"]["concentration"]
    np.testing.assert_allclose(ratio, 50 / 5.71)


def test_the_oracles_know_less_and_less() -> None:
    found = observe_lenses(small(), SETTINGS, {})
    assert list(found.oracles) == [ORACLE, INFORMED, MARGINALIZED]
    assert found.oracles[ORACLE].shape == (2, 40)
    assert (found.oracles[ORACLE] >= found.oracles[INFORMED]).all()
    assert (found.oracles[INFORMED] >= found.oracles[MARGINALIZED]).all()
    assert np.median(found.oracles[MARGINALIZED] / found.oracles[ORACLE]) < 0.7
    light, heavy = found.oracles[ORACLE]
    assert (heavy > light).mean() > 0.95
    plain = observe_lenses(small(), SETTINGS, {}, marginalize=False)
    assert list(plain.oracles) == [ORACLE]
    np.testing.assert_allclose(plain.oracles[ORACLE], found.oracles[ORACLE], rtol=1e-2, atol=0.02)


def test_d_is_the_signal_over_the_noise_that_is_added() -> None:
    """Measured: the matched filter's mean over many draws of the noise is d, its spread one."""
    one = small()
    smooth = smooth_scene(one)
    lens = render_smooth(smooth, smooth.draw(3, 0, 1))
    drawn = scene_with(one, template_of(one), 10.0).draw(3, 0, 1)
    images = one.render(drawn)
    d = lens.strengths(images)[ORACLE].item()
    signal = (images - lens.images) * lens.scale
    many = drawn.select(np.zeros(400, dtype=np.int64))
    observed = torch.from_numpy(observe(one, images.expand(400, -1, -1, -1), many, "x").images)
    residual = (observed - lens.images) * lens.scale
    statistic = ((residual * signal).sum(dim=(1, 2, 3)) / d).numpy()
    assert statistic.mean() == pytest.approx(d, abs=0.2)
    assert statistic.std() == pytest.approx(1.0, abs=0.15)


def test_a_change_of_the_smooth_lens_is_no_signal_to_the_marginalized_oracle() -> None:
    one = smooth_scene(small())
    parameters = one.draw(3, 0, 2)
    lenses = render_smooth(one, parameters, macro_nuisances(one))
    moved = parameters.columns | {"source.centre_x": parameters.columns["source.centre_x"] + 1e-3}
    images = one.render(type(parameters)(**(vars(parameters) | {"columns": moved})))
    found = lenses.strengths(images)
    assert (found[MARGINALIZED] < 0.05 * found[ORACLE]).all()
    assert (found[ORACLE] > 0.1).all()


def test_distances_are_to_the_nearest_bright_pixel() -> None:
    image = torch.zeros(2, 1, 9, 9)
    image[:, 0, 4, 7] = 1.0
    image[:, 0, 4, 1] = 0.2  # too faint
    x, y = np.array([0.3, -0.1]), np.array([0.0, 0.4])
    found = distance_to_arc(image, x, y, 0.1)
    np.testing.assert_allclose(found, [0.0, np.hypot(0.35, 0.35)], atol=1e-9)


def test_bins_hold_every_lens_once() -> None:
    distance = np.array([0.0, 0.05, 0.1, 0.3, 0.59, 0.6, 4.0])
    members = np.stack([in_bin(distance, edges) for edges in SETTINGS.bins[1:]])
    np.testing.assert_array_equal(members.sum(axis=0), 1)
    assert in_bin(distance, None).all()


def test_rows_count_what_was_scored() -> None:
    """A made-up model that is the oracle's statistic, counted by hand."""
    distance = np.array([0.0, 0.0, 1.0, 1.0])
    found = Detections(
        arc_distance=distance,
        oracles={},
        models={"m": np.array([[0.0, 95.0, 200.0, 200.0], [200.0] * 4])},
        controls={"m": np.arange(100.0)},
        hashes={},
    )
    settings = DetectionSettings(
        log10_masses=(9.0, 10.0), bin_edges=(0.5,), false_positive_rates=(0.01, 0.1)
    )
    rows = {
        (row["log10_mass"], None if row["bin"] is None else row["bin"][0],
         row["false_positive_rate"]): row for row in rate_rows(found, settings)
    }  # fmt: skip
    assert rows[9.0, None, 0.1]["rate"] == 0.75
    assert rows[9.0, None, 0.01]["rate"] == 0.5
    assert rows[9.0, 0.0, 0.1]["rate"] == 0.5
    assert rows[9.0, 0.5, 0.1]["num"] == 2
    assert rows[10.0, 0.5, 0.01]["rate"] == 1.0
    assert len(rows) == 2 * 3 * 2


def test_models_and_oracles_are_reported_and_drawn(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    predictors = open_predictors([model])
    report = detection(small(), SETTINGS, predictors, test_log=log)
    again = detection(small(), SETTINGS, predictors)
    assert json.loads(json.dumps(report, allow_nan=False))["rows"] == again["rows"]
    observers = [row["observer"] for row in report["limits"] if row["bin"] is None]
    assert observers == [ORACLE, INFORMED, MARGINALIZED, "tiny"]
    assert report["models"] == {"tiny": predictors["tiny"].folder.model_hash}
    assert set(report["parameters_hash"]) == {"no_sub", "9", "10.5"}
    for row in report["rows"]:
        low, high = row["interval"]
        assert 0 <= low <= row["rate"] <= high <= 1
    everywhere = [row for row in report["rows"] if row["bin"] is None]
    assert all(row["num"] == 40 for row in everywhere)
    assert {area["log10_mass"] for area in report["areas"]} == {9.0, 10.5}
    assert len(log.read_text().splitlines()) == 2
    assert "tiny" in log.read_text()
    figure = draw_detection(report, tmp_path / "figure.png")
    assert figure.stat().st_size > 20_000
    with pytest.raises(OutputExistsError):
        draw_detection(report, figure)
    with pytest.raises(DataError, match="png"):
        draw_detection(report, tmp_path / "figure.txt")


def test_noise_of_controls_and_cases_is_not_the_same(model: Path) -> None:
    one = smooth_scene(small())
    drawn = one.draw(3, 0, 4)
    images = one.render(drawn)
    first, second = (observe(one, images, drawn, name).images for name in ("no_sub", "9"))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, observe(one, images, drawn, "no_sub").images)
    scores = control_scores(one, SETTINGS, {"m": Predictor(model)})["m"]
    assert scores.shape == (60,)
    assert len(np.unique(scores)) == 60


def test_models_of_the_same_fits_share_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = SmoothFit.of(small())
    options = {"channels": fit.num_channels, "smooth_fit": fit.model_dump(mode="json")}
    folders = [
        write_model(tmp_path / name, ("no_sub", "cdm"), seed=seed, **options)
        for seed, name in enumerate(("one", "two"))
    ]
    fitted: list[int] = []
    fit_all = SmoothFitter.fit

    def counted(self: SmoothFitter, images: Any, *args: Any, **keywords: Any) -> Any:
        fitted.append(len(images))
        return fit_all(self, images, *args, **keywords)

    monkeypatch.setattr(SmoothFitter, "fit", counted)
    settings = SETTINGS.model_copy(update={"num_controls": 6})
    predictors = open_predictors(folders)
    together = control_scores(smooth_scene(small()), settings, predictors)
    assert fitted == [6]
    name = list(predictors)[1]
    alone = control_scores(smooth_scene(small()), settings, {name: predictors[name]})
    np.testing.assert_array_equal(together[name], alone[name])


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"log10_masses": (9.0, 8.0)}, "ascending"),
        ({"log10_masses": ()}, "at least 1"),
        ({"bin_edges": (0.5, 0.1)}, "ascending"),
        ({"bin_edges": (0.0, 0.1)}, "greater than 0"),
        ({"false_positive_rates": (1.0,)}, "write 0.01 for 1 %"),
        ({"false_positive_rates": (0.0,)}, "share above 0"),
        ({"log10_masses": (1e8, 1e9)}, "write 9 for 1e9"),
        ({"num": 0}, "greater than or equal to 1"),
        ({"log10_masses": (float("inf"),)}, "finite"),
        ({"masses": (9.0,)}, "unknown key"),
    ],
)
def test_bad_settings_are_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        DetectionSettings.parse(keys, "test")


def test_scenes_without_noise_and_models_without_no_sub_are_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="no noise"):
        observe_lenses(scene(noise={"kind": "none"}), SETTINGS, {}, marginalize=False)
    with pytest.raises(ConfigurationError, match="is there already; set 'name' in"):
        open_predictors([model, model])
    monkeypatch.setattr(Predictor, "class_names", ("cdm", "axion"))
    with pytest.raises(ModelError, match="needs no_sub"):
        open_predictors([model])


def test_too_few_controls_for_a_rate_are_refused_before_the_work(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("nothing was to be rendered")

    monkeypatch.setattr("darkarcs.benchmark.detection.observe_lenses", work)
    few = SETTINGS.model_copy(update={"num_controls": 5, "num": 4})
    with pytest.raises(DataError, match=r"5 smooth lenses .* take at least 10"):
        detection(small(), few, open_predictors([model]), marginalize=False)
