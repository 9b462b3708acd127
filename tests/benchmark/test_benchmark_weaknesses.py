"""Attributes of lenses are what physics says; the verb writes what its page and tables need."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from darkarcs import data
from darkarcs.benchmark.weaknesses import apart_by_class, match_images, weaknesses
from darkarcs.benchmark.weaknesses_images import coverage, image_attributes, metadata_attributes
from darkarcs.benchmark.weaknesses_scene import (
    arc_attributes,
    configurations,
    scene_attributes,
    substructure_attributes,
)
from darkarcs.data import LensImages
from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation import Predictions, read_predictions, write_predictions
from darkarcs.evaluation.examples import read_examples
from darkarcs.evaluation.subpopulation_groups import SubpopulationSettings
from darkarcs.simulation import SimulationRequest, simulate
from darkarcs.training import Recipe, train
from small_scenes import VALUES, scene

FINE = VALUES["instrument"] | {
    "pixel_scale": 0.06,
    "point_spread": {"kind": "gaussian", "fwhm": 0.1},
}
ROUND = {"einstein_radius": 1.0, "axis_ratio": 1.0}
COMPACT = VALUES["source"] | {"half_light_radius": 0.01, "centre_x": 0.0, "centre_y": 0.0}
SETTINGS = SubpopulationSettings(num_bootstrap=50, min_images=10, num_bins=3)


def kind(lens: dict, **source: float) -> str:
    """Configuration of one lens without substructure."""
    settings = scene(
        instrument=FINE,
        num_pixels=60,
        lens=lens,
        source=COMPACT | source,
        classes={"no_sub": {"kind": "none"}, "cdm": {"kind": "none"}},
    )
    return str(configurations(settings, settings.draw(0, 0, 1))[0])


@pytest.mark.parametrize(
    ("lens", "source", "expected"),
    [
        # a round lens: two images inside its Einstein radius, one outside, a ring from its centre
        (ROUND, {"centre_x": 0.31, "centre_y": 0.07}, "double"),
        (ROUND, {"centre_x": 1.13, "centre_y": 0.02}, "single"),
        (ROUND, {"centre_x": 0.02, "centre_y": 0.03, "half_light_radius": 0.2}, "ring"),
        # an elliptical one: four images inside its tangential caustic
        (ROUND | {"axis_ratio": 0.6}, {"centre_x": 0.02, "centre_y": 0.03}, "quad"),
        (ROUND | {"axis_ratio": 0.6}, {"centre_x": 0.45, "centre_y": 0.31}, "double"),
        # so flat that two cusps, at 0.924, lie outside of the cut, at 0.766: three bright images
        (ROUND | {"axis_ratio": 0.35}, {"centre_x": 0.85}, "naked cusp"),
    ],
)
def test_configurations_are_those_of_textbook_lenses(lens, source, expected) -> None:
    assert kind(lens, **source) == expected


def test_the_share_of_quads_is_the_area_of_the_caustic() -> None:
    settings = scene(
        instrument=FINE,
        num_pixels=60,
        lens={"einstein_radius": 1.0, "axis_ratio": 1.0, "shear": 0.1},
        source=COMPACT
        | {"centre_x": {"uniform": [-0.3, 0.3]}, "centre_y": {"uniform": [-0.3, 0.3]}},
        classes={"no_sub": {"kind": "none"}, "cdm": {"kind": "none"}},
    )
    kinds = configurations(settings, settings.draw(3, 0, 400))
    # the astroid of an isothermal sphere with shear g: half-axes 2 g theta_E / (1 -+ g)
    area = 3 / 8 * np.pi * (0.2 / 0.9) * (0.2 / 1.1)
    assert set(kinds.tolist()) == {"quad", "double"}
    assert (kinds == "quad").mean() == pytest.approx(area / 0.36, abs=0.05)


def test_substructure_does_not_change_the_configuration() -> None:
    settings = scene(instrument=FINE, num_pixels=60)
    pairs = settings.draw(1, 0, 30, paired=True)
    kinds = configurations(settings, pairs).reshape(10, 3)
    assert (kinds == kinds[:, :1]).all()


def test_magnification_and_signal_of_a_known_lens() -> None:
    settings = scene(
        instrument=FINE,
        num_pixels=80,
        lens=ROUND,
        source=COMPACT | {"half_light_radius": 0.05, "axis_ratio": 1.0, "centre_x": 0.4},
        classes={"no_sub": {"kind": "none"}, "cdm": {"kind": "none"}},
    )
    lenses = settings.draw(0, 0, 2)
    arcs = settings.render(lenses).double()
    variance = settings.noise_variance(arcs, lenses)
    found = arc_attributes(settings, lenses, arcs, variance)
    # both images of an isothermal sphere together: 2 theta_E / beta
    assert found["arc.magnification"] == pytest.approx(2 / 0.4, rel=0.03)
    ratio = (arcs / variance.sqrt()).flatten(1)
    assert found["arc.peak_snr"] == pytest.approx(ratio.max(1).values.numpy())
    assert (found["arc.snr"] > found["arc.peak_snr"]).all()
    assert (found["arc.coverage"] < 0.5).all()


def test_signal_to_noise_is_in_the_unit_of_the_noise() -> None:
    """Noise scaled down a hundredfold in counts must raise S/N tenfold, not change its unit."""
    found = []
    for exposure in (2.0, 4.0):
        settings = scene(noise={"kind": "counting", "log10_exposure": exposure})
        lenses = settings.draw(0, 0, 3)
        arcs = settings.render(lenses).double()
        variance = settings.noise_variance(arcs, lenses)
        found.append(arc_attributes(settings, lenses, arcs, variance)["arc.peak_snr"])
    assert found[1] == pytest.approx(10 * found[0])
    quiet = scene(noise={"kind": "none"})
    none = arc_attributes(quiet, lenses, arcs, torch.zeros_like(arcs))
    assert np.isnan(none["arc.peak_snr"]).all()


def test_the_heaviest_subhalo_and_its_distance() -> None:
    settings = scene(instrument=FINE, num_pixels=60)
    lenses = settings.draw(2, 0, 6)
    arcs = settings.render(lenses).double()
    found = substructure_attributes(settings, lenses, arcs)
    subhalos = lenses.masses["subhalos"]
    for row in range(6):
        if lenses.labels[row] != 1:
            assert np.isnan(found["substructure.largest_mass"][row])
            continue
        heavy = int(subhalos["mass"][row].argmax())
        assert found["substructure.largest_mass"][row] == subhalos["mass"][row, heavy]
        image = arcs[row].sum(0).numpy()
        axis = (np.arange(60) - 29.5) * 0.06
        y, x = np.nonzero(image > 0.25 * image.max())
        centre = [lenses.columns[f"lens.centre_{name}"][row] for name in "xy"]
        away = np.hypot(
            axis[x] - subhalos["x"][row, heavy] - centre[0],
            axis[y] - subhalos["y"][row, heavy] - centre[1],
        )
        assert found["substructure.distance_to_arc"][row] == pytest.approx(away.min())


def test_attributes_of_a_scene_do_not_depend_on_which_lenses_are_asked_for() -> None:
    request = SimulationRequest(scene=scene(), seed=3, num=40)
    images = simulate(request)
    chosen = np.array([31, 4, 17])
    whole, some = scene_attributes(images), scene_attributes(images.select(chosen))
    for name, values in whole.items():
        assert (values[chosen] == some[name]).all() or np.array_equal(
            values[chosen], some[name], equal_nan=True
        )
    done: list[int] = []
    scene_attributes(images, progress=done.append)
    assert sum(done) == 40


def test_a_scene_that_draws_other_lenses_is_noticed() -> None:
    images = simulate(SimulationRequest(scene=scene(), seed=3, num=4))
    images.metadata["lens.einstein_radius"] = images.metadata["lens.einstein_radius"] + 0.1
    with pytest.raises(DataError, match="other lenses"):
        scene_attributes(images)
    with pytest.raises(DataError, match="index"):
        scene_attributes(LensImages.from_arrays(np.zeros((1, 1, 8, 8))))


def test_measured_attributes_of_a_ring() -> None:
    y, x = np.indices((80, 80)) - 39.5
    ring = 1000 * np.exp(-(((np.hypot(x, y) - 20) / 2) ** 2) / 2)
    half = ring * (x > 0)
    noise = np.random.default_rng(0).normal(0, 10, (2, 80, 80))
    pixels = np.stack([ring, half]) + noise + 300
    found = image_attributes(LensImages.from_arrays(pixels[:, None], pixel_scale=0.05))
    assert found["image.background_rms"] == pytest.approx([10, 10], rel=0.15)
    assert found["image.peak_snr"] == pytest.approx([100, 100], rel=0.2)
    assert found["image.ring_radius"] == pytest.approx([1.0, 1.0], rel=0.02)
    assert found["image.arc_coverage"].tolist() == [1.0, 0.5]
    assert found["image.arc_length"] == pytest.approx([2 * np.pi, np.pi], rel=0.03)
    assert found["image.asymmetry"][0] < 0.2 < 0.7 < found["image.asymmetry"][1]


def test_blank_and_odd_images_give_numbers_or_nan() -> None:
    blank = image_attributes(LensImages.from_arrays(np.zeros((2, 3, 9, 14))))
    assert all(values.shape == (2,) for values in blank.values())
    assert np.isnan(blank["image.peak_snr"]).all()
    assert coverage(np.zeros((2, 9, 14), dtype=bool)).tolist() == [0, 0]


def test_background_of_quantized_images_is_not_zero() -> None:
    noise = np.random.default_rng(0).normal(0, 0.4, (1, 1, 60, 60)).round()
    rms = image_attributes(LensImages.from_arrays(noise + 10))["image.background_rms"]
    assert 0.2 < rms[0] < 0.6


def test_columns_of_names_are_no_attributes() -> None:
    images = simulate(SimulationRequest(scene=scene(), seed=3, num=6))
    columns = metadata_attributes(images)
    assert not {"identity", "group", "name", "index"} & set(columns)
    assert np.isnan(columns["substructure.fraction"][images.labels == 0]).all()
    apart = apart_by_class(columns, images.label_names)
    assert (
        np.isfinite(apart["substructure.fraction of cdm"]).tolist() == (images.labels == 1).tolist()
    )


def predictions_of(images: LensImages) -> Predictions:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(len(images), 3)) + np.eye(3)[images.labels]
    columns = (images.metadata[name] for name in ("identity", "group", "name"))
    return Predictions(*columns, images.labels, logits, images.class_names, "all", "0f3a" * 4)


def test_weaknesses_of_predictions_on_a_scene(tmp_path: Path) -> None:
    data.save(simulate(SimulationRequest(scene=scene(), seed=3, num=90)), tmp_path / "lenses.h5")
    uri = str(tmp_path / "lenses.h5")
    p = predictions_of(data.open(uri))
    shuffled = p.select(np.random.default_rng(1).permutation(90)[:80])
    write_predictions(shuffled, tmp_path / "p.csv")
    out = tmp_path / "out"
    found = weaknesses(tmp_path / "p.csv", uri, out, settings=SETTINGS, num_mistakes=5)
    assert json.loads((out / "weaknesses.json").read_text()) == found
    assert found["n"] == 80
    assert {"arc.configuration", "lens.einstein_radius", "arc.peak_snr"} & set(found["attributes"])
    wrong = (p.logits.argmax(1) != p.labels)[np.isin(p.identities, shuffled.identities)].sum()
    assert found["num_mistakes"] == wrong
    examples = read_examples(out / "examples.npz")
    assert examples.identity.tolist() == [mistake["identity"] for mistake in found["mistakes"]]
    assert len(examples) == 5
    assert str(tmp_path) not in json.dumps(found["data"])
    with pytest.raises(OutputExistsError):
        weaknesses(tmp_path / "p.csv", uri, out, settings=SETTINGS)


def test_weaknesses_of_a_model_log_its_look_at_a_test_split(tmp_path: Path) -> None:
    images = simulate(SimulationRequest(scene=scene(), seed=3, num=90))
    data.save(images, tmp_path / "lenses.h5")
    recipe = {
        "name": "tiny",
        "preprocessing": {"size": 16},
        "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 1}},
        "training": {"epochs": 1, "batch_size": 8, "precision": "32"},
    }
    uri = str(tmp_path / "lenses.h5")
    model = train(Recipe.parse(recipe, "test"), uri, tmp_path / "run").model
    log = tmp_path / "log.csv"
    for split in ("validation", "all"):
        found = weaknesses(
            model, uri, tmp_path / split, split=split, settings=SETTINGS, test_log=log
        )
        told = " ".join(found["warnings"])
        assert ("the model was trained on" in told) == (split == "all")
    with log.open(newline="") as stream:
        assert [row["split"] for row in csv.DictReader(stream)] == ["all"]
    assert len(read_predictions(tmp_path / "all" / "predictions.csv")) == 90


def test_predictions_of_other_images_are_named() -> None:
    images = simulate(SimulationRequest(scene=scene(), seed=3, num=6))
    p = predictions_of(images)
    with pytest.raises(DataError, match="2 of the 6"):
        match_images(images.select([0, 1, 2, 3]), p, "here")
    assert match_images(images, p.select(np.array([5, 5])), "here").labels.tolist() == [2, 2]
