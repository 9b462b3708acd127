"""From a trained model folder to a released one with its card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from darkarcs.cli.zoo import app
from darkarcs.data import LensImages, Preprocessing
from darkarcs.errors import ModelError, OutputExistsError
from darkarcs.evaluation import Predictions, evaluate_predictions
from darkarcs.evaluation.results import Result, write_result
from darkarcs.model_folder import (
    Architecture,
    ModelDescription,
    hash_model_folder,
    read_model_folder,
    short_identities,
    write_model_folder,
)
from darkarcs.models import create_model
from darkarcs.seeding import numpy_generator
from darkarcs.zoo import list_released, read_card, release, resolve, write_card
from darkarcs.zoo.cards import task_name
from darkarcs.zoo.weights_file import count_parameters, halve, read_weights, stored_type

NAME = "darkarcs-two-class-test"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as training writes it, untrained."""
    images = numpy_generator(0, "zoo").normal(size=(8, 1, 32, 32))
    lenses = LensImages.from_arrays(images, [0, 1] * 4, ("no_sub", "sub"), pixel_scale=0.05)
    fitted = Preprocessing(crop_pixels=24, size=16).fit(lenses)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model("compact_vit_100k", num_classes=2, in_channels=1, image_size=16)
    description = ModelDescription(
        name="test-run",
        task="no_sub against sub",
        architecture=Architecture(
            name="compact_vit_100k", num_classes=2, in_channels=1, image_size=16
        ),
        preprocessing=fitted,
        class_names=("no_sub", "sub"),
        data={"uri": "lenses.h5", "content_hash": lenses.content_hash, "num_images": 8},
        provenance={"recipe": {"name": "test-recipe"}, "seed": 3, "images_seen": 640},
    )
    seen = {"train": short_identities(lenses.metadata["identity"])}
    folder = tmp_path_factory.mktemp("run") / "model"
    return write_model_folder(folder, model, description, seen)


def make_result(folder: Path, model_hash: str, name: str = "two-class-test") -> Path:
    """Write a result file of made-up predictions: 39 of 40 images in order."""
    labels = [0] * 20 + [1] * 20
    scores = [*range(20), *range(19, 39)]
    names = [str(i) for i in range(40)]
    predictions = Predictions(
        names, names, names, labels, [[0, s - 19] for s in scores], ("no_sub", "sub"), "test",
        model_hash,
    )  # fmt: skip
    result = Result(
        name=name,
        model=NAME,
        evaluation=evaluate_predictions(predictions, num_bootstrap=20),
        data="forty numbers",
        data_hash="0" * 64,
        split="test",
        selection="nothing",
        command="darkarcs evaluate darkarcs-two-class-test forty --out evaluation",
        model_hash=model_hash,
    )
    return write_result(result, folder)


def test_releases_half_precision_that_classifies_alike(trained: Path, tmp_path: Path) -> None:
    released = release(trained, NAME, [], tmp_path / NAME)
    assert released.name == NAME
    assert released.task == "two-class"
    assert released.classes == ("no_sub", "sub")
    assert (tmp_path / NAME / "model.safetensors").stat().st_mode & 0o444 == 0o444
    weights = load_file(tmp_path / NAME / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {np.dtype(np.float16)}
    before, after = read_model_folder(trained), read_model_folder(tmp_path / NAME)
    assert after.description.name == NAME
    assert after.description.preprocessing == before.description.preprocessing
    assert np.array_equal(after.seen["train"], before.seen["train"])
    assert released.parameters == sum(p.numel() for p in before.model.parameters())
    images = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        difference = before.model(images).logits - after.model(images).logits
    assert 0 < difference.abs().max() < 0.02


def test_keeps_single_precision_on_request(trained: Path, tmp_path: Path) -> None:
    release(trained, NAME, [], tmp_path / NAME, half=False)
    assert stored_type(tmp_path / NAME / "model.safetensors") == "F32"
    before, after = (
        load_file(trained / "model.safetensors"),
        load_file(tmp_path / NAME / "model.safetensors"),
    )
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_released_again_is_the_same_file(trained: Path, tmp_path: Path) -> None:
    first = release(trained, NAME, [], tmp_path / "a" / NAME)
    second = release(trained, NAME, [], tmp_path / "b" / NAME)
    assert (first.sha256, first.model_sha256) == (second.sha256, second.model_sha256)


def test_card_tells_what_was_measured_on_the_stored_file(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / NAME
    release(trained, NAME, [], folder)
    assert "Not yet evaluated" in read_card(folder)
    result = make_result(tmp_path / "results", hash_model_folder(folder))
    write_card(folder, [result])
    card = read_card(folder)
    evaluation = json.loads(result.read_text(encoding="utf-8"))["evaluation"]
    assert evaluation["auc"]["macro"] == pytest.approx(1 - 0.5 / 400)
    for text in (
        "0.9988 [",
        "forty numbers",
        "darkarcs evaluate darkarcs-two-class-test forty",
        "32 x 32 pixels at 0.05 arcsec",
        "0.993",
        "test-recipe",
        "Apache-2.0",
    ):
        assert text in card
    monkeypatch.setenv("DARKARCS_WEIGHTS", str(tmp_path))
    assert resolve(NAME) == folder
    assert NAME in [model.name for model in list_released()]


def test_card_refuses_a_result_of_other_weights(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    release(trained, NAME, [], folder)
    card = read_card(folder)
    result = make_result(tmp_path / "results", hash_model_folder(trained))
    with pytest.raises(ModelError, match="was measured on another model"):
        write_card(folder, [result])
    assert read_card(folder) == card


def test_a_failed_release_leaves_nothing(trained: Path, tmp_path: Path) -> None:
    result = make_result(tmp_path / "results", "f" * 64)
    with pytest.raises(ModelError, match="another model"):
        release(trained, NAME, [result], tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("name", ["two-class", "darkarcs", "darkarcs-Two", "darkarcs-a/b"])
def test_refuses_a_bad_name(trained: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="reads darkarcs-<task>-<variant>"):
        release(trained, name, [], tmp_path / "out")


def test_overwrites_nothing(trained: Path, tmp_path: Path) -> None:
    release(trained, NAME, [], tmp_path / NAME)
    with pytest.raises(OutputExistsError):
        release(trained, NAME, [], tmp_path / NAME)


def test_refuses_what_a_repository_should_not_carry(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkarcs.zoo.releasing.MAX_BYTES", 1000)
    with pytest.raises(ModelError, match="MiB of a released file"):
        release(trained, NAME, [], tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("number", [1e6, np.inf, np.nan])
def test_half_precision_refuses_what_it_cannot_hold(number: float) -> None:
    with pytest.raises(ModelError, match=r"'blocks\.0' holds .* half precision cannot store"):
        halve({"blocks.0": np.array([1.0, number], np.float32)})


def test_counts_trained_numbers_only(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights = {
        "norm.weight": np.zeros((3, 4), np.float16),
        "norm.running_mean": np.zeros(7, np.float32),
        "norm.num_batches_tracked": np.array(3),
    }
    save_file(weights, path)
    assert count_parameters(path) == 12
    assert stored_type(path) == "F16+F32+I64"


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", b"\xff" * 64])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    for read in (count_parameters, stored_type, read_weights):
        with pytest.raises(ModelError, match=r"w\.safetensors: cannot be read as safetensors"):
            read(path)


def test_task_names() -> None:
    assert task_name(["no_sub", "sub"]) == "two-class"
    assert task_name([str(i) for i in range(9)]) == "9-class"


def test_command_line(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKARCS_WEIGHTS", str(tmp_path))
    runner = CliRunner()
    done = runner.invoke(
        app, ["release", str(trained), "--name", NAME, "--out", str(tmp_path / NAME)]
    )
    assert done.exit_code == 0, done.output
    listed = runner.invoke(app, ["list", "--json"])
    records = {record["name"]: record for record in json.loads(listed.stdout)}
    assert Path(records[NAME]["path"]) == tmp_path / NAME
    assert records[NAME]["classes"] == ["no_sub", "sub"]
    assert records[NAME]["parameters"] == count_parameters(trained / "model.safetensors")
    table = runner.invoke(app, ["list"])
    assert table.exit_code == 0
    assert "no_sub" in table.stdout
    result = make_result(tmp_path / "results", hash_model_folder(tmp_path / NAME))
    shown = runner.invoke(app, ["card", NAME, "--results", str(result)])
    assert shown.exit_code == 0, shown.output
    assert "forty numbers" in shown.stdout
    assert shown.stdout == runner.invoke(app, ["card", NAME]).stdout


def test_released_models_of_this_checkout_are_what_their_cards_say() -> None:
    repository = Path(__file__).resolve().parents[2]
    for card in sorted((repository / "weights").glob("*/card.md")):
        assert resolve(card.parent.name) == card.parent
        assert "Not yet evaluated" not in card.read_text(encoding="utf-8")
        assert (card.parent / "model.safetensors").stat().st_size <= 16 * 2**20
