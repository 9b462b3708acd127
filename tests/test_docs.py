"""The documents say nothing that is not so: links, code and commands are tried."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import typer

from darkarcs.cli.main import app

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
            exec(compile(code, str(document), "exec"), names)


def test_index_lists_every_document() -> None:
    index = REPOSITORY / "docs" / "README.md"
    linked = {
        (index.parent / match["target"]).resolve()
        for match in LINK.finditer(index.read_text(encoding="utf-8"))
    }
    assert set(DOCUMENTS) - {index} <= linked
