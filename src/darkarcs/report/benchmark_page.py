"""One page about a suite, in one file that asks nothing of the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new
from darkarcs.report.benchmark_figures import line_figure, roc_figure, set_figure
from darkarcs.report.benchmark_table import macro_rows, notes, with_interval

_KEYS = {"suite", "models", "sets", "scores", "comparisons"}


def write_benchmark_page(result: Path, out: Path) -> Path:
    """Make a self-contained HTML page from what a suite measured.

    Parameters
    ----------
    result : pathlib.Path
        ``SUITE.json``.
    out : pathlib.Path
        The new file.

    Returns
    -------
    pathlib.Path
        ``out``.

    Raises
    ------
    DataError
        If the file is no result of a suite.
    OutputExistsError
        If the page exists.
    """
    try:
        content = json.loads(Path(result).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{result}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise DataError(f"{result}: is not valid JSON; it may be cut short") from None
    if not isinstance(content, dict) or not set(content) >= _KEYS:
        raise DataError(f"{result}: is no result of 'darkarcs benchmark'")
    write_new(Path(out), render_benchmark_page(content).encode("utf-8", "replace"))
    return Path(out)


def render_benchmark_page(content: Mapping[str, Any]) -> str:
    """Render the page.

    Parameters
    ----------
    content : mapping
        Of ``SUITE.json``.

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
    measured = [one for one in content["sets"] if not one["problem"]]
    lines = list(dict.fromkeys(one["line"] for one in measured if one["at"] is not None))
    with_curves = {score["set"] for score in content["scores"] if score["roc"]}
    return environment.get_template("benchmark.html.jinja").render(
        content=content,
        models=[row["name"] for row in content["models"]],
        rows=[_row(one, content) for one in content["sets"]],
        macro=macro_rows(content),
        notes=notes(content),
        comparisons=[_comparison(one, content) for one in content["comparisons"]],
        overview=set_figure("overview", content) if measured else "",
        lines=[
            (line, line_figure(f"line{index}", content, line)) for index, line in enumerate(lines)
        ]
        if content["axis"]
        else [],
        curves=[
            (one["title"], roc_figure(f"roc{index}", content, one["name"]))
            for index, one in enumerate(measured)
            if one["name"] in with_curves
        ],
    )


def _row(one: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    cells = []
    for model in content["models"]:
        found = [
            score
            for score in content["scores"]
            if (score["model"], score["set"]) == (model["name"], one["name"])
        ]
        cells.append(_cell(found[0] if found else None, one["problem"]))
    return {**one, "count": f"{one['num']:,}", "cells": cells}


def _cell(score: Mapping[str, Any] | None, problem: str) -> dict[str, Any]:
    if score is None or score["problem"]:
        text = problem if score is None else score["problem"]
        return {"auc": "", "range": "", "problem": text, "rates": [], "change": "", "notes": []}
    value, _, interval = with_interval(score["auc"], score["interval"]).partition(" ")
    change = score["to_reference"]
    return {
        "auc": value,
        "range": interval.strip("[]").replace(", ", " to "),
        "problem": "",
        "rates": [
            f"{rate['true_positive_rate']:.0%} found at {rate['false_positive_rate']:.0%} false"
            for rate in score["rates"]
        ],
        "change": "" if change is None else f"{change['difference']:+.3f}{_range(change)}",
        "notes": list(score["notes"]),
    }


def _range(test: Mapping[str, Any]) -> str:
    interval = test["interval"]
    return "" if interval is None else f" ({interval[0]:+.3f} to {interval[1]:+.3f})"


def _comparison(one: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, str]:
    titles = {row["name"]: row["title"] for row in content["sets"]}
    return {
        "set": titles[one["set"]],
        "first": one["first"],
        "second": one["second"],
        "difference": f"{one['difference']:+.4f}{_range(one)}",
        "p": f"{one['p_value']:.2g}",
        "holm": f"{one['p_holm']:.2g}",
    }
