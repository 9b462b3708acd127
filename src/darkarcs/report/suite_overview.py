"""All models by all suites in one table, from the entries of the leaderboards alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkarcs.report.benchmark_table import NO_ENTRY
from darkarcs.report.markdown import markdown_table


def overview_table(content: Mapping[str, Any]) -> str:
    """Write how each model fares in each suite.

    Parameters
    ----------
    content : mapping
        ``entries``: what the files below ``results/leaderboard`` hold.

    Returns
    -------
    str
        Markdown: a row a model, a column a suite. The mean AUC is over the sets that the model can
        read and in which substructure acts; its half-width is the mean of theirs, as if all sets
        erred together, since many share their lenses.
    """
    entries = content["entries"]
    if not entries:
        return NO_ENTRY
    suites = sorted({entry["suite"] for entry in entries})
    newest = {
        suite: max(one["suite_version"] for one in entries if one["suite"] == suite)
        for suite in suites
    }
    cells = {
        (one["model"]["name"], one["suite"]): _cell(one)
        for one in entries
        if one["suite_version"] == newest[one["suite"]]
    }
    models = sorted({name for name, _ in cells})
    rows = [(f"`{name}`", *(cells.get((name, suite), "") for suite in suites)) for name in models]
    return markdown_table(("model", *(f"`{suite}`" for suite in suites)), rows)


def _cell(entry: Mapping[str, Any]) -> str:
    acting = [name for name, one in entry["sets"].items() if not one["is_null"]]
    read = [entry["scores"][name] for name in acting if entry["scores"][name]["auc"] is not None]
    if not read:
        return f"none of {len(acting)} sets"
    mean = sum(score["auc"] for score in read) / len(read)
    width = sum(score["interval"][1] - score["interval"][0] for score in read) / len(read) / 2
    sets = f"{len(acting)} sets" if len(read) == len(acting) else f"{len(read)} of {len(acting)}"
    return f"{mean:.3f} ± {width:.3f} ({sets})"
