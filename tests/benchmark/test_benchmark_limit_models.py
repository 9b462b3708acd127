"""Where predictions stand: any substructure against none, pooled and by pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import small_scenes
from darkarcs.benchmark.limit_evidence import EVIDENCE, KNOWN
from darkarcs.benchmark.limit_models import _place, place_models
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.roc import auc
from darkarcs.fitting import SmoothFit, SmoothFitter, SubhaloSearch, residual_images
from darkarcs.limits import LimitRequest
from darkarcs.limits.variants import make_variants
from darkarcs.scenes.smooth import smooth_partners, smooth_values
from darkarcs.simulation import SimulationRequest, simulate
from suite_examples import write_model


def test_three_classes_become_two(tmp_path: Path) -> None:
    names = [str(index) for index in range(6)]
    # no_sub, cdm, axion; images of a pair follow each other
    logits = [[3, 0, 0], [0, 0, 3], [1, 0, -9], [0, 4, 0], [0, 0, 0], [0, 0, 0]]
    predictions = Predictions(
        identities=np.array(names),
        groups=np.array(["a", "a", "b", "b", "c", "c"]),
        names=np.array(names),
        labels=np.array([0, 1, 0, 1, 0, 1]),
        logits=np.array(logits, dtype=np.float64),
        class_names=("no_sub", "cdm", "axion"),
        split="test",
        model_hash="0f3a",
    )
    variant = make_variants(small_scenes.scene(), fractions=[0.01])[0]
    log = tmp_path / "test_log.csv"
    point = _place("mine", variant, predictions, log)
    assert point.paired == pytest.approx(2.5 / 3)
    assert point.pooled.value == pytest.approx(8.5 / 9)
    assert (point.class_name, point.fraction, point.num) == ("cdm", 0.01, 6)
    assert "mine (limit: small)" in log.read_text()


def test_beside_a_model_of_fits_stands_what_fits_tell_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = small_scenes.scene().with_classes(["no_sub", "cdm"])
    fit = SmoothFit.of(scene)
    options = {"channels": fit.num_channels, "smooth_fit": fit.model_dump(mode="json")}
    folders = {
        name: write_model(tmp_path / name, ("no_sub", "cdm"), seed=seed, **options)
        for seed, name in enumerate(("one", "two"))
    }
    folders["plain"] = write_model(tmp_path / "plain")
    request = LimitRequest(classes=("cdm",), fractions=(0.05,), num=6)
    points = place_models(scene, request, folders, cache=tmp_path / "cache")
    assert [point.model for point in points] == ["one", EVIDENCE, "two", "plain"]
    variant = make_variants(scene, request.classes, request.fractions)[0]
    images = simulate(
        SimulationRequest(scene=variant.scene, seed=0, num=12, part="test", paired=True)
    )
    evidence = residual_images(images, fit).metadata["fit.log_evidence"].astype(np.float64)
    has_subhalos = images.label_names == "cdm"
    assert points[1].pooled.value == pytest.approx(auc(evidence, has_subhalos))
    assert points[1].paired == np.mean(evidence[has_subhalos] > evidence[~has_subhalos])
    assert points[1].model_hash == fit.identity
    # what is kept gives the same, and nothing is fitted again
    monkeypatch.setattr(SmoothFitter, "fit", None)
    again = place_models(scene, request, folders, cache=tmp_path / "cache")
    assert [point.pooled for point in again] == [point.pooled for point in points]


def test_evidence_of_a_known_lens_is_that_of_its_true_parameters() -> None:
    scene = small_scenes.scene().with_classes(["no_sub", "cdm"])
    request = LimitRequest(classes=("cdm",), fractions=(0.05,), num=6)
    (point,) = place_models(scene, request, {}, known_lenses=True)
    variant = make_variants(scene, request.classes, request.fractions)[0]
    wanted = SimulationRequest(scene=variant.scene, seed=0, num=12, part="test", paired=True)
    lenses, images = variant.scene.draw(seed=0, start=0, count=6, part="test"), simulate(wanted)
    fitter = SmoothFitter(scene)
    smooth = smooth_values(smooth_partners(scene, lenses))
    values = {name: smooth[name].float() for name in fitter.coordinates.names}
    parameters = fitter.coordinates.encode(values).repeat_interleave(2, dim=0)
    pixels = torch.tensor(images.images)
    maps = SubhaloSearch(fitter).search(pixels, fitter.at(pixels, parameters))
    evidence, has_subhalos = maps.log_evidence.numpy(), images.label_names == "cdm"
    assert point.model == KNOWN
    assert point.pooled.value == pytest.approx(auc(evidence.astype(np.float64), has_subhalos))
    assert point.paired == np.mean(evidence[has_subhalos] > evidence[~has_subhalos])
