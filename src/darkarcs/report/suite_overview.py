"""Models by suites, and by the conditions of one, from the entries of the leaderboards alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkarcs.report.benchmark_table import NO_ENTRY, model_label, newest_entries
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
    labels = {one["model"]["name"]: model_label(one["model"]) for one in entries}
    models = sorted({name for name, _ in cells})
    rows = [(labels[name], *(cells.get((name, suite), "") for suite in suites)) for name in models]
    return markdown_table(("model", *(f"`{suite}`" for suite in suites)), rows)


def conditions_table(content: Mapping[str, Any]) -> str:
    """Write what each change of the data does to each model, of a suite such as ``shift``.

    Parameters
    ----------
    content : mapping
        ``entries`` of one suite.

    Returns
    -------
    str
        Markdown: a row a set that somebody can read, and for each model its AUC with half of its
        interval, and, in suites that have references, the paired difference to the set's own with
        its interval.
    """
    entries = sorted(content["entries"], key=lambda entry: str(entry["model"]["name"]))
    if not entries:
        return NO_ENTRY
    entries = newest_entries(entries)
    titles: dict[str, str] = {}
    for entry in entries:
        titles |= {name: one["title"] for name, one in entry["sets"].items() if name not in titles}
    compared = any(
        score["to_reference"] is not None for entry in entries for score in entry["scores"].values()
    )
    shown = 2 if compared else 1
    header = ["set"]
    for entry in entries:
        header += [model_label(entry["model"]), "change"][:shown]
    rows = []
    for name, title in titles.items():
        scores = [entry["scores"].get(name) for entry in entries]
        if any(score is not None and score["auc"] is not None for score in scores):
            rows.append((title, *(cell for score in scores for cell in _change(score)[:shown])))
    return markdown_table(header, rows)


def _change(score: Mapping[str, Any] | None) -> tuple[str, str]:
    if score is None or score["auc"] is None:
        return "cannot read", ""
    low, high = score["interval"]
    area, change = f"{score['auc']:.3f} ± {(high - low) / 2:.3f}", score["to_reference"]
    if change is None:
        return area, ""
    low, high = change["interval"]
    return area, f"{change['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _cell(entry: Mapping[str, Any]) -> str:
    acting = [name for name, one in entry["sets"].items() if not one["is_null"]]
    read = [entry["scores"][name] for name in acting if entry["scores"][name]["auc"] is not None]
    if not read:
        return f"none of {len(acting)} sets"
    mean = sum(score["auc"] for score in read) / len(read)
    width = sum(score["interval"][1] - score["interval"][0] for score in read) / len(read) / 2
    sets = f"{len(acting)} sets" if len(read) == len(acting) else f"{len(read)} of {len(acting)}"
    return f"{mean:.3f} ± {width:.3f} ({sets})"
