"""From a trained model to predictions, evaluations and classifications."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkarcs import data
from darkarcs.benchmark import cross_validate, training_speed
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, DataError, ModelError, OutputExistsError
from darkarcs.evaluation import read_predictions
from darkarcs.evaluation.results import read_results
from darkarcs.inference import Filing, Predictor, classify, evaluate
from darkarcs.training import Recipe, train
from rings import ring_lenses

RECIPE = Recipe.parse(
    {
        "name": "tiny",
        "preprocessing": {"size": 16},
        "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 2}},
        "training": {"epochs": 6, "batch_size": 8, "precision": "32"},
    },
    "test",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("trained")
    data.save(ring_lenses(), folder / "lenses.h5")
    run = train(RECIPE, str(folder / "lenses.h5"), folder / "run")
    return run.model, str(folder / "lenses.h5")


def test_evaluation_on_the_test_split(trained: tuple[Path, str], tmp_path: Path) -> None:
    model, uri = trained
    report = evaluate(
        model, uri, tmp_path / "out", split="test", filing=Filing(tmp_path / "results")
    )
    assert report["n"] == 12
    assert 0.5 < report["auc"]["macro"] <= 1
    low, high = report["auc"]["interval"]
    assert low <= report["auc"]["macro"] <= high
    assert report["overlap"] == {"train": 0, "validation": 0}
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(report))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "predictions.csv",
        "evaluation.json",
        "history.csv",
        "examples.npz",
    }
    [result] = read_results(tmp_path / "results")
    assert result.evaluation["auc"]["macro"] == report["auc"]["macro"]
    assert len(result.learning_curve) == 6
    log = (tmp_path / "results" / "test_log.csv").read_text(encoding="utf-8").splitlines()
    assert len(log) == 2


def test_overlap_with_training_is_warned_of(trained: tuple[Path, str], tmp_path: Path) -> None:
    model, uri = trained
    report = evaluate(model, uri, tmp_path / "all")
    assert report["overlap"] == {"train": 42, "validation": 6}
    assert any("42 of 60 images" in warning for warning in report["warnings"])


def test_a_look_at_the_test_split_is_logged_without_a_result(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    model, uri = trained
    log = tmp_path / "test_log.csv"
    evaluate(model, uri, tmp_path / "a", split="test", test_log=log)
    evaluate(model, uri, tmp_path / "b", split="validation", test_log=log)
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2  # the header and one look


def test_selecting_splits_does_not_touch_the_log(trained: tuple[Path, str], tmp_path: Path) -> None:
    model, uri = trained
    evaluate(model, uri, tmp_path / "out", split="validation", filing=Filing(tmp_path / "results"))
    assert not (tmp_path / "results" / "test_log.csv").exists()


def test_what_is_refused(trained: tuple[Path, str], tmp_path: Path) -> None:
    model, uri = trained
    data.save(ring_lenses(seed=1), tmp_path / "other.h5")
    with pytest.raises(DataError, match="not the images that 'tiny' was trained on"):
        evaluate(model, str(tmp_path / "other.h5"), tmp_path / "a", split="test")
    with pytest.raises(DataError, match="no split 'tests'"):
        evaluate(model, uri, tmp_path / "b", split="tests")
    data.save(LensImages.from_arrays(ring_lenses().images), tmp_path / "unlabelled.h5")
    with pytest.raises(DataError, match="has no labels"):
        evaluate(model, str(tmp_path / "unlabelled.h5"), tmp_path / "c")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "kept").touch()
    with pytest.raises(OutputExistsError):
        evaluate(model, uri, tmp_path / "d")
    rings = LensImages.from_arrays(ring_lenses().images, ring_lenses().labels, ("ring", "smudge"))
    data.save(rings, tmp_path / "rings.h5")
    with pytest.raises(ModelError, match="class ring, smudge"):
        evaluate(model, str(tmp_path / "rings.h5"), tmp_path / "e")


def test_any_substructure_is_the_positive_class(trained: tuple[Path, str], tmp_path: Path) -> None:
    model, _ = trained
    source = ring_lenses(seed=2)
    assert source.labels is not None
    three = np.where(source.labels == 1, 1 + np.arange(60) // 2 % 2, 0)
    data.save(
        LensImages.from_arrays(source.images, three, ("no_sub", "cdm", "axion")),
        tmp_path / "three.h5",
    )
    evaluate(model, str(tmp_path / "three.h5"), tmp_path / "out")
    predictions = read_predictions(tmp_path / "out" / "predictions.csv")
    assert predictions.labels is not None
    assert predictions.labels.tolist() == (np.arange(60) % 2).tolist()


def test_dihedral_average_is_invariant(trained: tuple[Path, str]) -> None:
    model, _ = trained
    predictor = Predictor(model)
    images = ring_lenses(count=4)
    turned = LensImages.from_arrays(np.rot90(images.images, axes=(2, 3)).copy())
    plain = [predictor.logits(i) for i in (images, turned)]
    averaged = [predictor.logits(i, "dihedral") for i in (images, turned)]
    assert np.array_equal(plain[0], predictor.logits(images, "none"))
    assert not np.allclose(plain[0], plain[1], atol=1e-4)
    assert np.allclose(averaged[0], averaged[1], atol=1e-4)


def test_attention_maps_have_the_grid_of_patches(trained: tuple[Path, str]) -> None:
    maps = Predictor(trained[0]).attention(ring_lenses(count=3))
    assert maps is not None
    assert maps.shape == (3, 4, 4)
    assert np.isfinite(maps).all()


def test_classify_gives_one_record_a_file(trained: tuple[Path, str], tmp_path: Path) -> None:
    model, _ = trained
    folder = tmp_path / "unknown"
    folder.mkdir()
    for index, image in enumerate(ring_lenses(count=4, seed=3).images):
        scaled = (255 * np.clip(image[0], 0, 1)).astype(np.uint8)
        Image.fromarray(scaled).save(folder / f"{index}.png")
    records = classify(model, [str(folder / "0.png"), str(folder)])
    assert [r["path"] for r in records] == [
        str(folder / "0.png"),
        *(f"{folder}/{i}.png" for i in range(4)),
    ]
    # a batch of four rounds differently from a batch of one, in the seventh digit
    assert records[0]["probabilities"] == pytest.approx(records[1]["probabilities"], abs=1e-5)
    for record in records:
        values: dict[str, Any] = record["probabilities"]
        assert sum(values.values()) == pytest.approx(1)
        assert record["class"] == max(values, key=lambda name: values[name])


def test_cross_validation_predicts_every_image_once(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    _, uri = trained
    values = RECIPE.model_dump(mode="json")
    values["training"]["epochs"] = 1
    recipe = Recipe.parse(values, "test")
    out, results = tmp_path / "folds", tmp_path / "results"
    report = cross_validate(recipe, uri, out, num_folds=3, filing=Filing(results))
    assert report["n"] == 60
    assert len(report["folds"]) == 3
    predictions = read_predictions(out / "out_of_fold" / "predictions.csv")
    assert len(set(predictions.identities)) == 60
    with pytest.raises(OutputExistsError):
        cross_validate(recipe, uri, out, num_folds=3)
    again = cross_validate(recipe, uri, out, num_folds=3, resume=True)
    assert again["auc"] == report["auc"]


def test_training_speed_reports_a_ratio() -> None:
    values = RECIPE.model_dump(mode="json")
    values["preprocessing"]["size"] = None
    values["preprocessing"]["crop_pixels"] = 16
    result = training_speed(Recipe.parse(values, "test"), num_images=64, repeats=1, device="cpu")
    assert result["ratio"] == pytest.approx(result["ours"] / result["bare"])
    assert result["ours"] > 0


def test_classify_goes_on_after_bad_paths_and_names_them_all(
    trained: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, _ = trained
    good, bad, colour = (str(tmp_path / f"{name}.png") for name in ("good", "bad", "colour"))
    scaled = (255 * np.clip(ring_lenses(count=2).images[0, 0], 0, 1)).astype(np.uint8)
    Image.fromarray(scaled).save(good)
    Path(bad).write_bytes(b"no image")
    Image.fromarray(np.stack([scaled, 255 - scaled, scaled], axis=-1)).save(colour)
    with pytest.raises(DataError) as error:
        classify(model, [good, bad, colour])
    assert all(name in str(error.value) for name in (bad, colour))
    assert good not in str(error.value)
    records = classify(model, [bad, good, colour], skip_bad=True)
    assert [record["path"] for record in records] == [good]
    assert "going on without 2 of 3 paths" in caplog.text


def test_grey_stored_as_colour_is_grey(trained: tuple[Path, str], tmp_path: Path) -> None:
    model, _ = trained
    scaled = (255 * np.clip(ring_lenses(count=2).images[0, 0], 0, 1)).astype(np.uint8)
    Image.fromarray(scaled).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([scaled] * 3, axis=-1)).save(tmp_path / "colour.png")
    first, second = classify(model, [str(tmp_path / f"{n}.png") for n in ("grey", "colour")])
    assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-5)


@pytest.mark.parametrize("device", ["foo", "cuda:7"])
def test_a_device_that_is_not_there(trained: tuple[Path, str], device: str) -> None:
    with pytest.raises(ConfigurationError, match=f"device '{device}'"):
        Predictor(trained[0], device)


def test_an_earlier_look_at_the_test_images_is_told(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    model, uri = trained
    other = train(
        RECIPE.model_copy(update={"seed": 1}), uri, tmp_path / "other", device="cpu"
    ).model
    filing = Filing(tmp_path / "results", name="mine")
    evaluate(other, uri, tmp_path / "first", split="test", filing=filing)
    (tmp_path / "results" / "mine.json").unlink()
    evaluate(model, uri, tmp_path / "second", split="test", filing=filing)
    [result] = read_results(tmp_path / "results")
    assert "1 earlier models of this name were evaluated on these test images" in result.selection


def test_an_empty_test_split(trained: tuple[Path, str], tmp_path: Path) -> None:
    values = RECIPE.model_dump(mode="json")
    values["split"] = {"train": 0.8, "validation": 0.2, "test": 0.0}
    values["training"]["epochs"] = 1
    run = train(Recipe.parse(values, "test"), trained[1], tmp_path / "run")
    with pytest.raises(DataError, match="the test split is empty"):
        evaluate(run.model, trained[1], tmp_path / "out", split="test")


def test_folds_of_two_recipes_are_never_mixed(trained: tuple[Path, str], tmp_path: Path) -> None:
    values = RECIPE.model_dump(mode="json")
    values["training"]["epochs"] = 1
    cross_validate(Recipe.parse(values, "test"), trained[1], tmp_path / "folds", num_folds=2)
    values["training"]["learning_rate"] = 1e-2
    with pytest.raises(ConfigurationError, match="begun with another recipe"):
        cross_validate(
            Recipe.parse(values, "test"), trained[1], tmp_path / "folds", num_folds=2, resume=True
        )


def test_a_pretrained_foreign_model_is_read_back_without_its_source(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    configuration = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=4,
        num_channels=3,
        num_labels=5,
    )
    source = tmp_path / "source"
    transformers.ViTForImageClassification(configuration).save_pretrained(source)
    values = RECIPE.model_dump(mode="json")
    values["model"] = {"name": f"huggingface:{source}", "pretrained": "default", "options": {}}
    values["training"]["epochs"] = 1
    run = train(Recipe.parse(values, "test"), trained[1], tmp_path / "run")
    before = Predictor(run.model).logits(ring_lenses(count=4))
    source.rename(tmp_path / "gone")
    assert np.array_equal(before, Predictor(run.model).logits(ring_lenses(count=4)))


def test_an_image_among_others_of_other_scales_is_seen_by_its_own(tmp_path: Path) -> None:
    rings = ring_lenses(count=60)
    known = LensImages.from_arrays(rings.images, rings.labels, rings.class_names, pixel_scale=0.1)
    data.save(known, tmp_path / "known.h5")
    recipe = Recipe.parse(
        {
            "name": "scaled",
            "preprocessing": {"size": 12, "crop_arcsec": 1.0},
            "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 1}},
            "training": {"epochs": 1, "batch_size": 8, "precision": "32"},
        },
        "test",
    )
    predictor = Predictor(train(recipe, str(tmp_path / "known.h5"), tmp_path / "run").model)
    scales = np.array([0.1, 0.2, np.nan, 0.1])
    mixed = LensImages.from_arrays(rings.images[:4], metadata={"pixel_scale": scales})
    together = predictor.logits(mixed)
    for i, scale in enumerate(scales):
        own = None if np.isnan(scale) else float(scale)
        alone = LensImages.from_arrays(rings.images[i : i + 1], pixel_scale=own)
        np.testing.assert_allclose(predictor.logits(alone)[0], together[i], atol=1e-5)
    assert (
        np.abs(
            predictor.logits(LensImages.from_arrays(rings.images[1:2], pixel_scale=0.1))[0]
            - together[1]
        ).max()
        > 1e-3
    )
