"""Models on a suite: numbers that can be had another way, a cache, and cells without numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkarcs.benchmark import suite_sets
from darkarcs.benchmark.suite import Suite
from darkarcs.benchmark.suite_results import SuiteResult
from darkarcs.benchmark.suite_run import run_suite
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.evaluation import write_predictions
from darkarcs.evaluation.roc import auc
from darkarcs.fitting import SmoothFit
from darkarcs.inference import Predictor
from darkarcs.inference import predictor as predictor_module
from darkarcs.inference.intake import take_images
from darkarcs.model_folder import ModelDescription, short_identities
from darkarcs.simulation import simulate
from suite_examples import small_suite, write_model


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, list[Path], Path]:
    folder = tmp_path_factory.mktemp("suite")
    suite = small_suite(folder)
    models = [
        write_model(folder / "three"),
        write_model(folder / "two", ("no_sub", "sub"), seed=1),
        write_model(folder / "colour", ("no_sub", "sub"), channels=3, seed=2),
        write_model(folder / "kinds", ("cdm", "axion"), seed=3),
    ]
    run_suite(suite, models, folder / "out", test_log=folder / "test_log.csv")
    return suite, models, folder


def result_of(folder: Path, name: str = "out") -> SuiteResult:
    return SuiteResult.read(folder / name / "small.json")


def test_scores_are_those_of_the_images_themselves(
    measured: tuple[Suite, list[Path], Path],
) -> None:
    suite, models, folder = measured
    result = result_of(folder)
    scores = {(score.model, score.set): score for score in result.scores}
    for name in ("many", "three"):
        images = simulate(suite.sets[name].request)
        for model in models[:2]:
            predictor = Predictor(model)
            none = predictor.probabilities(predictor.logits(images))[:, 0]
            by_hand = auc(1 - none, images.labels > 0)
            assert scores[model.name, name].auc == pytest.approx(by_hand, abs=2e-3)
    assert scores["three", "three"].macro is not None
    assert scores["three", "many"].macro is None
    assert scores["three", "three"].by_class.keys() == {"cdm", "axion"}
    assert not result.shrunk
    assert result.warnings == ()
    assert {row.name: row.num for row in result.sets} == dict.fromkeys(suite.sets, 60)
    assert all(row.as_pinned and row.images_hash for row in result.sets)
    assert result.sets[0].images_hash == simulate(suite.sets["few"].request).content_hash


def test_what_a_model_cannot_read_is_a_cell_and_no_failure(
    measured: tuple[Suite, list[Path], Path],
) -> None:
    result = result_of(measured[2])
    for score in result.scores:
        if score.model == "colour":
            assert score.problem.startswith("cannot read: images have 1 channels")
        elif score.model == "kinds":
            assert "no class 'no_sub'" in score.problem
        else:
            assert score.problem == ""
        assert (score.auc is None) == bool(score.problem)
    pairs = {(row.set, row.first, row.second) for row in result.comparisons}
    assert pairs == {(name, "three", "two") for name in measured[0].sets}


def test_a_change_is_tested_against_its_reference(
    measured: tuple[Suite, list[Path], Path],
) -> None:
    scores = {(s.model, s.set): s for s in result_of(measured[2]).scores}
    blurred, many = scores["two", "blurred"], scores["two", "many"]
    assert blurred.auc is not None
    assert many.auc is not None
    assert blurred.to_reference is not None
    assert blurred.to_reference.difference == pytest.approx(blurred.auc - many.auc)
    assert many.to_reference is None


def test_each_look_at_a_test_set_is_logged(measured: tuple[Suite, list[Path], Path]) -> None:
    _, _, folder = measured
    result = result_of(folder)
    with (folder / "test_log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 4
    assert rows[0]["model"] == "three (suite small v1: few)"
    hashes = {row.images_hash for row in result.sets}
    assert {row["data_hash"] for row in rows} == hashes


def test_a_second_run_simulates_and_predicts_nothing(
    measured: tuple[Suite, list[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, models, folder = measured

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(suite_sets, "simulate", refuse)
    monkeypatch.setattr(Predictor, "predict", refuse)
    again = run_suite(suite, models[:2], folder / "again", cache=folder / "out" / "cache")
    first = {(s.model, s.set): s for s in result_of(folder).scores}
    assert list(again.scores) == [first[s.model, s.set] for s in again.scores]
    with pytest.raises(OutputExistsError):
        run_suite(suite, models[:2], folder / "again")


def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_sets, "PIECE", 20)
    suite = small_suite(tmp_path)
    model = write_model(tmp_path / "three")
    count = 0

    def stop(what: str, done: int, total: int) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, [model], tmp_path / "out", progress=stop)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.h5")}
    assert len(kept) == 3
    whole = run_suite(suite, [model], tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    at_once = run_suite(suite, [model], tmp_path / "other")
    assert [score.auc for score in whole.scores] == [score.auc for score in at_once.scores]


def test_images_that_no_model_can_read_are_not_all_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_sets, "PIECE", 20)
    suite = small_suite(tmp_path)
    colour = write_model(tmp_path / "colour", ("no_sub", "sub"), channels=3)
    result = run_suite(suite, [colour], tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.h5"))) == len(suite.sets)
    assert {row.images_hash for row in result.sets} == {""}
    assert all(score.problem.startswith("cannot read") for score in result.scores)


def test_two_runs_may_share_a_cache(
    measured: tuple[Suite, list[Path], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another run keeps the same images while these are simulated, and the same predictions."""
    suite, models, folder = measured

    def race(request: Any) -> LensImages:
        images = simulate(request)
        (piece,) = (
            found
            for one in suite.sets.values()
            for found in suite_sets.pieces(one.request, one.request.num or 0, tmp_path / "cache")
            if found.request == request
        )
        suite_sets.save(images, piece.file)
        return images

    def late(predictions: Any, file: Path) -> Path:
        write_predictions(predictions, file)
        raise OutputExistsError(file)

    monkeypatch.setattr(suite_sets, "simulate", race)
    monkeypatch.setattr(suite_sets, "write_predictions", late)
    run_suite(suite, models[:1], tmp_path / "out", cache=tmp_path / "cache")
    result = SuiteResult.read(tmp_path / "out" / "small.json")
    before = {(s.model, s.set): s.auc for s in result_of(folder).scores}
    (name,) = {score.model for score in result.scores}
    found = {(score.model, score.set): score.auc for score in result.scores}
    assert found == {key: area for key, area in before.items() if key[0] == name}
    assert None not in found.values()


def test_damage_in_the_cache_is_mended(
    measured: tuple[Suite, list[Path], Path], tmp_path: Path
) -> None:
    suite, models, _ = measured
    run_suite(suite, models[:1], tmp_path / "one", num=12)
    for path in (tmp_path / "one" / "cache" / "images").rglob("*.h5"):
        path.write_bytes(path.read_bytes()[:100])
    for path in (tmp_path / "one" / "cache" / "predictions").rglob("*.csv"):
        path.write_text(path.read_text("utf-8")[:200], encoding="utf-8")
    cache = tmp_path / "one" / "cache"
    again = run_suite(suite, models[:1], tmp_path / "two", cache=cache, num=12)
    assert [s.auc for s in again.scores] == [
        s.auc for s in SuiteResult.read(tmp_path / "one" / "small.json").scores
    ]


def test_fewer_images_are_the_first_of_the_set_and_said_so(
    measured: tuple[Suite, list[Path], Path], tmp_path: Path
) -> None:
    suite, models, _ = measured
    result = run_suite(suite, models[:1], tmp_path / "out", num=13)
    assert result.shrunk
    assert {row.name: row.num for row in result.sets} == {
        **{"few": 12, "many": 12, "blurred": 12},
        "three": 12,
    }
    with pytest.raises(ConfigurationError, match="too few"):
        run_suite(suite, models[:1], tmp_path / "none", num=3)


def test_a_changed_scene_is_warned_of(
    measured: tuple[Suite, list[Path], Path], tmp_path: Path
) -> None:
    suite, models, _ = measured
    other = suite.sets["few"].model_copy(update={"parameters": "0" * 64})
    changed = suite.model_copy(update={"sets": {**suite.sets, "few": other}})
    result = run_suite(changed, models[:1], tmp_path / "out", num=12)
    [warning] = result.warnings
    assert warning.startswith("set 'few': the scene draws other lenses than the suite states")
    assert [row.as_pinned for row in result.sets] == [False, True, True, True]


def test_a_set_that_cannot_be_made_is_left_out(
    measured: tuple[Suite, list[Path], Path], tmp_path: Path
) -> None:
    suite, models, _ = measured
    missing = tmp_path / "galaxies.npz"
    galaxies = suite.sets["few"].model_copy(
        update={
            "uri": "scene:fair-euclid-galaxies?seed=1&num=60&part=test&classes=no_sub,cdm"
            f"&source.path={missing}",
            "needs": "galaxies",
        }
    )
    changed = suite.model_copy(update={"sets": {**suite.sets, "few": galaxies}})
    result = run_suite(changed, models[:1], tmp_path / "out", num=12)
    assert "galaxies" in result.sets[0].problem
    assert [score.set for score in result.scores] == ["many", "blurred", "three"]
    assert "left out" in result.warnings[0]


def test_two_models_of_one_name_are_refused(
    measured: tuple[Suite, list[Path], Path], tmp_path: Path
) -> None:
    suite, models, _ = measured
    with pytest.raises(ConfigurationError, match="'three' is measured already"):
        run_suite(suite, [models[0], models[0]], tmp_path / "out")
    with pytest.raises(ConfigurationError, match="at least one"):
        run_suite(suite, [], tmp_path / "out")


def test_a_reader_is_told_what_differs_from_training(tmp_path: Path) -> None:
    suite = small_suite(tmp_path)
    images = simulate(suite.sets["few"].request)
    model = write_model(
        tmp_path / "trained",
        data={"stream": {"identity": str(images.manifest["scene_identity"]) + "/7"}},
    )
    assert suite_sets.notes_on(Predictor(model), images) == ["trained on this scene"]
    description = json.loads((model / "model.json").read_text("utf-8"))
    description["preprocessing"] |= {"pixel_scale": 0.1, "scale": [1e9]}
    description["preprocessing"]["settings"]["normalization"] = "data_set"
    (model / "model.json").write_text(json.dumps(description), encoding="utf-8")
    resampled, units, _ = suite_sets.notes_on(Predictor(model), images)
    assert resampled == "resampled from 0.2 to 0.1 arcsec"
    assert units.startswith("other units")


def test_images_that_a_model_was_trained_on_are_counted(tmp_path: Path) -> None:
    suite = small_suite(tmp_path)
    images = simulate(suite.sets["few"].request)
    seen = short_identities(images.metadata["identity"][:7])
    write_model(tmp_path / "cheat", seen={"train": seen})
    result = run_suite(suite, [tmp_path / "cheat"], tmp_path / "out", num=12)
    few, many, *_ = result.scores
    assert few.overlap == 7
    assert "trained or selected on 7 of these images" in few.notes
    assert many.overlap == 0


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    with pytest.raises(DataError, match="cannot be read"):
        SuiteResult.read(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        SuiteResult.read(path)
    path.write_text('{"suite": "x", "colour": 1}', encoding="utf-8")
    with pytest.raises(DataError, match=r"small\.json: "):
        SuiteResult.read(path)


def test_numbers_that_are_not_finite_are_refused(
    measured: tuple[Suite, list[Path], Path],
) -> None:
    values = result_of(measured[2]).model_dump(mode="json")
    values["scores"][0]["auc"] = float(np.nan)
    with pytest.raises(ValueError, match="finite"):
        SuiteResult.model_validate(values)


def test_models_of_the_same_fits_share_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small_suite(tmp_path)
    suite = suite.model_copy(update={"sets": {"many": suite.sets["many"]}})
    fit = SmoothFit.of(suite.sets["many"].request.scene)
    options = {"channels": fit.num_channels, "smooth_fit": fit.model_dump(mode="json")}
    models = [
        write_model(tmp_path / name, ("no_sub", "cdm"), seed=seed, **options)
        for seed, name in enumerate(("one", "two"))
    ]
    fitted: list[int] = []

    def counted(images: LensImages, description: ModelDescription, *options: Any) -> LensImages:
        taken = take_images(images, description, *options)
        if taken is not images:
            fitted.append(len(images))
        return taken

    monkeypatch.setattr(predictor_module, "take_images", counted)
    result = run_suite(suite, models, tmp_path / "out", num=6)
    assert fitted == [6]
    apart = run_suite(suite, models[1:], tmp_path / "apart", num=6)
    assert result.scores[1].auc == apart.scores[0].auc
