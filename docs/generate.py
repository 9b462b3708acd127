"""Rewrite what is generated in README.md and docs/: tables of results, and the verbs' reference.

``python docs/generate.py`` does it; a test fails where it was forgotten.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from darkarcs.cli.main import app
from darkarcs.evaluation.tables import refresh_tables
from darkarcs.report.measured_tables import refresh_measured

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND_LINE = REPOSITORY / "docs" / "reference" / "command-line.md"

INTRODUCTION = """\
# Command line

Generated from the program itself by `make docs-tables`; `darkarcs VERB --help` says the same.

Results go to standard output, as a table or, with `--json`, as JSON; progress and warnings go to
standard error. What `--out` names must be new: nothing is ever overwritten. The exit status is 0
for success, 1 for an error of the data, the recipe or the model (one line says which file or key,
what is wrong and what to do), and 2 for wrong usage.

`MODEL` is a model folder, a run folder that holds one, or the name of a released model. `DATA` is
a folder, an archive, a file or a registered `scheme:rest`; see
[How to bring your images](../how-to/bring-your-images.md).
"""


def describe_command_line() -> str:
    """Write the reference of all verbs.

    Returns
    -------
    str
        Markdown.
    """
    root: Any = typer.main.get_command(app)
    sections = [_section(path, command) for path, command in _commands(root, ())]
    return "\n".join([INTRODUCTION, *sections])


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name in sorted(below):
        yield from _commands(below[name], (*path, name))


def _section(path: tuple[str, ...], command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join(["darkarcs", *path, *(_metavar(argument) for argument in arguments)])
    lines = [f"## `{usage}`", "", _one_line(command.help), ""]
    lines += ["| argument or option | default | meaning |", "| --- | --- | --- |"]
    for parameter in [*arguments, *options]:
        is_argument = parameter in arguments
        name = _metavar(parameter) if is_argument else "`, `".join(parameter.opts)
        if parameter.secondary_opts:
            name += "`, `" + "`, `".join(parameter.secondary_opts)
        lines.append(f"| `{name}` | {_default(parameter)} | {_one_line(parameter.help)} |")
    return "\n".join([*lines, ""])


def _metavar(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name).strip("[]").removesuffix("...").upper()
    return f"{name}..." if parameter.nargs == -1 else name


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default is None or parameter.default is False or parameter.default in ("", ()):
        return ""
    return f"`{getattr(parameter.default, 'value', parameter.default)}`"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def main() -> None:
    """Rewrite everything that is generated, and name the pages that changed."""
    changed = []
    if not COMMAND_LINE.is_file() or COMMAND_LINE.read_text("utf-8") != describe_command_line():
        COMMAND_LINE.write_text(describe_command_line(), encoding="utf-8")
        changed.append(COMMAND_LINE)
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]:
        has_table = "<!-- table:" in page.read_text(encoding="utf-8")
        if has_table and refresh_tables(page, REPOSITORY / "results"):
            changed.append(page)
        if refresh_measured(page, REPOSITORY / "results"):
            changed.append(page)
    for page in changed:
        sys.stdout.write(f"{page.relative_to(REPOSITORY)} changed\n")


if __name__ == "__main__":
    main()
