"""Rewrite what is generated in README.md and docs/: tables of results, verbs, and scenes.

``python docs/generate.py`` does it; a test fails where it was forgotten.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer
from numpydoc.docscrape import ClassDoc

from darkarcs.cli.main import app
from darkarcs.configuration import Configuration
from darkarcs.evaluation.tables import refresh_tables
from darkarcs.objectives import objectives
from darkarcs.report.measured_tables import markdown_table, refresh_measured
from darkarcs.scenes import Scene, list_scenes, load_scene
from darkarcs.scenes.geometry import CosmologySettings, Faults
from darkarcs.scenes.noise import CountingNoise, InstrumentNoise, NoNoise, Storage
from darkarcs.scenes.physical_kinds import Granules, Subhalos
from darkarcs.scenes.priors import GalaxySource, LensPrior, SersicSource
from darkarcs.scenes.settings import Channel, SceneSettings
from darkarcs.scenes.single_subhalo import SingleSubhalo
from darkarcs.substructure import CondensateString, PublishedPointMasses

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND_LINE = REPOSITORY / "docs" / "reference" / "command-line.md"
SCENES = REPOSITORY / "docs" / "reference" / "scenes.md"

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

SCENES_INTRODUCTION = """\
# Scenes

Generated from the scenes' YAML files and from the code that reads them, by `make docs-tables`.
Pictures of all of them are in [the gallery](../explanation/gallery.md);
[How to simulate lenses](../how-to/simulate-lenses.md) and
[How to write a scene](../how-to/write-a-scene.md) say what to do with them.

## The scenes

"""

#: What a scene's YAML may say, by the group of keys.
GROUPS: tuple[tuple[str, type[Configuration]], ...] = (
    ("a scene", SceneSettings),
    ("`lens`", LensPrior),
    ("`source`, and each of `lens_light`, of `kind: sersic`", SersicSource),
    ("`source` of `kind: galaxies`", GalaxySource),
    ("each of `channels`", Channel),
    ("a class of `kind: subhalos`", Subhalos),
    ("a class of `kind: single_subhalo`", SingleSubhalo),
    ("a class of `kind: granules`", Granules),
    ("a class of `kind: published_point_masses`", PublishedPointMasses),
    ("a class of `kind: condensate_string`", CondensateString),
    ("`noise` of `kind: instrument`", InstrumentNoise),
    ("`noise` of `kind: counting`", CountingNoise),
    ("`noise` of `kind: none`", NoNoise),
    ("`storage`", Storage),
    ("`cosmology`", CosmologySettings),
    ("`faults`", Faults),
)
#: What a docstring says after the type and is worth repeating.
UNITS = (
    *(
        "arcsec",
        "radians",
        "solar masses",
        "log10 solar masses",
        "AB magnitudes",
        "counts",
        "log10 eV",
    ),
    *("Einstein radii", "km / s / Mpc", "arcsec per pixel"),
)
#: Set by the program.
INTERNAL = {"folder", "kind"}


def describe_scenes() -> str:
    """Write the reference of scenes.

    Returns
    -------
    str
        Markdown.
    """
    scenes = [load_scene(name) for name in list_scenes()]
    lines = ["| scene | pixels | classes | mass conserved | noise |", "| --- " * 5 + "|"]
    for scene in scenes:
        side = f'{scene.num_pixels} of {scene.instrument.pixel_scale:g}"'
        classes = ", ".join(f"{name} ({kind.kind})" for name, kind in scene.classes.items())
        conserved = "yes" if scene.mass_conserving else "no"
        cells = [f"[`{scene.name}`](#{scene.name})", side, classes, conserved, scene.noise.kind]
        lines.append(f"| {' | '.join(cells)} |")
    for scene in scenes:
        lines += ["", f"### {scene.name}", "", f"{scene.description}, version {scene.version}."]
        if scene.differences:
            lines += ["", *(f"- {one}" for one in scene.differences)]
        lines += ["", "| key | value |", "| --- | --- |"]
        lines += [f"| `{key}` | {value} |" for key, value in _given(scene)]
    lines += ["", "## The keys", "", _DISTRIBUTIONS]
    for title, group in GROUPS:
        lines += ["", f"### Of {title}", "", "| key | default | meaning |", "| --- | --- | --- |"]
        meanings = _meanings(group)
        for name, field in group.model_fields.items():
            if name not in INTERNAL:
                lines.append(f"| `{name}` | {_value_of(field)} | {meanings[name]} |")
    return SCENES_INTRODUCTION + "\n".join(lines) + "\n"


_DISTRIBUTIONS = """\
A *distribution* is a number, `{uniform: [a, b]}`, `{log_uniform: [a, b]}`,
`{normal: [mean, std]}`, which `between: [a, b]` cuts off, or `{choice: [a, b, c]}`. Angles are in
radians, from x towards y; positions and radii in arcsec; masses in solar masses."""


def _given(scene: Scene) -> Iterator[tuple[str, str]]:
    """What a scene says beyond the defaults, one line a key."""
    shown = scene.model_dump(
        mode="json",
        exclude={"name", "version", "description", "differences", "folder", "schema_version"},
        exclude_defaults=True,
    )
    shown["instrument"] = scene.instrument.description
    shown["classes"] = {
        name: {"kind": kind.kind, **shown["classes"].get(name, {})}
        for name, kind in scene.classes.items()
    }
    for group in ("source", "noise"):
        shown[group] = {"kind": getattr(scene, group).kind, **shown.get(group, {})}
    yield from _flat(shown, "")


def _flat(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        leaf = not isinstance(value, dict) or {"uniform", "log_uniform", "normal", "choice"} & {
            *value
        }
        if leaf:
            yield f"{prefix}{key}", f"`{_yaml(value)}`" if not isinstance(value, str) else value
        else:
            yield from _flat(value, f"{prefix}{key}.")


def _yaml(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        pairs = (f"{key}: {_yaml(one)}" for key, one in value.items() if one is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _value_of(field: Any) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if isinstance(default, Configuration):
        default = default.model_dump(mode="json", exclude_defaults=True)
    elif isinstance(default, tuple):
        default = []
    return "" if default in (None, "", {}, []) else f"`{_yaml(default)}`"


def _meanings(group: type[Configuration]) -> dict[str, str]:
    """The attributes of numpydoc docstrings, base classes included."""
    meanings: dict[str, str] = {}
    for one in reversed(group.__mro__):
        _, _, section = inspect.cleandoc(one.__doc__ or "").partition("Attributes\n----------\n")
        section = re.split(r"\n\n\w+\n-+\n", section)[0]
        for match in re.finditer(r"^(\S.*?) : (.*)\n((?:    .*\n?)+)", section, re.MULTILINE):
            names, kind, text = match.groups()
            unit = kind.rpartition(", ")[2]
            text = _one_line(text).replace("``", "`") + (f" ({unit})" if unit in UNITS else "")
            meanings |= dict.fromkeys((name.strip() for name in names.split(",")), text)
    return meanings


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


_KEYS = re.compile(r"(<!-- keys:([\w-]+) -->)\n.*?(<!-- /keys -->)", re.DOTALL)


def refresh_keys(page: Path) -> bool:
    """Rewrite the tables of an objective's keys: ``<!-- keys:KIND --> ... <!-- /keys -->``.

    Parameters
    ----------
    page : pathlib.Path
        Rewritten in place.

    Returns
    -------
    bool
        Whether it changed.
    """
    before = page.read_text(encoding="utf-8")

    def render(match: re.Match[str]) -> str:
        rows = list(_keys(objectives[match[2]][0], "objective."))
        table = markdown_table(("key", "kind, default", "meaning"), rows)
        return f"{match[1]}\n\n{table}\n\n{match[3]}"

    after = _KEYS.sub(render, before)
    if after != before:
        page.write_text(after, encoding="utf-8")
    return after != before


def _keys(configuration: type[Configuration], prefix: str) -> Iterator[tuple[str, str, str]]:
    told = {entry.name: entry for entry in ClassDoc(configuration)["Attributes"]}
    names = {name.strip(): entry for key, entry in told.items() for name in key.split(",")}
    for name, field in configuration.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        nested = [k for k in kinds if isinstance(k, type) and issubclass(k, Configuration)]
        if len(nested) == 1:
            yield from _keys(nested[0], f"{prefix}{name}.")
        else:
            entry = names[name]
            text = " ".join(" ".join(entry.desc).split()).replace("``", "`")
            yield f"`{prefix}{name}`", entry.type, text


def main() -> None:
    """Rewrite everything that is generated, and name the pages that changed."""
    changed = []
    if not COMMAND_LINE.is_file() or COMMAND_LINE.read_text("utf-8") != describe_command_line():
        COMMAND_LINE.write_text(describe_command_line(), encoding="utf-8")
        changed.append(COMMAND_LINE)
    if not SCENES.is_file() or SCENES.read_text("utf-8") != describe_scenes():
        SCENES.write_text(describe_scenes(), encoding="utf-8")
        changed.append(SCENES)
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]:
        has_table = "<!-- table:" in page.read_text(encoding="utf-8")
        if has_table and refresh_tables(page, REPOSITORY / "results"):
            changed.append(page)
        if refresh_measured(page, REPOSITORY / "results"):
            changed.append(page)
        if refresh_keys(page):
            changed.append(page)
    for page in changed:
        sys.stdout.write(f"{page.relative_to(REPOSITORY)} changed\n")


if __name__ == "__main__":
    main()
