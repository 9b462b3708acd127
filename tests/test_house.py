"""The rules of the house that a parser can check: floors, names, sizes, and what is refused."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src"
PACKAGE = "darkarcs"

#: Rooms and single modules by floor. A room imports only from floors below its own; inside a
#: room its modules are free. The modules of floor 1 are small and may use each other.
FLOORS: dict[int, tuple[str, ...]] = {
    1: (
        *("errors", "labels", "seeding", "registry", "configuration", "devices", "units"),
        *("objectives", "kernels", "least_squares"),
    ),
    2: ("data", "models", "lensing", "light", "substructure", "instrument"),
    3: ("scenes", "evaluation", "explain", "model_folder", "released", "trust", "measurement"),
    4: ("simulation", "limits", "fitting"),
    5: ("training", "inference", "zoo"),
    6: ("report", "benchmark", "audit", "app"),
    7: ("cli",),
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}

#: What the floors would allow and the contracts forbid: evaluation starts from prediction
#: files, and the report from result files.
NEVERS = {
    "evaluation": {"models"},
    "report": {"models", "training", "inference", "simulation", "scenes"},
}

#: Optional extras, imported where they are used so that the rest works without them.
OPTIONAL = {
    "gradio",
    "lenstronomy",
    "numba",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "optuna",
    "ray",
    "tensorboard",
    "torch_xla",
    "transformers",
    "wandb",
}

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "tools", "util", "utils"}

FILES = sorted((SOURCE / PACKAGE).rglob("*.py"))
everywhere = pytest.mark.parametrize(
    "file", FILES, ids=[str(file.relative_to(SOURCE / PACKAGE)) for file in FILES]
)


def _module(file: Path) -> str:
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(file): file for file in FILES}


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def _imports(file: Path, within: ast.AST | None = None) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of each import, relative ones resolved."""
    package = _module(file) if file.name == "__init__.py" else _module(file).rpartition(".")[0]
    for node in ast.walk(_tree(file) if within is None else within):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _is_ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(PACKAGE + ".")


def _hidden_modules(file: Path) -> Iterator[str]:
    """Name what is imported by a call; a room may do so with modules of its own."""
    own = f"{PACKAGE}.{_room(_module(file))}."
    for name, call in _calls(file):
        if name.rpartition(".")[2] in {"import_module", "__import__"}:
            argument = call.args[0] if call.args else None
            target = argument.value if isinstance(argument, ast.Constant) else None
            is_text = isinstance(target, str)
            if not (is_text and (target.startswith(own) or target.split(".")[0] in OPTIONAL)):
                yield f"line {call.lineno}: {ast.unparse(call)}"


def _calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_every_room_stands_on_a_floor() -> None:
    rooms = {_room(module) for module in MODULES} - {"", "__main__"}
    assert rooms <= set(FLOOR_OF), f"add to FLOORS: {sorted(rooms - set(FLOOR_OF))}"


@everywhere
def test_imports_go_downward(file: Path) -> None:
    room = _room(_module(file))
    if room in ("", "__main__"):
        return
    wrong = []
    for line, name in _imports(file):
        target = _room(name)
        if not _is_ours(name) or target == room or target not in FLOOR_OF:
            continue
        below = FLOOR_OF[target] < FLOOR_OF[room] or FLOOR_OF[target] == FLOOR_OF[room] == 1
        if not below or target in NEVERS.get(room, ()):
            wrong.append(f"line {line}: {room} may not import {name}")
    assert not wrong


@everywhere
def test_nothing_imports_the_package_root(file: Path) -> None:
    wrong = [
        f"line {line}: {name}"
        for line, name in _imports(file)
        if name == PACKAGE
        or (_is_ours(name) and name.count(".") == 1 and name.split(".")[1] not in FLOOR_OF)
    ]
    assert not wrong, "for the version use importlib.metadata"


@everywhere
def test_no_import_hides_in_a_function(file: Path) -> None:
    if _room(_module(file)) == "cli":
        return
    functions = [
        node
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    hidden = {
        f"line {line}: {name}"
        for function in functions
        for line, name in _imports(file, function)
        if name.split(".")[0] not in OPTIONAL
    }
    assert not hidden | set(_hidden_modules(file))
    assert "TYPE_CHECKING" not in {
        node.id for node in ast.walk(_tree(file)) if isinstance(node, ast.Name)
    }


def test_no_circles() -> None:
    graph: dict[str, set[str]] = {}
    for module, file in MODULES.items():
        names = {name for _, name in _imports(file) if _is_ours(name)}
        # What a module imports is another module, or something inside one.
        targets = {name if name in MODULES else name.rpartition(".")[0] for name in names}
        graph[module] = (targets & set(MODULES)) - {module}
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in finished:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            finished.add(module)

    for module in sorted(graph):
        visit(module, ())


@everywhere
def test_files_and_functions_stay_short(file: Path) -> None:
    num_lines = len(file.read_text(encoding="utf-8").splitlines())
    assert num_lines <= MAX_FILE_LINES
    long = []
    for node in ast.walk(_tree(file)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        is_docstring = ast.get_docstring(node) is not None
        docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
        lines = (node.end_lineno or 0) - node.lineno + 1 - docstring
        if lines > MAX_FUNCTION_LINES:
            long.append(f"{node.name}: {lines} lines without its docstring")
    assert not long


@everywhere
def test_names_say_what_is_inside(file: Path) -> None:
    assert not VAGUE_NAMES & {file.stem, *file.relative_to(SOURCE).parts[:-1]}


@everywhere
def test_only_the_command_line_prints(file: Path) -> None:
    if _room(_module(file)) != "cli":
        assert "print" not in {name for name, _ in _calls(file)}


@everywhere
def test_nothing_unpickles(file: Path) -> None:
    wrong = []
    for name, call in _calls(file):
        keywords = {word.arg: word.value for word in call.keywords}
        allow = keywords.get("allow_pickle")
        if allow is not None and not (isinstance(allow, ast.Constant) and allow.value is False):
            wrong.append(f"line {call.lineno}: allow_pickle={ast.unparse(allow)}")
        weights_only = keywords.get("weights_only")
        is_safe = isinstance(weights_only, ast.Constant) and weights_only.value is True
        if name == "torch.load" and not is_safe:
            wrong.append(f"line {call.lineno}: torch.load without weights_only=True")
        if name in {"pickle.load", "pickle.loads", "joblib.load", "Unpickler", "pickle.Unpickler"}:
            wrong.append(f"line {call.lineno}: {name}")
    assert not wrong


def _files_of_the_repository() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    # Continuous integration may own the checkout as somebody else.
    safe = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    listed = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | safe, check=True, capture_output=True, text=True
    )
    paths = (REPOSITORY / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_holds_a_path_of_some_machine() -> None:
    folders = "|".join(["work", "root", r"home/\w+", r"Users/\w+", "tmp/bash_jobs"])
    pattern = re.compile(rf"(?<![\w.}})>])/(?:{folders})/\w")
    files = _files_of_the_repository()
    assert len(files) > 10
    wrong = []
    for path in files:
        content = path.read_bytes()
        if b"\0" in content[:8192] or path.suffix == ".safetensors":
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
            if found := pattern.search(line):
                wrong.append(f"{path.relative_to(REPOSITORY)}:{number}: {found.group()}")
    assert not wrong


def test_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


HELP_OF_EVERY_VERB = """
import contextlib, io, sys
import typer
from darkarcs.cli.main import app

def ask(command, *names):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        app(args=[*names, "--help"], standalone_mode=False)
    assert "Usage" in text.getvalue(), names
    for name, below in getattr(command, "commands", {}).items():
        ask(below, *names, name)

ask(typer.main.get_command(app))
heavy = {"torch", "scipy", "matplotlib", "sklearn", "astropy", "pytorch_lightning", "transformers"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_help_imports_nothing_heavy() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", HELP_OF_EVERY_VERB], check=False, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == []
