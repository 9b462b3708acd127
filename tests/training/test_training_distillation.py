"""Trainings with teachers: in the loop, stored, several, at another size; unlabelled images."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import small_scenes
from darkarcs import data
from darkarcs.configuration import read_yaml
from darkarcs.data import Augmentation, LensImages
from darkarcs.data.augmentation import apply_dihedral
from darkarcs.data.streams import STREAMS
from darkarcs.errors import ConfigurationError, DataError, ModelError
from darkarcs.model_folder import read_model_folder, short_identities
from darkarcs.objectives import UNLABELLED, Distillation, IterativeErasing
from darkarcs.training import Recipe, load_recipe, train
from darkarcs.training import teachers as training_teachers
from darkarcs.training.batches import TrainingBatches, augmentation_generator
from darkarcs.training.callbacks import Selection
from darkarcs.training.cost import token_forwards_per_image
from darkarcs.training.preparation import prepare
from darkarcs.training.stored_answers import drawn_elements
from darkarcs.training.teachers import TeacherSettings, read_teachers
from darkarcs.training.teaching_plan import ANSWERS_FILE, AnswerStore, plan_teaching
from rings import ring_lenses

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "distillation"
TINY = {"patch_size": 4, "depth": 2}
CONTINUOUS = {"rotation": True, "shift_pixels": 1.0, "noise": 0.1}


def make_recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "tiny",
        "model": {"name": "compact_vit_100k", "options": TINY},
        "training": {"epochs": 2, "batch_size": 8, "precision": "32", "ema_share": 0.2},
    }
    for key, value in changes.items():
        target = values
        *parents, last = key.split("__")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return Recipe.parse(values, "test")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "lenses.h5"
    data.save(ring_lenses(), path)
    return str(path)


@pytest.fixture(scope="module")
def teachers(store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A transformer that sees what the student sees, and a CNN that sees it at another size."""
    folder = tmp_path_factory.mktemp("teachers")
    same = train(make_recipe(name="same", training__epochs=8), store, folder / "same")
    settings = {"preprocessing": {"size": 12, "stretch": "linear"}, "model": {"name": "d4_cnn"}}
    other = train(make_recipe(**settings, name="cnn"), store, folder / "cnn")
    assert same.best_auc > 0.9
    return str(same.directory), str(other.model)


def distil(teachers: tuple[str, ...], **changes: Any) -> Recipe:
    settings = {"objective__kind": "distillation", "teacher__models": teachers}
    return make_recipe(**settings, **changes)


def weights(run: Any) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def equal(first: Any, second: Any) -> bool:
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def provenance(run: Any) -> dict[str, Any]:
    return read_model_folder(run.model).description.provenance


def test_everything_is_learned_from_a_transformer_in_the_loop(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    terms = {
        "objective__features": {"weight": 1.0, "layers": "all"},
        "objective__relations": {"weight": 1.0},
        "objective__class_attention": {"weight": 1.0},
        "training__epochs": 6,
    }
    run = train(distil(teachers[:1], **terms), store, tmp_path / "run")
    assert run.best_auc > 0.9
    tokens = 17 * run.images_seen
    assert provenance(run)["token_forwards"] == 2 * tokens  # the student's and the teacher's
    teaching = provenance(run)["teaching"]
    assert teaching["answers"] == "loop"
    assert teaching["teachers"][0]["trained_on"] == {"validation": 0, "test": 0}
    assert teaching["teachers"][0]["model_hash"] == (
        read_model_folder(Path(teachers[0]) / "model").model_hash
    )
    checkpoint = next((run.directory / "checkpoints").glob("*.ckpt"))
    names = torch.load(checkpoint, weights_only=True)["state_dict"].keys()
    assert {name.split(".")[0] for name in names} == {"model", "objective"}
    assert any("projections" in name for name in names)


@pytest.mark.parametrize("augmentation", [{}, CONTINUOUS], ids=["views", "replay"])
def test_stored_answers_train_the_very_weights_that_the_loop_trains(
    store: str, teachers: tuple[str, str], tmp_path: Path, augmentation: dict[str, Any]
) -> None:
    settings = {"augmentation": augmentation, "teacher__view": "clean"}
    loop = train(distil(teachers, **settings), store, tmp_path / "loop")
    settings["teacher__answers"] = "stored"
    stored = train(distil(teachers, **settings), store, tmp_path / "stored")
    first, second = weights(loop), weights(stored)
    if augmentation:  # replayed batch by batch: the same to the bit
        assert equal(loop, stored)
    for name in first:
        assert torch.allclose(first[name], second[name], atol=1e-5), name


@pytest.mark.parametrize("augmentation", [{}, {"dihedral": False}, CONTINUOUS])
@pytest.mark.parametrize("view", ["same", "clean"])
def test_stored_answers_are_those_of_the_loop(
    store: str,
    teachers: tuple[str, str],
    tmp_path: Path,
    augmentation: dict[str, Any],
    view: str,
) -> None:
    chosen = teachers if view == "clean" else teachers[:1]  # noise is in the student's units
    settings = {"augmentation": augmentation, "teacher__view": view, "teacher__answers": "stored"}
    recipe = distil(chosen, **settings)
    images = data.open(store)
    prepared = prepare(images, recipe)
    plan = plan_teaching(recipe, prepared, images.class_names)
    assert plan is not None
    device = torch.device("cpu")
    stored = AnswerStore(plan, recipe, prepared, images.class_names, tmp_path).open(device)
    loop = plan.teach((), recipe.seed, device)
    views = [prepared.preprocess_training(further) for further in plan.further]
    batches = TrainingBatches(prepared.train_images, prepared.train_labels, 8, 0, views)
    step = tokens = 0
    for epoch in range(2):
        batches.set_epoch(epoch)
        for batch in batches:
            generator = augmentation_generator(recipe.seed, step)
            shown = recipe.augmentation.apply(batch.images, generator)
            wanted = loop.answer(batch, shown, step)
            found = stored.answer(batch, shown, step)
            assert wanted.logits is not None
            assert found.logits is not None
            assert found.logits.shape == (len(chosen), 8, 2)
            assert torch.allclose(found.logits, wanted.logits, atol=1e-5)
            if augmentation == CONTINUOUS:
                assert torch.equal(found.logits, wanted.logits)
            assert found.token_forwards == 0
            tokens += wanted.token_forwards
            step += 1
    if augmentation == CONTINUOUS:
        assert stored.token_forwards_before == tokens
    else:
        num_views = 1 if augmentation else 8
        assert stored.token_forwards_before == 17 * num_views * len(prepared.train_images)


def test_the_teacher_sees_the_same_sky_at_its_own_size(
    store: str, teachers: tuple[str, str]
) -> None:
    recipe = distil(teachers[1:], augmentation={"rotation": True, "shift_pixels": 2.0})
    images = data.open(store)
    prepared = prepare(images, recipe)
    plan = plan_teaching(recipe, prepared, images.class_names)
    assert plan is not None
    view = plan.views[0]
    assert view.augmentation.shift_pixels == pytest.approx(2.0 * 12 / 16)
    large = torch.zeros(4, 1, 16, 16)
    large[..., 9:13, 2:6] = 1.0
    small = torch.nn.functional.interpolate(large, size=12, mode="bilinear", antialias=True)
    seen = [
        chosen.apply(image, augmentation_generator(0, 5))
        for chosen, image in ((recipe.augmentation, large), (view.augmentation, small))
    ]

    def centres(image: torch.Tensor) -> torch.Tensor:
        axis = (torch.arange(image.shape[-1]) + 0.5) / image.shape[-1]
        mass = image / image.sum(dim=(1, 2, 3), keepdim=True)
        return torch.stack([(mass.sum(2)[:, 0] * axis).sum(1), (mass.sum(3)[:, 0] * axis).sum(1)])

    assert torch.allclose(centres(seen[0]), centres(seen[1]), atol=0.01)
    assert not torch.allclose(centres(seen[0]), centres(large), atol=0.05)


def test_a_clean_teacher_of_a_noisy_student(store: str, teachers: tuple[str, str]) -> None:
    images = data.open(store)
    noisy = {"augmentation": {"noise": 0.5, "psf_blur_pixels": 1.0}}
    for view in ("same", "clean"):
        recipe = distil(teachers[:1], **noisy, teacher__view=view)
        prepared = prepare(images, recipe)
        plan = plan_teaching(recipe, prepared, images.class_names)
        assert plan is not None
        assert plan.views[0].as_student == (view == "same")
        generator = augmentation_generator(0, 3)
        seen = plan.views[0].augmentation.apply(prepared.train_images[:8], generator)
        turned = Augmentation().apply(prepared.train_images[:8], augmentation_generator(0, 3))
        assert torch.equal(seen, turned) == (view == "clean")


def test_drawn_elements_are_those_of_the_augmentation() -> None:
    images = torch.randn(64, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    for step in range(3):
        elements = drawn_elements(Augmentation(), 64, augmentation_generator(1, step))
        changed = Augmentation().apply(images, augmentation_generator(1, step))
        assert torch.equal(apply_dihedral(images, elements), changed)
        assert len(set(elements.tolist())) == 8


def test_a_shared_file_serves_other_seeds_lengths_and_subsets(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    shared = tmp_path / "answers.safetensors"
    settings = {"teacher__answers": "stored", "teacher__answers_file": str(shared)}
    first = train(distil(teachers, **settings), store, tmp_path / "first")
    written = shared.stat().st_mtime_ns
    changes = {"seed": 1, "training__batch_size": 4, "split__num_per_class": 8}
    second = train(distil(teachers, **settings, **changes), store, tmp_path / "second")
    assert shared.stat().st_mtime_ns == written
    for run in (first, second):
        teaching = provenance(run)["teaching"]
        assert teaching["token_forwards"] == 8 * 42 * 17
        assert teaching["counted_in_this_run"] is False
        assert provenance(run)["token_forwards"] == 17 * run.images_seen
    with safe_open(shared, framework="pt") as file:
        metadata = file.metadata()
    hashes = [t["model_hash"] for t in provenance(first)["teaching"]["teachers"]]
    assert json.loads(metadata["teachers"]) == hashes
    assert not list(tmp_path.glob("*.part"))


def test_a_file_for_something_else_is_refused(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    shared = tmp_path / "answers.safetensors"
    settings: dict[str, Any] = {
        "teacher__answers": "stored",
        "teacher__answers_file": str(shared),
        "training__epochs": 1,
    }
    train(distil(teachers[:1], **settings), store, tmp_path / "run")
    refused = tmp_path / "refused"
    for changes, message in (
        ({"teacher__models": teachers[1:]}, "another teacher"),
        ({"augmentation": {"shift_pixels": 1.0}}, "another augmentation"),
        ({"split": {"seed": 1}}, r"lacks \d+ of the 42 training images"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            train(make_recipe(**distil_values(teachers, settings, changes)), store, refused)
    replayed = {**settings, "augmentation": {"shift_pixels": 1.0}}
    replayed["teacher__answers_file"] = str(tmp_path / "replayed.safetensors")
    train(distil(teachers[:1], **replayed), store, tmp_path / "replayed")
    for changes, message in (
        ({"seed": 1}, "another seed"),
        ({"training__epochs": 3}, "fewer epochs"),
        ({"training__images_per_epoch": 24}, "length of an epoch"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            train(make_recipe(**distil_values(teachers, replayed, changes)), store, refused)
    shared.write_bytes(b"no such thing")
    with pytest.raises(ConfigurationError, match="cannot be read as stored answers"):
        train(distil(teachers[:1], **settings), store, refused)
    assert not refused.exists()


def distil_values(
    teachers: tuple[str, str], settings: dict[str, Any], changes: dict[str, Any]
) -> dict[str, Any]:
    base = {"objective__kind": "distillation", "teacher__models": teachers[:1]}
    return {**base, **settings, **changes}


def test_resumed_run_with_stored_answers_equals_uninterrupted_one(
    store: str, teachers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = distil(teachers, teacher__answers="stored", training__epochs=3)
    whole = train(recipe, store, tmp_path / "whole")
    assert (tmp_path / "whole" / ANSWERS_FILE).is_file()
    original = Selection.on_train_epoch_start

    def die(self: Selection, trainer: Any, module: Any) -> None:
        original(self, trainer, module)
        if trainer.current_epoch == 2:
            raise RuntimeError("killed")

    monkeypatch.setattr(Selection, "on_train_epoch_start", die)
    with pytest.raises(RuntimeError, match="killed"):
        train(recipe, store, tmp_path / "cut")
    monkeypatch.setattr(Selection, "on_train_epoch_start", original)
    resumed = train(recipe, store, tmp_path / "cut", resume=True)
    assert equal(whole, resumed)

    def curve(run: str) -> list[dict[str, str]]:
        with (tmp_path / run / "history.csv").open(encoding="utf-8") as file:
            times = ("validation_time", "wall_time")
            return [
                {k: v for k, v in row.items() if k not in times} for row in csv.DictReader(file)
            ]

    assert curve("whole") == curve("cut")
    # the file belongs to the run, so what it cost is counted, once
    before = 8 * 42 * 17
    assert provenance(resumed)["token_forwards"] == before + 17 * resumed.images_seen
    assert provenance(resumed)["teaching"]["counted_in_this_run"] is True


def test_resume_refuses_another_teacher(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    recipe = distil(teachers[:1], training__epochs=1)
    out = tmp_path / "run"
    train(recipe, store, out)
    for file in (out / "model").iterdir():
        file.unlink()
    (out / "model").rmdir()
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    record["teachers"] = ["0" * 64]
    (out / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="other teachers"):
        train(recipe, store, out, resume=True)


def test_a_teacher_with_another_order_of_classes(store: str, teachers: tuple[str, str]) -> None:
    images = data.open(store)
    recipe = distil(teachers[:1])
    prepared = prepare(images, recipe)
    batch = next(iter(TrainingBatches(prepared.train_images, prepared.train_labels, 8, 0)))
    answers = []
    for names in (("no_sub", "sub"), ("sub", "no_sub")):
        plan = plan_teaching(recipe, prepared, names)
        assert plan is not None
        logits = plan.teach((), 0, torch.device("cpu")).answer(batch, batch.images, 0).logits
        assert logits is not None
        answers.append(logits)
    assert torch.equal(answers[0], answers[1].flip(-1))
    plan = plan_teaching(recipe, prepared, ("cdm", "axion"))
    assert plan is not None
    assert not plan.describe().gives_answers
    assert plan.teach((), 0, torch.device("cpu")).answer(batch, batch.images, 0).logits is None
    with pytest.raises(ConfigurationError, match="tells other classes apart"):
        plan_teaching(distil(teachers[:1], teacher__answers="stored"), prepared, ("cdm", "axion"))


def test_a_teacher_that_knows_the_test_images_is_named(
    store: str, teachers: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="darkarcs"):
        run = train(distil(teachers[:1], split__seed=3), store, tmp_path / "run")
    known = provenance(run)["teaching"]["teachers"][0]["trained_on"]
    assert known["test"] > 0
    assert f"{known['test']} of the test split" in caplog.text


def test_a_teacher_that_was_taught_on_the_test_images_is_named_before_the_training(
    store: str,
    teachers: tuple[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = data.open(store)
    judged = prepare(images, distil(teachers[:1], split__seed=3)).splits
    read = training_teachers.read_model_folder

    def tutored(path: Path) -> Any:
        folder = read(path)
        test = short_identities(images.metadata["identity"][judged["test"]])
        return replace(folder, seen={"unlabelled": np.sort(test), "validation": np.sort(test)})

    monkeypatch.setattr(training_teachers, "read_model_folder", tutored)
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_, **__: pytest.fail("began to train"))
    count = len(judged["test"])
    with caplog.at_level(logging.WARNING), pytest.raises(pytest.fail.Exception):
        train(distil(teachers[:1], split__seed=3), store, tmp_path / "run")
    for use in ("shown without labels", "selected on"):
        assert f"was {use} images by which the student is judged, {count} of" in caplog.text


def test_a_released_model_teaches_by_its_name() -> None:
    (teacher,) = read_teachers(
        TeacherSettings(models=("darkarcs-two-class-compact",)), ("sub", "no_sub")
    )
    assert teacher.folder.description.name == "darkarcs-two-class-compact"
    with pytest.raises(ModelError, match="darkarcs-two-class-compact"):
        read_teachers(TeacherSettings(models=("darkarcs-two-class-compac",)), ("sub", "no_sub"))


def test_a_teacher_of_residuals_does_not_teach_on_images(
    store: str, teachers: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = distil(teachers[:1])
    prepared = prepare(data.open(store), recipe)
    read = training_teachers.read_model_folder

    def of_residuals(path: Path) -> Any:
        folder = read(path)
        fit = {"smooth_fit": {"version": 2, "scene": "another"}}
        return replace(folder, description=folder.description.model_copy(update=fit))

    monkeypatch.setattr(training_teachers, "read_model_folder", of_residuals)
    with pytest.raises(ConfigurationError, match=r"looks at residuals .* is trained on images"):
        plan_teaching(recipe, prepared, ("no_sub", "sub"))


def test_answers_that_cannot_be_written_are_refused_at_once(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a_file").write_text("")
    settings = {
        "teacher__answers": "stored",
        "teacher__answers_file": str(tmp_path / "a_file" / "answers.safetensors"),
    }
    with pytest.raises(ConfigurationError, match=r"teacher\.answers_file: .* cannot be written to"):
        train(distil(teachers[:1], **settings), store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_rest_of_the_training_split_joins_without_labels(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    few = {"split__num_per_class": 8, "unlabelled": "rest"}
    recipe = distil(teachers[:1], **few, objective__labels={"class_weights": "balanced"})
    images = data.open(store)
    prepared = prepare(images, recipe)
    assert prepared.class_counts == (7, 7)
    assert (prepared.train_labels == UNLABELLED).sum() == 42 - 14
    whole = set(prepare(images, make_recipe()).train.metadata["identity"])
    assert set(prepared.train_identities) == whole
    assert len(prepared.train_identities) == len(whole)
    run = train(recipe, store, tmp_path / "run")
    assert run.images_seen == 2 * 40
    folder = read_model_folder(run.model)
    assert {name: len(seen) for name, seen in folder.seen.items()} == {
        "train": 14,
        "validation": 2,
        "unlabelled": 28,
    }
    description = folder.description
    assert description.split["num_images"] == {"train": 14, "validation": 2, "test": 12}
    assert description.data["class_counts"] == {"no_sub": 30, "sub": 30}
    told = description.data["unlabelled"]
    assert told["uri"] is None
    assert told["num_images"] == [28]
    assert told["content_hashes"] == [prepared.unlabelled[0].content_hash]


def test_images_from_elsewhere_join_without_what_is_known(
    store: str, teachers: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fresh = ring_lenses(count=20, seed=5).images
    known = ring_lenses().images[:10]
    further = LensImages.from_arrays(np.concatenate([fresh, fresh[:3], known]))
    data.save(further, tmp_path / "further.h5")
    recipe = distil(teachers[:1], teacher__answers="stored")
    with caplog.at_level(logging.WARNING, logger="darkarcs"):
        run = train(recipe, store, tmp_path / "run", unlabelled_uri=str(tmp_path / "further.h5"))
    assert "13 of 33 unlabelled images are left out" in caplog.text
    assert run.images_seen == 2 * 56  # 42 and 20 images in batches of 8
    told = read_model_folder(run.model).description.data["unlabelled"]
    assert (told["uri"], told["num_images"]) == ("further.h5", [20])
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["unlabelled_hash"] == further.content_hash
    with pytest.raises(DataError, match="every unlabelled image is among the labelled ones"):
        train(recipe, store, tmp_path / "again", unlabelled_uri=store)


def test_simulated_lenses_join_that_nobody_keeps(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    scene = f"scene:{small_scenes.write(tmp_path, num_pixels=16)}?seed=5&num=12"
    recipe = distil(teachers[:1], teacher__answers="stored")
    run = train(recipe, store, tmp_path / "run", unlabelled_uri=scene)
    told = read_model_folder(run.model).description.data["unlabelled"]
    assert told["num_images"] == [12]
    assert told["uri"].endswith("?seed=5&num=12")
    assert run.images_seen == 2 * 48  # 42 and 12 images in batches of 8


def test_what_does_not_fit_is_said_at_once(
    store: str, teachers: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(ConfigurationError, match=r"unlabelled: rest needs split\.num_per_class"):
        make_recipe(unlabelled="rest")
    few = {"split__num_per_class": 8, "unlabelled": "rest"}
    plain = {"kind": "classification"}
    for recipe, message in (
        (distil((), **{}), r"name model folders in teacher\.models"),
        (distil(teachers, teacher__guide=2), r"teacher\.guide = 2: there are 2 teachers"),
        (make_recipe(teacher__models=teachers, objective=plain), "asks none"),
        (make_recipe(**few), "cannot learn from unlabelled images"),
        (distil(teachers[:1], preprocessing={"crop_pixels": 12}), "sees 16 pixels .* student 12"),
        (distil(teachers[1:], augmentation=CONTINUOUS), r"set teacher\.view to clean"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            train(recipe, store, out)
    assert not out.exists()


def test_cost_of_an_image_counts_the_teachers(store: str, teachers: tuple[str, str]) -> None:
    images = data.open(store)
    for changes, cost in (
        ({}, 2 * 17),
        ({"teacher__answers": "stored"}, 17 + 8 * 17 / 2),
        ({"teacher__answers": "stored", "augmentation": {"dihedral": False}}, 17 + 17 / 2),
        ({"teacher__answers": "stored", "augmentation": {"rotation": True}}, 2 * 17),
    ):
        recipe = distil(teachers, **changes)
        assert token_forwards_per_image(recipe, prepare(images, recipe)) == cost


class Rings:
    """An endless stream: every image by its own seed."""

    class_names = ("no_sub", "sub")
    pixel_scale = None
    identity = "rings"
    manifest: ClassVar[dict[str, Any]] = {}

    def batch(self, start: int, count: int, device: Any) -> tuple[Any, Any]:
        made = ring_lenses(count, seed=100 + start)
        return made.images, made.labels

    def images(self, part: str, num: int) -> LensImages:
        return ring_lenses(num, seed={"train": 100, "validation": 7, "test": 8}[part])


def test_teachers_see_an_endless_stream(
    teachers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STREAMS._entries, "rings", lambda uri: Rings())
    stream = {"stream": {"images_per_epoch": 40, "num_validation": 20, "num_fit": 20}}
    run = train(distil(teachers, **stream), "rings:endless", tmp_path / "run")
    told = provenance(run)["teaching"]["teachers"]
    assert [teacher["trained_on"] for teacher in told] == [{"validation": 0}, {"validation": 0}]
    assert provenance(run)["token_forwards"] == 2 * 17 * run.images_seen


SINGLE = [path for path in sorted(RECIPES.glob("*.yaml")) if "arms" not in read_yaml(path)]


@pytest.mark.parametrize("path", SINGLE, ids=lambda path: path.stem)
def test_recipes_are_valid(path: Path) -> None:
    recipe = load_recipe(path)
    assert isinstance(
        recipe.objective, IterativeErasing if "erasing" in path.stem else Distillation
    )
    assert recipe.teacher.models
