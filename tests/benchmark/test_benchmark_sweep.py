"""Sweeps: equal cost, the learning rate that validation chooses, rows and their summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from darkarcs import data
from darkarcs.benchmark.sweep import run_sweep
from darkarcs.benchmark.sweep_rows import summarize
from darkarcs.benchmark.sweep_settings import load_sweep
from darkarcs.data import SplitSettings, divide
from darkarcs.errors import ConfigurationError, OutputExistsError
from darkarcs.evaluation import evaluate_predictions
from darkarcs.evaluation.compare import compare_predictions
from darkarcs.explain import ErasingSettings
from darkarcs.inference import Predictor
from darkarcs.model_folder import read_description
from darkarcs.report.measured_tables import sweep_table
from darkarcs.training.convergence import loss_has_converged
from rings import ring_lenses

RECIPE: dict[str, Any] = {
    "name": "base",
    "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 1}},
    "objective": {"kind": "iterative_erasing", "num_rounds": 2, "strategy": "random"},
    "training": {"batch_size": 8, "precision": "32", "threads": 1},
}
SWEEP: dict[str, Any] = {
    "name": "tiny",
    "recipe": "base.yaml",
    "arms": {"none": ["objective.num_rounds=0"], "random": []},
    "budget_images": 96,
    "num_per_class": [10],
    "learning_rates": [1.0e-4, 1.0e-3],
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP), encoding="utf-8")
    data.save(ring_lenses(200), tmp_path / "rings.h5")
    return tmp_path


def test_arms_spend_alike_and_are_measured(files: Path) -> None:
    sweep = load_sweep(files / "sweep.yaml")
    uri = str(files / "rings.h5")
    rows = run_sweep(sweep, uri, files / "runs", results=files / "results")
    plain, random = rows
    assert [row.arm for row in rows] == ["none", "random"]
    # three forward passes an image instead of one
    assert plain.images_seen == 96
    assert random.images_seen == 96 / 3
    assert random.token_forwards == pytest.approx(plain.token_forwards, rel=0.1)
    for row in rows:
        assert [one.learning_rate for one in row.tried] == [1e-4, 1e-3]
        best = max(row.tried, key=lambda one: (one.validation_auc, -one.validation_loss))
        assert row.learning_rate == best.learning_rate
        curve = [point["validation_auc"] for point in row.learning_curve]
        assert best.validation_auc == max(curve)
    assert plain.difference_interval is None
    models = [
        files / "runs" / row.arm / "labels-10-seed-0" / f"rate-{row.learning_rate:g}" / "model"
        for row in rows
    ]
    images = data.open(uri)
    settings = SplitSettings.parse(read_description(models[0]).split["settings"], "split")
    whole = divide(images, settings.model_copy(update={"num_per_class": None}))["validation"]
    seen = divide(images, settings)
    left = np.setdiff1d(whole, np.concatenate([seen["train"], seen["validation"]]))
    first, second = (Predictor(model).predict(images.select(left), "x") for model in models)
    macro = compare_predictions(second, first)["macro"]
    assert random.difference_interval == pytest.approx(macro["interval"])
    assert macro["difference"] == pytest.approx(random.auc - plain.auc)
    assert plain.num_images == 20 - 2  # a tenth of 200, less the run's own validation images
    written = json.loads((files / "results" / "sweeps" / "tiny.json").read_text("utf-8"))
    assert [row["auc"] for row in written["rows"]] == [row.auc for row in rows]
    assert not (files / "results" / "test_log.csv").exists()
    with pytest.raises(OutputExistsError):
        run_sweep(sweep, uri, files / "runs", results=files / "results")


def test_finished_runs_are_kept_and_the_test_split_is_logged(files: Path) -> None:
    sweep = load_sweep(files / "sweep.yaml").model_copy(update={"learning_rates": (1e-3,)})
    uri = str(files / "rings.h5")
    first = run_sweep(sweep, uri, files / "runs")
    weights = files / "runs" / "random" / "labels-10-seed-0" / "rate-0.001" / "model"
    before = (weights / "model.safetensors").stat().st_mtime_ns
    tested = sweep.model_copy(update={"measured_on": "test"})
    second = run_sweep(tested, uri, files / "runs", results=files / "results")
    assert (weights / "model.safetensors").stat().st_mtime_ns == before
    assert [row.model_hash for row in first] == [row.model_hash for row in second]
    log = (files / "results" / "test_log.csv").read_text("utf-8").splitlines()
    assert len(log) == 1 + len(second)


def test_finished_runs_of_another_recipe_or_of_other_images_are_refused(files: Path) -> None:
    sweep = load_sweep(files / "sweep.yaml").model_copy(update={"learning_rates": (1e-3,)})
    uri, out = str(files / "rings.h5"), files / "runs"
    run_sweep(sweep, uri, out)
    longer = sweep.model_copy(update={"budget_images": 288})
    with pytest.raises(ConfigurationError, match=r"another training\.epochs: give a new --out"):
        run_sweep(longer, uri, out)
    other = sweep.model_copy(update={"arms": {"none": ("objective.strategy=most_attended",)}})
    with pytest.raises(ConfigurationError, match=r"another objective\."):
        run_sweep(other, uri, out)
    data.save(ring_lenses(200, seed=5), files / "others.h5")
    with pytest.raises(ConfigurationError, match="other images"):
        run_sweep(sweep, str(files / "others.h5"), out)
    with pytest.raises(ConfigurationError, match="each look is logged: give --results"):
        run_sweep(sweep.model_copy(update={"measured_on": "test"}), uri, out)


def test_models_may_predict_by_erasing_as_well(files: Path) -> None:
    sweep = load_sweep(files / "sweep.yaml").model_copy(update={"learning_rates": (1e-3,)})
    uri = str(files / "rings.h5")
    plain = run_sweep(sweep, uri, files / "runs")
    assert {row.auc_erasing for row in plain} == {None}
    twice = {"measured_on": "test", "erasing": ErasingSettings(rounds=2, confidence=1.0)}
    again = run_sweep(
        sweep.model_copy(update=twice), uri, files / "runs", results=files / "results"
    )
    model = files / "runs" / "none" / "labels-10-seed-0" / "rate-0.001" / "model"
    predictor, images = Predictor(model), data.open(uri)
    settings = SplitSettings.parse(read_description(model).split["settings"], "split")
    seen = images.select(divide(images, settings)["test"])
    by_hand = evaluate_predictions(predictor.predict(seen, "test", erasing=twice["erasing"]))
    assert again[0].auc_erasing == by_hand["auc"]["macro"]
    log = (files / "results" / "test_log.csv").read_text("utf-8")
    assert log.count("erase=2") == len(again)
    assert len(log.splitlines()) == 1 + 2 * len(again)
    written = json.loads((files / "results" / "sweeps" / "tiny.json").read_text("utf-8"))
    gain = again[1].auc_erasing - again[1].auc
    assert written["summary"][1]["erasing_gain"] == pytest.approx(gain)
    assert "gain by erasing while predicting" in sweep_table(written)
    assert "| 0.001 |" in sweep_table(written)
    assert f"| {gain:+.4f} |" in sweep_table(written)


def test_the_first_seed_may_tune_for_all(files: Path) -> None:
    changed = {"tuned_with": "first seed", "seeds": (0, 1), "arms": {"none": SWEEP["arms"]["none"]}}
    sweep = load_sweep(files / "sweep.yaml").model_copy(update=changed)
    first, second = run_sweep(sweep, str(files / "rings.h5"), files / "runs")
    assert first.learning_rate == second.learning_rate
    assert [len(row.tried) for row in (first, second)] == [2, 1]
    tried = [len(list((files / "runs" / "none").glob(f"*-seed-{s}/rate-*"))) for s in (0, 1)]
    assert tried == [2, 1]


def test_runs_without_labels_choose_their_rate_by_the_loss(files: Path) -> None:
    pretext = ("objective.weights={classification: 0.0, reconstruction: 1.0}",)
    values = {"arms": {"pretext": pretext}, "learning_rates": (1e-5, 3e-3, 1e-5 / 2)}
    sweep = load_sweep(files / "sweep.yaml").model_copy(update=values)
    (row,) = run_sweep(sweep, str(files / "rings.h5"), files / "runs")
    assert {one.selected_by for one in row.tried} == {"validation_loss"}
    losses = {one.learning_rate: one.validation_loss for one in row.tried}
    assert row.learning_rate == min(losses, key=losses.__getitem__) == 3e-3
    curve = [point["validation_loss"] for point in row.learning_curve]
    assert losses[3e-3] == min(curve)
    assert row.converged == loss_has_converged(curve)


def test_an_arm_may_be_taught_by_the_one_before(files: Path) -> None:
    taught = ["objective.kind=distillation", "teacher.models=[{model:plain}]"]
    recipe = {**RECIPE, "objective": {"kind": "classification"}}
    (files / "base.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    values = {"arms": {"plain": (), "taught": tuple(taught)}, "learning_rates": (1e-3,)}
    sweep = load_sweep(files / "sweep.yaml").model_copy(update=values)
    plain, student = run_sweep(sweep, str(files / "rings.h5"), files / "runs")
    # the teacher, as large as the student, sees each image too
    assert student.images_seen == pytest.approx(plain.images_seen / 2, abs=16)
    assert str(files / "runs" / "plain") in student.recipe["teacher"]["models"][0]
    wrong = sweep.model_copy(update={"arms": {"taught": tuple(taught)}})
    with pytest.raises(ConfigurationError, match="no such arm before it"):
        run_sweep(wrong, str(files / "rings.h5"), files / "others")


def test_unknown_key_is_named(files: Path) -> None:
    (files / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, "seed": 3}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="unknown key 'seed'"):
        load_sweep(files / "sweep.yaml")


def test_summary_by_hand() -> None:
    areas = {("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): 0.6, ("b", 1): 0.9}
    rows = [
        {
            "arm": arm,
            "num_per_class": None,
            "seed": seed,
            "auc": auc,
            "images_seen": 30,
            "wall_time": 3.0,
            "converged": True,
        }
        for (arm, seed), auc in areas.items()
    ]
    plain, other = summarize(rows)
    assert plain["difference"] == 0
    assert plain["difference_interval"] is None
    assert other["auc"] == pytest.approx(0.75)
    assert other["difference"] == pytest.approx(0.15)
    # differences 0.1 and 0.2: standard error 0.05, Student's t of one degree of freedom 12.706
    assert other["difference_interval"] == pytest.approx(
        [0.15 - 12.7062 * 0.05, 0.15 + 12.7062 * 0.05], abs=1e-4
    )
    assert other["throughput"] == pytest.approx(10)
    single = [row for row in rows if row["seed"] == 1]
    single[1] = {**single[1], "difference_interval": [0.1, 0.3]}
    plain, other = summarize(single)
    assert (plain["difference_interval"], "interval_over" in plain) == (None, False)
    assert (other["difference_interval"], other["interval_over"]) == ([0.1, 0.3], "images")
    assert summarize([{**row, "wall_time": 0.0} for row in rows])[0]["throughput"] is None
