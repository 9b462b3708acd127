"""``darkarcs fit``: residuals, the facts about them, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import small_scenes
from darkarcs import data
from darkarcs.cli.main import app
from darkarcs.data import LensImages
from darkarcs.data.store import save
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.evaluation.predictions import read_predictions
from darkarcs.fitting import SmoothFit, fit_of, residual_images
from darkarcs.inference.evaluate import evaluate
from darkarcs.model_folder import read_description
from darkarcs.training import Recipe, train
from darkarcs.trust import TRUST_FILE


def fit(*arguments: Any) -> str:
    words = ["fit", *map(str, arguments)]
    answer = CliRunner().invoke(app, words, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"scene:{small_scenes.write(tmp_path)}?seed=1&num=6&classes=no_sub,cdm"


@pytest.fixture
def unknown(uri: str, tmp_path: Path) -> Path:
    """Images of which nothing is told."""
    return save(LensImages.from_arrays(data.open(uri).images), tmp_path / "unknown.h5")


def test_a_scene_is_fitted(uri: str, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    facts = json.loads(fit(uri, "--out", out, "--json"))
    lenses, made = data.open(uri), data.open(out)
    how = fit_of(made)
    assert how is not None
    assert facts["path"] == str(out)
    assert facts["num_images"] == len(made) == 6
    assert facts["fit"] == how.identity
    assert facts["converged"] == made.metadata["fit.converged"].sum()
    quantiles = np.quantile(made.metadata["fit.chi_square"] / 400, [0.05, 0.5, 0.95])
    np.testing.assert_allclose(facts["chi_square_per_pixel"], quantiles, atol=1e-4)
    assert made.class_counts() == {"no_sub": 3, "cdm": 3}
    for name in ("chi_square", "log_evidence"):
        values = made.metadata[f"fit.{name}"]
        smooth, clumpy = values[made.labels == 0], values[made.labels == 1]
        area = (clumpy[:, None] > smooth).mean()
        assert facts[f"auc_of_{name}"] == pytest.approx(area, abs=1e-4)
    np.testing.assert_allclose(made.images, residual_images(lenses, how).images, atol=1e-4)


@pytest.mark.parametrize("source", ["sersic", "free"])
def test_what_is_trained_on_residuals_takes_images(tmp_path: Path, source: str) -> None:
    uri = f"scene:{small_scenes.write(tmp_path)}?seed=1&num=64&classes=no_sub,cdm"
    made, run = tmp_path / "made.h5", tmp_path / "run"
    fit(uri, "--out", made, *(["--free-source"] if source == "free" else []))
    tiny = {"epochs": 1, "batch_size": 16, "precision": "32", "threads": 1}
    recipe = {
        "name": "tiny",
        "preprocessing": {"stretch": "linear"},
        "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 1}},
        "objective": {"kind": "classification"},
        "training": tiny,
    }
    train(Recipe.parse(recipe, "test"), str(made), run, device="cpu")
    description = read_description(run / "model")
    assert description.smooth_fit == data.open(made).manifest["smooth_fit"]
    assert description.smooth_fit["source"] == source
    assert description.architecture.in_channels == 7
    assert (run / "model" / TRUST_FILE).exists()
    one, other = (
        evaluate(run / "model", str(images), tmp_path / name, split="test", num_bootstrap=10)
        for name, images in (("of_residuals", made), ("of_images", uri))
    )
    assert one["n"] == other["n"] > 5
    logits = [
        read_predictions(tmp_path / name / "predictions.csv").logits
        for name in ("of_residuals", "of_images")
    ]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-3)


def test_people_are_told_how_it_went(uri: str, tmp_path: Path) -> None:
    told = fit(uri, "--out", tmp_path / "out.h5")
    assert "out.h5: residuals of 6 images" in told
    assert "chi-squared a pixel" in told
    assert "by the evidence for subhalos" in told
    assert "by chi-squared" in told


def test_images_of_an_unknown_scene(unknown: Path, uri: str, tmp_path: Path) -> None:
    scene = tmp_path / "small.yaml"
    with pytest.raises(ConfigurationError, match="say by --scene which"):
        fit(unknown, "--out", tmp_path / "out.h5")
    fit(unknown, "--out", tmp_path / "out.h5", "--scene", scene)
    fit(uri, "--out", tmp_path / "known.h5")
    one, other = (data.open(tmp_path / name) for name in ("out.h5", "known.h5"))
    np.testing.assert_allclose(one.images, other.images, atol=1e-4)
    changed = ["--scene", scene, "--set", "lens.shear=0.0", "--json"]
    facts = json.loads(fit(unknown, "--out", tmp_path / "changed.h5", *changed))
    made = data.open(tmp_path / "changed.h5")
    assert not [name for name in facts if name.startswith("auc")]  # nothing is labelled
    assert "fit.lens.shear" in one.metadata
    assert "fit.lens.shear" not in made.metadata
    assert facts["fit"] != SmoothFit.of(small_scenes.scene()).identity


def test_set_without_a_scene_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--scene") as error:
        fit(uri, "--out", tmp_path / "out.h5", "--set", "lens.shear=0.0")
    assert "\n" not in str(error.value)


def test_what_is_there_is_left_alone(uri: str, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    out.write_text("mine")
    with pytest.raises(OutputExistsError):
        fit(uri, "--out", out)
    assert out.read_text() == "mine"


def test_residuals_and_other_instruments_are_refused(
    uri: str, unknown: Path, tmp_path: Path
) -> None:
    fit(uri, "--out", tmp_path / "out.h5")
    with pytest.raises(DataError, match="already"):
        fit(tmp_path / "out.h5", "--out", tmp_path / "again.h5")
    with pytest.raises(DataError, match=r"\(1, 64, 64\)"):
        fit(unknown, "--out", tmp_path / "again.h5", "--scene", "fair-euclid")
    assert not (tmp_path / "again.h5").exists()
    assert not list(tmp_path.glob(".*partial"))
