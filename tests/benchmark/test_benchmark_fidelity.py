"""Samples placed among simulated images, sets told apart, and the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from darkarcs.benchmark import fidelity
from darkarcs.benchmark.fidelity import noise_of_model_1, parity
from darkarcs.benchmark.fidelity_figure import draw_fidelity
from darkarcs.benchmark.image_statistics import (
    image_statistics,
    place_among,
    radial_profiles,
    tell_apart,
)
from darkarcs.benchmark.published_samples import (
    GROUPS,
    LEAST_P,
    Picture,
    place_samples,
    simulated,
)
from darkarcs.errors import DataError, MissingExtraError
from darkarcs.scenes import load_scene


def test_statistics_of_a_known_image() -> None:
    image = np.ones((1, 50, 50))
    image[0, 20:30, 20:30] = 5.0
    statistics = image_statistics(image)
    assert statistics.column("peak")[0] == pytest.approx(np.log10(5))
    assert statistics.column("background")[0] == pytest.approx(0)
    assert statistics.column("zeros")[0] == 0
    assert statistics.column("m1")[0] == pytest.approx(0, abs=1e-9)
    assert statistics.column("elongation")[0] == pytest.approx(0, abs=1e-9)
    assert radial_profiles(image)[0, 0] == pytest.approx(5)
    with pytest.raises(DataError, match="side"):
        image_statistics(np.ones((1, 4, 5)))


def test_elongation_is_signed_along_x() -> None:
    image = np.zeros((1, 50, 50))
    image[0, 24:26, 10:40] = 1.0
    assert image_statistics(image).column("elongation")[0] > 0.9


def test_p_is_calibrated() -> None:
    random = np.random.default_rng(0)
    mixing = random.normal(size=(8, 8))
    among, others = random.normal(size=(300, 8)) @ mixing, random.normal(size=(100, 8)) @ mixing
    p = np.array([place_among(row, among)["p"] for row in others])
    assert 0.4 < p.mean() < 0.6
    assert place_among(among.mean(axis=0) + 20 * among.std(axis=0), among)["p"] < LEAST_P


def test_sets_of_one_scene_are_not_told_apart_and_others_are() -> None:
    scene = load_scene("deeplense-2")
    first, second = (image_statistics(simulated(scene, "cdm", 60, seed)).values for seed in (0, 1))
    other = image_statistics(simulated(load_scene("deeplense-3"), "cdm", 60, 1)).values
    assert tell_apart(first, second) < 0.7
    assert tell_apart(first, other) > 0.95


def test_parity_and_noise_are_reported() -> None:
    pytest.importorskip("lenstronomy")
    row = parity("deeplense-2", 3, 0)
    assert set(row["float32"]) == {"no_sub", "cdm", "axion"}
    assert max(row["float32"].values()) < 1e-4
    noise = noise_of_model_1(0, 100)
    assert 0.9 < noise["mean_chi2"] < 1.1
    assert 0.8 < noise["variance_chi2"] < 1.2


def test_too_few_images_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="40"):
        fidelity(None, num_images=10)
    with pytest.raises(DataError, match="no data"):
        place_samples(GROUPS[0], tmp_path, 40, 0)


def test_lenstronomy_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["darkarcs.benchmark.fidelity"]
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="test"):
        fidelity(None)


def test_figure(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    picture = Picture("a set", random.random((1, 32, 32)), random.random((5, 32, 32)))
    path = draw_fidelity([picture], tmp_path / "figure.png")
    assert path.stat().st_size > 5000
    with pytest.raises(DataError, match="png"):
        draw_fidelity([picture], tmp_path / "figure.txt")
    with pytest.raises(DataError, match="nothing"):
        draw_fidelity([], tmp_path / "other.png")


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("group", [g for g in GROUPS if g.expected], ids=lambda group: group.name)
def test_samples_lie_inside_their_scenes(group: object, shared_path: Path) -> None:
    report, _ = place_samples(group, shared_path, 200, 0)  # type: ignore[arg-type]
    assert report["inside"] == report["count"], json.dumps(report["samples"])
