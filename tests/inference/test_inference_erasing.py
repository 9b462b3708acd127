"""Iterative erasing as a way to predict, from a model folder: classify and evaluate."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from darkarcs import data
from darkarcs.errors import ModelError
from darkarcs.evaluation import read_predictions
from darkarcs.evaluation.results import read_results
from darkarcs.explain import ErasingSettings
from darkarcs.inference import Filing, Predictor, classify, evaluate
from darkarcs.inference.examining import examine
from darkarcs.model_folder import TestTimeAugmentation
from darkarcs.training import Recipe, train
from rings import ring_lenses


def recipe(model: str, **options: int) -> Recipe:
    return Recipe.parse(
        {
            "name": "tiny",
            "preprocessing": {"size": 16},
            "model": {"name": model, "options": options},
            "training": {"epochs": 2, "batch_size": 8, "precision": "32"},
        },
        "test",
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("erasing")
    data.save(ring_lenses(), folder / "lenses.h5")
    uri = str(folder / "lenses.h5")
    return train(recipe("compact_vit_100k", patch_size=4, depth=2), uri, folder / "run").model, uri


@pytest.mark.parametrize("num", [1, 10])
@pytest.mark.parametrize("views", ["none", "dihedral"])
def test_erasing_judges_the_very_images(
    num: int, views: TestTimeAugmentation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("familiar")
    data.save(ring_lenses(count=120), folder / "lenses.h5")
    settings = recipe("compact_vit_100k", patch_size=4, depth=2)
    model = train(settings, str(folder / "lenses.h5"), folder / "run").model
    images, erasing = ring_lenses(count=num, seed=4), ErasingSettings(rounds=2, confidence=0.999)
    plain = examine(Predictor(model), images, views)
    erased = examine(Predictor(model), images, views, erasing=erasing)
    assert plain.assessment is not None
    assert erased.assessment is not None
    assert erased.rounds is not None
    assert erased.rounds.max() > 0
    np.testing.assert_allclose(erased.assessment.p_values, plain.assessment.p_values)


@pytest.mark.parametrize("views", ["none", "dihedral"])
def test_no_rounds_are_the_plain_prediction_bit_for_bit(
    trained: tuple[Path, str], views: str
) -> None:
    predictor, images = Predictor(trained[0]), ring_lenses(count=10)
    plain = predictor.logits(images, views)  # type: ignore[arg-type]
    erased, rounds = predictor.predict_by_erasing(
        images,
        ErasingSettings(rounds=0),
        views,  # type: ignore[arg-type]
    )
    assert np.array_equal(erased, plain)
    assert (rounds == 0).all()


def test_rounds_change_the_prediction_of_those_in_doubt(trained: tuple[Path, str]) -> None:
    predictor, images = Predictor(trained[0]), ring_lenses(count=20)
    plain = predictor.logits(images)
    confidence = float(np.median(predictor.probabilities(plain).max(axis=1)))
    settings = ErasingSettings(rounds=2, confidence=confidence)
    logits, rounds = predictor.predict_by_erasing(images, settings)
    doubtful = predictor.probabilities(plain).max(axis=1) < confidence - 1e-5
    assert 5 < doubtful.sum() < 15
    assert (rounds[doubtful] > 0).all()
    changed = np.abs(logits - plain).max(axis=1) > 1e-4
    assert changed[doubtful].all()
    sure = predictor.probabilities(plain).max(axis=1) > confidence + 1e-5
    assert not changed[sure].any()


def test_eight_views_are_erased_each_by_itself(trained: tuple[Path, str]) -> None:
    predictor, images = Predictor(trained[0]), ring_lenses(count=3)
    settings = ErasingSettings(rounds=1, confidence=1.0)
    turned = data.LensImages.from_arrays(np.rot90(images.images, axes=(2, 3)).copy())
    first, second = (
        predictor.predict_by_erasing(i, settings, "dihedral")[0] for i in (images, turned)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_classify_says_how_many_rounds(trained: tuple[Path, str]) -> None:
    model, uri = trained
    settings = ErasingSettings(rounds=2, confidence=1.0)
    records = classify(model, [uri], erasing=settings)
    assert {record["erasing_rounds"] for record in records} == {2.0}
    assert all("erasing_rounds" not in record for record in classify(model, [uri]))


def test_the_strategy_is_noted_wherever_the_model_is_named(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    model, uri = trained
    settings = ErasingSettings(rounds=2, confidence=1.0, combine="mean")
    report = evaluate(
        model,
        uri,
        tmp_path / "out",
        split="test",
        erasing=settings,
        filing=Filing(tmp_path / "results", name="tiny-erased"),
    )
    plain = evaluate(model, uri, tmp_path / "plain", split="test")
    assert report["erasing"] == settings.model_dump(mode="json")
    assert plain["erasing"] is None
    noted = f"{plain['model_hash']}?erase=2&by=darken&confidence=1.0&combine=mean"
    predictions = read_predictions(tmp_path / "out" / "predictions.csv")
    assert predictions.model_hash == report["model_hash"] == noted
    other = read_predictions(tmp_path / "plain" / "predictions.csv")
    assert not np.allclose(predictions.logits, other.logits, atol=1e-4)
    with (tmp_path / "results" / "test_log.csv").open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["model_hash"] == noted
    [result] = read_results(tmp_path / "results")
    assert result.model_hash == noted


def test_a_cnn_cannot_erase_by_attention(trained: tuple[Path, str], tmp_path: Path) -> None:
    model = train(recipe("d4_cnn"), trained[1], tmp_path / "run").model
    plain = classify(model, [trained[1]])
    none = classify(model, [trained[1]], erasing=ErasingSettings(rounds=0))
    assert [r["probabilities"] for r in none] == [r["probabilities"] for r in plain]
    with pytest.raises(ModelError, match=r"has no attention.*leave --erase out"):
        classify(model, [trained[1]], erasing=ErasingSettings(rounds=1))
