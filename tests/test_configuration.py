"""Strict configurations and their messages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from darkarcs.configuration import Configuration, apply_overrides, read_yaml
from darkarcs.errors import ConfigurationError, OutputExistsError, require_new


class Inner(Configuration):
    """A nested part."""

    learning_rate: float = 1e-3
    kind: Literal["adam", "sgd"] = "adam"


class Outer(Configuration):
    """A whole."""

    seed: int
    training: Inner = Inner()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"seed": 0, "training": {"lerning_rate": 1}},
            r"^here: unknown key 'training.lerning_rate': did you mean 'learning_rate'\?$",
        ),
        ({}, "^here: missing key 'seed'$"),
        ({"seed": "x"}, r"^here: 'seed' = 'x': .*integer"),
        ({"seed": 0, "training": {"kind": "lion"}}, r"^here: 'training.kind' = 'lion'"),
    ],
)
def test_message_names_key_and_neighbour(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Outer.parse(values, "here")


def test_overrides_do_not_touch_the_original() -> None:
    original = {"training": {"learning_rate": 1.0}}
    changed = apply_overrides(original, ["training.learning_rate=1e-4", "a.b.c=[1, 2]"])
    assert changed == {"training": {"learning_rate": 1e-4}, "a": {"b": {"c": [1, 2]}}}
    assert original == {"training": {"learning_rate": 1.0}}


@pytest.mark.parametrize("override", ["seed", "=3", "seed.deeper=1"])
def test_bad_override(override: str) -> None:
    with pytest.raises(ConfigurationError, match="--set"):
        apply_overrides({"seed": 1}, [override])


def test_bad_yaml(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_yaml(file)
    file.write_text("a: [1", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        read_yaml(file)
    file.write_text("- 1", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="must hold a mapping"):
        read_yaml(file)


def test_require_new(tmp_path: Path) -> None:
    assert require_new(tmp_path / "fresh") == tmp_path / "fresh"
    assert require_new(tmp_path) == tmp_path
    (tmp_path / "kept.txt").write_text("precious", encoding="utf-8")
    for path in (tmp_path, tmp_path / "kept.txt"):
        with pytest.raises(OutputExistsError, match="not overwritten"):
            require_new(path)


def test_override_that_is_no_yaml() -> None:
    for override in ("name=[a", "model.pretrained=@x", "description=a: b: c"):
        with pytest.raises(ConfigurationError, match="is not valid YAML"):
            apply_overrides({}, [override])


def test_yaml_errors_say_what_and_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: a\nmodel: [vit\nseed: 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"is not valid YAML: .* in line \d, column \d"):
        read_yaml(file)


def test_output_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputExistsError, match="file exists already"):
        require_new(tmp_path / "file" / "run")
