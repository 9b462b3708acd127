"""A page about where a model is weak and where it is strong, from ``weaknesses.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation.examples import EXAMPLES_FILE, Examples, read_examples
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.subpopulation_scores import RISING
from darkarcs.report.drawing import INK, draw, plain, series_colour
from darkarcs.report.pictures import image_picture
from darkarcs.report.weakness_cells import holds_all_classes

WEAKNESSES_FILE = "weaknesses.json"
PAGE_FILE = "weaknesses.html"

#: Rows of a ranked table, and attributes with a figure.
NUM_RANKED, NUM_FIGURES = 15, 12
#: Attributes of a mistake that its card names: those in which the set's worst groups differ.
NUM_NAMED = 4

_TITLES = {
    "log_loss": "log-loss",
    "accuracy": "accuracy",
    "ranking": "share ranked below",
    "calibration_gap": "too sure by",
}
_AXES = {
    "log_loss": "log-loss (nats)",
    "accuracy": "share called wrongly",
    "ranking": "share of other classes ranked above",
}
_NEEDED = (
    "schema",
    "n",
    "overall",
    "settings",
    "subpopulations",
    "worst",
    "best",
    "nominal",
    "interactions",
)


def write_weaknesses(directory: Path) -> Path:
    """Make a self-contained page of what ``darkarcs weaknesses`` found.

    Parameters
    ----------
    directory : pathlib.Path
        A folder with ``weaknesses.json`` and, for pictures, ``examples.npz``.

    Returns
    -------
    pathlib.Path
        The page, ``weaknesses.html`` in the same folder.

    Raises
    ------
    DataError
        If the folder holds no such result, or a file is damaged.
    OutputExistsError
        If the page exists.
    """
    directory = Path(directory)
    page = directory / PAGE_FILE
    if page.exists():
        raise OutputExistsError(page)
    found = read_weaknesses(directory / WEAKNESSES_FILE)
    pictures = directory / EXAMPLES_FILE
    examples = read_examples(pictures) if pictures.is_file() else None
    write_new(page, render_weaknesses(found, examples).encode("utf-8", "replace"))
    return page


def read_weaknesses(path: Path) -> dict[str, Any]:
    """Read a result of ``darkarcs weaknesses``.

    Parameters
    ----------
    path : pathlib.Path
        The JSON file.

    Returns
    -------
    dict
        As `darkarcs.evaluation.subpopulations.find_subpopulations` describes it.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError:
        raise DataError(f"{path}: is not there; make it with 'darkarcs weaknesses'") from None
    except ValueError:
        raise DataError(f"{path}: is not valid JSON; it may be cut short") from None
    missing = [key for key in _NEEDED if not isinstance(content, dict) or key not in content]
    if missing:
        raise DataError(f"{path}: is no result of 'darkarcs weaknesses': it has no '{missing[0]}'")
    return dict(content)


def render_weaknesses(found: Mapping[str, Any], examples: Examples | None) -> str:
    """Render the page.

    Parameters
    ----------
    found : mapping
        From `read_weaknesses`.
    examples : Examples, optional
        The mistakes' images, in the order of ``found["mistakes"]``.

    Returns
    -------
    str
        HTML; equal contents give equal text.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = found["subpopulations"]
    measure = found["settings"]["rank_by"]
    ranked = {
        kind: [rows[entry["index"]] for entry in found[kind] or found["nominal"][kind]]
        for kind in ("worst", "best")
    }
    sections = [
        {
            "kind": kind,
            "beyond_chance": bool(found[kind]),
            "rows": [_cells(row, measure) for row in ranked[kind][:NUM_RANKED]],
            "more": max(0, len(ranked[kind]) - NUM_RANKED),
            "figure": _ranked_figure(kind, ranked[kind][:NUM_RANKED], found),
            "pairs": [_cells(row, measure) for row in found["interactions"][kind]],
        }
        for kind in ("worst", "best")
    ]
    return environment.get_template("weaknesses.html.jinja").render(
        found=found,
        measure=_TITLES[measure],
        tiles=[
            ("images", f"{found['n']:,}", ""),
            *(
                (title, _value(found["overall"][key]), _range(found["overall"][key]))
                for key, title in (("auc", "AUC"), ("accuracy", "accuracy"), *_later_tiles())
            ),
        ],
        sections=sections,
        figures=_attribute_figures(found),
        everything=[_cells(row, measure) for row in rows],
        mistakes=_mistakes(found, examples),
    )


def _later_tiles() -> list[tuple[str, str]]:
    return [(key, _TITLES[key]) for key in ("log_loss", "calibration_gap")]


def _value(measured: Mapping[str, Any]) -> str:
    return f"{measured['value']:.4f}"


def _range(measured: Mapping[str, Any]) -> str:
    interval = measured["interval"]
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _cells(row: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """What a table shows of a sub-population."""
    measures = {"auc": row["auc"], **row["measures"]}
    beyond = row.get("beyond")
    return {
        "text": row["text"],
        "n": f"{row['n']:,}",
        "classes": ", ".join(f"{count:,} {name}" for name, count in row["class_counts"].items()),
        "measures": [
            {"value": _value(measures[key]), "range": _range(measures[key])}
            if key != "calibration_gap" or holds_all_classes(row)
            else {"value": "", "range": ""}
            for key in ("auc", "accuracy", "log_loss", "calibration_gap")
        ],
        "difference": f"{measures[measure]['difference']:+.4f}",
        "q": f"{measures[measure]['q_value']:.1g}",
        "beyond": None
        if beyond is None
        else f"{beyond['condition']} alone: {beyond['value']:.4f} (q {beyond['q_value']:.1g})",
    }


def _ranked_figure(kind: str, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    labels = [row["text"] for row in rows]
    return _bars(kind, rows, found, 7.4, labels=labels) if rows else ""


def _attribute_figures(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Bars of each attribute of which a bin or category differs from the rest."""
    measure, limit = found["settings"]["rank_by"], found["settings"]["false_discovery_rate"]
    of_attribute: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["subpopulations"]:
        of_attribute.setdefault(row["conditions"][0]["attribute"], []).append(row)

    def largest(name: str) -> float:
        return max(abs(float(r["measures"][measure]["difference"])) for r in of_attribute[name])

    telling = [
        name
        for name, rows in of_attribute.items()
        if any(row["measures"][measure]["q_value"] <= limit for row in rows)
    ]
    return [
        {
            "name": name,
            "svg": _bars(
                f"attribute{number}",
                of_attribute[name],
                found,
                5.2,
                labels=[_range_of(row["conditions"][0]) for row in of_attribute[name]],
            ),
        }
        for number, name in enumerate(sorted(telling, key=largest, reverse=True)[:NUM_FIGURES])
    ]


def _range_of(condition: Mapping[str, Any]) -> str:
    """Say a condition without its attribute, which the figure names."""
    if condition["value"] is not None:
        return str(condition["value"])
    low, high = (condition[key] for key in ("low", "high"))
    if low is None:
        return f"below {high:.4g}"
    return f"from {low:.4g}" if high is None else f"{low:.4g} to {high:.4g}"


def _bars(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    found: Mapping[str, Any],
    width: float,
    *,
    labels: Sequence[str],
) -> str:
    """Draw the measure of several sub-populations as bars with intervals, and that of all."""
    measure = found["settings"]["rank_by"]
    # what should be large is drawn as what it lacks: bars that begin at zero tell no lies
    turned = measure in RISING
    measured = [_turned(row["measures"][measure], turned) for row in rows]
    values = np.array([value for value, _, _ in measured])
    errors = np.array([[value - low, high - value] for value, low, high in measured]).T
    overall, _, _ = _turned(found["overall"][measure], turned)
    limit = found["settings"]["false_discovery_rate"]
    colours = [series_colour(int(row["measures"][measure]["q_value"] <= limit)) for row in rows]

    def paint(axes: Axes) -> None:
        places = np.arange(len(rows))[::-1]
        axes.barh(places, values, height=0.62, color=colours, alpha=0.75)
        bars: dict[str, Any] = {"fmt": "none", "ecolor": INK, "elinewidth": 1.2, "capsize": 2.5}
        axes.errorbar(values, places, xerr=np.maximum(errors, 0), **bars)
        axes.axvline(overall, color=INK, linestyle=(0, (4, 2)), linewidth=1.0)
        axes.set_yticks(places, [plain(label, 48) for label in labels])
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(_AXES[measure])

    return draw(name, paint, width, 0.9 + 0.33 * len(rows))


def _turned(measured: Mapping[str, Any], turned: bool) -> tuple[float, float, float]:
    """Value and interval, or what they lack to one."""
    value = float(measured["value"])
    low, high = measured["interval"] or (value, value)
    return (1 - value, 1 - high, 1 - low) if turned else (value, low, high)


def _mistakes(found: Mapping[str, Any], examples: Examples | None) -> list[dict[str, Any]]:
    """What the cards of mistakes show: a picture and the attributes that matter in this set."""
    conditions = [
        condition["attribute"]
        for entry in found["worst"]
        for condition in found["subpopulations"][entry["index"]]["conditions"]
    ]
    named = [name for name in dict.fromkeys(conditions) if name != "class"][:NUM_NAMED]
    pictures = {}
    if examples is not None:
        pictures = dict(zip(examples.identity.tolist(), examples.images, strict=True))
    return [
        {
            **{key: mistake[key] for key in ("name", "label", "predicted")},
            "probability": f"{mistake['probability']:.4f}",
            "picture": image_picture(pictures[mistake["identity"]])
            if mistake["identity"] in pictures
            else None,
            "attributes": [(name, _shown(mistake["attributes"].get(name))) for name in named],
        }
        for mistake in found.get("mistakes", [])
    ]


def _shown(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.3g}"
