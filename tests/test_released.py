"""Finding released models, and noticing when one is not what was released."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from darkarcs import released
from darkarcs.errors import ModelError
from darkarcs.released import file_sha256, list_released, read_released, resolve


def make_released(folder: Path, name: str, **changes: object) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "model.json").write_text("{}", encoding="utf-8")
    (path / "model.safetensors").write_bytes(b"weights of " + name.encode())
    values: dict[str, object] = {
        "name": name,
        "task": "two-class",
        "classes": ["no_sub", "sub"],
        "parameters": 12,
        "license": "Apache-2.0",
        "files": {file: file_sha256(path / file) for file in ("model.safetensors", "model.json")},
    } | changes
    card = f"---\n{yaml.safe_dump(values)}---\n\n# {name}\n\n---\n"
    (path / "card.md").write_text(card, encoding="utf-8")
    return path


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One folder of released models, and none elsewhere."""
    monkeypatch.setattr(released, "_PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(released, "_CHECKOUT", tmp_path / "checkout")
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("DARKARCS_WEIGHTS", str(folder))
    return folder


def test_lists_released_models_by_name(weights: Path) -> None:
    make_released(weights, "darkarcs-two-class-vit")
    make_released(weights, "darkarcs-two-class-compact")
    (weights / "not-a-model").mkdir()
    models = list_released()
    assert [model.name for model in models] == [
        "darkarcs-two-class-compact",
        "darkarcs-two-class-vit",
    ]
    record = models[0].as_json()
    assert {"name", "task", "classes", "parameters", "path"} <= set(record)
    assert record["classes"] == ["no_sub", "sub"]
    assert Path(record["path"]) == weights / "darkarcs-two-class-compact"


def test_the_first_folder_of_a_name_wins(weights: Path, tmp_path: Path) -> None:
    make_released(tmp_path / "packaged", "darkarcs-two-class-compact")
    make_released(tmp_path / "packaged", "darkarcs-two-class-other")
    own = make_released(weights, "darkarcs-two-class-compact")
    models = {model.name: model for model in list_released()}
    assert models["darkarcs-two-class-compact"].path == own
    assert not models["darkarcs-two-class-compact"].packaged
    assert models["darkarcs-two-class-other"].packaged


def test_weights_of_a_checkout_are_found(weights: Path, tmp_path: Path) -> None:
    make_released(tmp_path / "checkout" / "weights", "darkarcs-two-class-compact")
    assert list_released() == []  # a folder called weights alone makes no checkout
    (tmp_path / "checkout" / "src" / "darkarcs").mkdir(parents=True)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    assert [model.name for model in list_released()] == ["darkarcs-two-class-compact"]


def test_a_variable_that_names_no_folder_is_an_error(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKARCS_WEIGHTS", str(weights / "gone"))
    with pytest.raises(ModelError, match="DARKARCS_WEIGHTS: there is no folder"):
        list_released()


def test_resolves_name_and_folder(weights: Path, tmp_path: Path) -> None:
    path = make_released(weights, "darkarcs-two-class-compact")
    assert resolve("darkarcs-two-class-compact") == path
    assert resolve(path) == path
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "model" / "model.json").touch()
    assert resolve(str(run)) == run / "model"


def test_a_folder_wins_over_a_name(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_released(weights, "darkarcs-two-class-compact")
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "darkarcs-two-class-compact"
    own.mkdir()
    (own / "model.json").touch()
    assert resolve("darkarcs-two-class-compact").resolve() == own


def test_suggests_the_nearest_name(weights: Path) -> None:
    with pytest.raises(ModelError, match="none is released here"):
        resolve("darkarcs-two-class-compact")
    make_released(weights, "darkarcs-two-class-compact")
    with pytest.raises(ModelError, match="did you mean 'darkarcs-two-class-compact'"):
        resolve("darkarcs-two-clas-compact")


def test_a_folder_without_a_model_is_refused(weights: Path) -> None:
    with pytest.raises(ModelError, match=r"is no model folder \(it holds no model.json\)"):
        resolve(weights)


@pytest.mark.parametrize("file", ["model.safetensors", "model.json"])
def test_a_changed_file_is_refused(weights: Path, file: str) -> None:
    path = make_released(weights, "darkarcs-two-class-compact")
    (path / file).write_bytes(b"something else")
    with pytest.raises(ModelError, match=f"{file}: is not the file that was released"):
        resolve("darkarcs-two-class-compact")
    assert resolve(path) == path  # asked for by its folder it is the user's own
    (path / file).unlink()
    with pytest.raises(ModelError, match="is missing from the released model"):
        resolve("darkarcs-two-class-compact")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# no front matter\n", "no readable front matter"),
        ("---\n- a list\n---\n", "no readable front matter"),
        ("---\nname: [\n---\n", "no readable front matter"),
        ("prose\n---\nname: x\n---\n", "no readable front matter"),
        ("---\nname: x\n---\n", "lacks the key 'files'"),
    ],
)
def test_a_bad_card_is_named(weights: Path, text: str, message: str) -> None:
    path = make_released(weights, "darkarcs-two-class-compact")
    (path / "card.md").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message) as caught:
        list_released()
    assert str(path / "card.md") in str(caught.value)


def test_a_number_that_is_none_is_named(weights: Path) -> None:
    path = make_released(weights, "darkarcs-two-class-compact", parameters="many")
    with pytest.raises(ModelError, match="front matter is not valid"):
        read_released(path)
