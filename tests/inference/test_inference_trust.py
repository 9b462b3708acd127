"""A trained model ships what judges its predictions; classify and evaluate use it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, DataError, ModelError, OutputExistsError
from darkarcs.evaluation.conformal import SetSettings
from darkarcs.explain import ExplainSettings
from darkarcs.inference import Predictor, classify, evaluate, explain, trust
from darkarcs.inference.examining import examine
from darkarcs.model_folder import hash_model_folder
from darkarcs.released import verify
from darkarcs.report import write_explanations
from darkarcs.training import Recipe, train
from darkarcs.trust import REASONS, TRUST_FILE, read_trust
from darkarcs.zoo.releasing import release
from rings import ring_lenses


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("trust")
    data.save(ring_lenses(count=240), folder / "lenses.h5")
    recipe = Recipe.parse(
        {
            "name": "tiny",
            "split": {"train": 0.5, "validation": 0.4, "test": 0.1},
            "preprocessing": {"size": 16},
            "model": {"name": "d4_cnn"},
            "training": {"epochs": 2, "batch_size": 16, "precision": "32"},
            "test_time_augmentation": "dihedral",
        },
        "test",
    )
    uri = str(folder / "lenses.h5")
    return train(recipe, uri, folder / "run").model, uri


@pytest.fixture
def without(trained: tuple[Path, str], tmp_path: Path) -> Path:
    """The same model as it was before anything shipped with it."""
    folder = shutil.copytree(trained[0], tmp_path / "old")
    (folder / TRUST_FILE).unlink()
    return folder


def strange(count: int = 12) -> LensImages:
    return LensImages.from_arrays(np.random.default_rng(0).normal(size=(count, 1, 16, 16)))


def test_training_ships_it_and_the_check_changes_no_prediction(
    trained: tuple[Path, str], without: Path
) -> None:
    assert read_trust(trained[0]) is not None
    assert hash_model_folder(trained[0]) == hash_model_folder(without)
    images = ring_lenses(count=20, seed=5)
    plain = Predictor(without).logits(images)
    predictor = Predictor(trained[0], batch_size=7)
    examination = examine(predictor, images)
    assert np.allclose(examination.logits, plain, atol=1e-5)
    one_view = examine(predictor, images, "none")
    assert examination.assessment is not None
    assert one_view.assessment is not None
    assert np.array_equal(examination.assessment.p_values, one_view.assessment.p_values)


def test_own_images_pass_and_noise_does_not(trained: tuple[Path, str]) -> None:
    predictor = Predictor(trained[0])
    own = examine(predictor, ring_lenses(count=200, seed=9)).assessment
    noise = examine(predictor, strange()).assessment
    assert own is not None
    assert noise is not None
    assert own.flagged.mean() < 0.08  # 96 validation images promise no more
    assert noise.flagged.mean() > 0.9


def test_classify_says_what_is_unfamiliar_and_why(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    data.save(strange(), tmp_path / "strange.h5")
    uri = str(tmp_path / "strange.h5")
    records = classify(trained[0], [uri], sets=SetSettings(coverage=0.9))
    for record in records:
        assert 0 < record["p_in_distribution"] <= 1
        assert ("because" in record) == record["unfamiliar"]
        assert set(record["prediction_set"]) <= {"no_sub", "sub"}
    assert {record["because"] for record in records if record["unfamiliar"]} <= set(REASONS)
    assert any(record["unfamiliar"] for record in records)
    unchecked = classify(trained[0], [uri], check=False)
    assert not {"unfamiliar", "p_in_distribution", "prediction_set"} & set(unchecked[0])
    everything = classify(trained[0], [uri], threshold=1.0)
    assert all(record["unfamiliar"] for record in everything)


def test_a_model_without_it_classifies_as_before(without: Path, trained: tuple[Path, str]) -> None:
    record = classify(without, [trained[1]])[0]
    assert set(record) == {"path", "identity", "class", "probabilities"}
    with pytest.raises(ModelError, match="darkarcs trust"):
        classify(without, [trained[1]], sets=SetSettings(coverage=0.9))


def test_sets_are_refused_for_predictions_made_otherwise(trained: tuple[Path, str]) -> None:
    with pytest.raises(ConfigurationError, match="test-time augmentation 'dihedral'"):
        classify(
            trained[0],
            [trained[1]],
            sets=SetSettings(coverage=0.9),
            test_time_augmentation="none",
        )


def test_trust_is_added_where_it_is_absent(trained: tuple[Path, str], without: Path) -> None:
    with pytest.raises(OutputExistsError):
        trust(trained[0], trained[1])
    with pytest.raises(ModelError, match="--data"):
        trust(without)
    for name in ("measurement.json", "card.md"):
        (without / name).write_text("{}")
    made = trust(without, trained[1], without.parent / "new")
    assert (made.folder / "measurement.json").exists()
    assert not (made.folder / "card.md").exists()  # it is of other files
    assert not (without / TRUST_FILE).exists()
    assert hash_model_folder(made.folder) == hash_model_folder(without)
    trust(without, trained[1])
    # the same model, images and seed: what training wrote, up to rounding of another batch size
    first, second = read_trust(trained[0]), read_trust(without)
    assert first is not None
    assert second is not None
    assert np.allclose(first.logits, second.logits, atol=1e-4)
    assert first.familiarity.rank == second.familiarity.rank
    assert (made.folder / TRUST_FILE).read_bytes() == (without / TRUST_FILE).read_bytes()


def test_trust_refuses_other_data(without: Path, tmp_path: Path) -> None:
    data.save(ring_lenses(count=40, seed=3), tmp_path / "other.h5")
    with pytest.raises(DataError, match=r"not the images .* give these by --data"):
        trust(without, str(tmp_path / "other.h5"))


def test_evaluate_measures_flags_and_coverage(trained: tuple[Path, str], tmp_path: Path) -> None:
    report = evaluate(trained[0], trained[1], tmp_path / "out", split="test", num_bootstrap=20)
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["trust"]
    assert found == report["trust"]
    assert 0 <= found["flagged"] <= 0.3
    assert found["sets"]["0.9"]["n"] == 24
    assert set(found["sets"]["0.9"]["by_class"]) == {"no_sub", "sub"}
    other = evaluate(
        trained[0],
        trained[1],
        tmp_path / "plain",
        split="test",
        num_bootstrap=20,
        test_time_augmentation="none",
    )
    assert other["trust"]["sets"] is None


def test_a_release_carries_it(trained: tuple[Path, str], tmp_path: Path) -> None:
    released = release(trained[0], "darkarcs-two-class-tiny", [], tmp_path / "release")
    assert (released.path / TRUST_FILE).read_bytes() == (trained[0] / TRUST_FILE).read_bytes()
    verify(released)
    (released.path / TRUST_FILE).write_bytes(b"changed")
    with pytest.raises(ModelError, match="its SHA-256 differs"):
        verify(released)


def test_explain_flags_what_classify_flags(
    trained: tuple[Path, str], without: Path, tmp_path: Path
) -> None:
    model, uri = trained
    data.save(strange(2), tmp_path / "noise.h5")
    data.save(data.open(uri).select(np.arange(2)), tmp_path / "rings.h5")
    paths = [str(tmp_path / "noise.h5"), str(tmp_path / "rings.h5")]
    settings = ExplainSettings(window=8)
    records = explain(model, paths, tmp_path / "out", settings=settings)
    classified = classify(model, paths)
    keys = ("p_in_distribution", "unfamiliar", "because", "class", "identity")
    for mine, other in zip(records, classified, strict=True):
        assert {key: mine.get(key) for key in keys} == {key: other.get(key) for key in keys}
    assert [record["unfamiliar"] for record in records] == [True, True, False, False]
    page = write_explanations(tmp_path / "out").read_text("utf-8")
    assert page.count("Unlike the images of training") == 2
    assert REASONS[records[0]["because"]] in page
    silent = explain(without, paths[:1], tmp_path / "silent", settings=settings)
    assert "unfamiliar" not in silent[0]
    assert "Unlike" not in write_explanations(tmp_path / "silent").read_text("utf-8")
