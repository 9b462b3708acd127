"""The documents say nothing that is not so: links, code and commands are tried."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib as mpl
import pytest
import typer
import yaml

from darkarcs.cli.main import app
from darkarcs.configuration import Configuration
from darkarcs.evaluation import Predictions, evaluate_predictions, intervals
from darkarcs.evaluation.tables import refresh_tables
from darkarcs.objectives import objectives
from darkarcs.report.measured_tables import refresh_measured
from darkarcs.training.recipe import Recipe, load_recipe

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted((REPOSITORY / "docs").rglob("*.md"))
ALL = [*sorted(REPOSITORY.glob("*.md")), *DOCUMENTS]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def _identify(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def _blocks(document: Path, language: str) -> list[str]:
    found = BLOCK.finditer(document.read_text(encoding="utf-8"))
    return [match["code"] for match in found if match["language"] == language]


def _commands(document: Path) -> Iterator[list[str]]:
    for block in _blocks(document, "shell"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "darkarcs":
                yield words[1:]


@pytest.mark.parametrize("document", ALL, ids=_identify)
def test_links_lead_somewhere(document: Path) -> None:
    text = BLOCK.sub("", document.read_text(encoding="utf-8"))
    targets = [match["target"].partition("#")[0] for match in LINK.finditer(text)]
    local = [target for target in targets if target and not target.startswith("https://")]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", ALL, ids=_identify)
def test_commands_exist(document: Path) -> None:
    root: Any = typer.main.get_command(app)
    for words in _commands(document):
        command, rest = root, list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"no verb: darkarcs {' '.join(words)}"
            command = command.commands[rest.pop(0)]
        known = {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        } | {"--help"}
        asked = {word.partition("=")[0] for word in rest if word.startswith("-")}
        assert asked <= known, f"darkarcs {' '.join(words)}: {sorted(asked - known)}"


with_code = [document for document in DOCUMENTS if _blocks(document, "python")]


@pytest.mark.parametrize("document", with_code, ids=_identify)
def test_code_runs(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in _blocks(document, "python"):
            few = code.replace("num=3000", "num=32")
            exec(compile(few, str(document), "exec"), names)


def test_index_lists_every_document() -> None:
    index = REPOSITORY / "docs" / "README.md"
    linked = {
        (index.parent / match["target"]).resolve()
        for match in LINK.finditer(index.read_text(encoding="utf-8"))
    }
    assert set(DOCUMENTS) - {index} <= linked


def _keys(configuration: type[Configuration], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in configuration.model_fields.items():
        if name == "objective":
            yield from _keys(objectives["classification"][0], "objective.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Configuration):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.default


def test_reference_of_recipes_holds_every_key_and_its_default() -> None:
    text = (REPOSITORY / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    by_hand = re.sub(r"<!-- keys:.*?<!-- /keys -->", "", text, flags=re.DOTALL)
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \|", by_hand, re.MULTILINE)
    told = {key: default.strip("`") for key, default in rows}
    keys = dict(_keys(Recipe))
    assert set(told) == set(keys)
    for key, default in keys.items():
        if isinstance(default, bool | int | float | str) and default != "":
            assert yaml.safe_load(told[key]) == default, key


def test_reference_of_recipes_holds_every_objective() -> None:
    text = (REPOSITORY / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- keys:(\w+) -->", text)) == set(objectives) - {"classification"}


def test_recipes_in_the_reference_are_valid(tmp_path: Path) -> None:
    blocks = _blocks(REPOSITORY / "docs" / "reference" / "recipes.md", "yaml")
    assert blocks
    for block in blocks:
        path = tmp_path / "recipe.yaml"
        path.write_text(block, encoding="utf-8")
        load_recipe(path)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    path = REPOSITORY / "docs" / "generate.py"
    specification = importlib.util.spec_from_file_location("generate", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_reference_of_verbs_is_up_to_date(generate: ModuleType) -> None:
    written = (REPOSITORY / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert written == generate.describe_command_line(), "run: make docs-tables"


def test_reference_of_objectives_is_up_to_date(generate: ModuleType, tmp_path: Path) -> None:
    copy = tmp_path / "recipes.md"
    shutil.copyfile(REPOSITORY / "docs" / "reference" / "recipes.md", copy)
    assert not generate.refresh_keys(copy), "run: make docs-tables"


@pytest.mark.parametrize("document", ALL, ids=_identify)
def test_tables_are_those_of_the_result_files(document: Path, tmp_path: Path) -> None:
    copy = tmp_path / document.name
    shutil.copyfile(document, copy)
    if "<!-- table:" in document.read_text(encoding="utf-8"):
        assert not refresh_tables(copy, REPOSITORY / "results"), "run: make docs-tables"
    assert not refresh_measured(copy, REPOSITORY / "results"), "run: make docs-tables"


def test_reference_names_every_key_of_an_evaluation() -> None:
    names = ["a", "b", "c", "d"]
    logits = [[1, 0], [0, 1], [0, 2], [0, 3]]
    predictions = Predictions(
        names, names, names, [0, 0, 1, 1], logits, ("no_sub", "sub"), "test", ""
    )
    page = REPOSITORY / "docs" / "reference" / "json-and-files.md"
    told = set(re.findall(r"`([a-z_.]+)`", page.read_text(encoding="utf-8")))
    evaluation = evaluate_predictions(predictions, num_bootstrap=10)
    keys = set(evaluation) - {"auc"} | {f"auc.{key}" for key in evaluation["auc"]}
    assert keys - told == set()


def test_explanation_names_every_method_of_intervals() -> None:
    source = inspect.getsource(intervals)
    methods = set(re.findall(r'"([a-z_]+_t|exact_pairs|distribution_free)"', source))
    assert len(methods) >= 3
    page = REPOSITORY / "docs" / "explanation" / "what-an-auc-interval-means.md"
    told = set(re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert told == methods
