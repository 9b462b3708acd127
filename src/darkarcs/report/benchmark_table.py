"""Tables of suites and of the leaderboard, as Markdown, from result files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from darkarcs.report.markdown import markdown_table

#: Beside numbers that rest on less than the whole suite.
SHRUNK = "Sets are smaller than the suite's: a trial, not for the leaderboard."
#: In place of a number.
CANNOT_READ = "cannot read"
#: Where a table will stand.
NO_ENTRY = "There is no entry yet."


def benchmark_tables(content: Mapping[str, Any]) -> str:
    """Write what a suite measured: AUCs, macro AUCs, notes, and what differs.

    Parameters
    ----------
    content : mapping
        Of ``SUITE.json``.

    Returns
    -------
    str
        Markdown.
    """
    models = [row["name"] for row in content["models"]]
    cells = {(score["set"], score["model"]): score for score in content["scores"]}
    rows = []
    for one in content["sets"]:
        shown = [score_cell(cells.get((one["name"], model))) for model in models]
        rows.append((f"{one['title']}", f"{one['num']:,}", *shown))
    parts = [
        f"{content['suite']}, version {content['suite_version']}: {content['question']}",
        "AUC of substructure against none, 95 % interval:",
        markdown_table(("set", "images", *models), rows),
    ]
    macro = macro_rows(content)
    if macro:
        parts += [
            "Macro AUC, where a model tells apart the classes of the set:",
            markdown_table(("set", *models), macro),
        ]
    parts.append("\n".join(f"- {line}" for line in notes(content)))
    return "\n\n".join(part for part in parts if part)


def macro_rows(content: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of macro AUCs.

    Parameters
    ----------
    content : mapping
        Of ``SUITE.json``.

    Returns
    -------
    list of tuple of str
        Title of the set and a cell a model; sets without any are left out.
    """
    cells = {(score["set"], score["model"]): score for score in content["scores"]}
    rows = []
    for one in content["sets"]:
        own = [cells.get((one["name"], row["name"])) for row in content["models"]]
        if any(score and score["macro"] is not None for score in own):
            rows.append(
                (
                    one["title"],
                    *(
                        with_interval(score["macro"], score["macro_interval"]) if score else ""
                        for score in own
                    ),
                )
            )
    return rows


def score_cell(score: Mapping[str, Any] | None) -> str:
    """Write an AUC with its interval, or that there is none; `notes` say why.

    Parameters
    ----------
    score : mapping or None
        A score of a result.

    Returns
    -------
    str
        One cell.

    Examples
    --------
    >>> score_cell({"problem": "", "auc": 0.75, "interval": [0.7, 0.8], "notes": ["x"]})
    '0.750 [0.700, 0.800]*'
    >>> score_cell(None)
    ''
    """
    if score is None:
        return ""
    if score["problem"]:
        return CANNOT_READ
    return with_interval(score["auc"], score["interval"]) + ("*" if score["notes"] else "")


def with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    """Write a number with its interval, with more digits near 1.

    Parameters
    ----------
    value : float or None
        An AUC.
    interval : sequence of 2 float, or None
        Of it.

    Returns
    -------
    str
        Empty without a number.

    Examples
    --------
    >>> with_interval(0.9987, (0.998, 0.9991)), with_interval(None, None)
    ('0.9987 [0.9980, 0.9991]', '')
    """
    if value is None or interval is None:
        return ""
    digits = 4 if value > 0.99 else 3
    return f"{value:.{digits}f} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def notes(content: Mapping[str, Any]) -> list[str]:
    """Say what a reader of the tables must know.

    Parameters
    ----------
    content : mapping
        Of ``SUITE.json``.

    Returns
    -------
    list of str
        One line each.
    """
    lines = [SHRUNK] if content["shrunk"] else []
    lines += list(content["warnings"])
    told: dict[tuple[str, str], list[str]] = {}
    for score in content["scores"]:
        for note in score["notes"]:
            told.setdefault((score["model"], note), []).append(score["set"])
    lines += [f"* {model}: {note} ({', '.join(sets)})" for (model, note), sets in told.items()]
    lines += _unread(content["scores"])
    for row in content["models"]:
        if row["converged"] is False:
            lines.append(f"{row['name']}: had not converged when its training budget ended")
    tests = content["comparisons"]
    if tests:
        different = [one for one in tests if one["p_holm"] < 0.05]
        lines.append(
            f"{len(different)} of {len(tests)} paired comparisons of two models differ at 5 % after"
            " Holm's correction for all of them; intervals in the table are not corrected"
        )
    return lines


def _unread(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say for each model how many sets it cannot read, and why the first of them."""
    problems: dict[str, list[str]] = {}
    for score in scores:
        if score["problem"]:
            problems.setdefault(score["model"], []).append(str(score["problem"]))
    lines = []
    for model, found in problems.items():
        reason = found[0].removeprefix(f"{CANNOT_READ}: ")
        sets = "one set" if len(found) == 1 else f"{len(found)} sets, the first because"
        lines.append(f"{model} cannot read {sets}: {reason}")
    return lines


def leaderboard_table(content: Mapping[str, Any]) -> str:
    """Write the leaderboard of a suite, best first.

    Parameters
    ----------
    content : mapping
        ``entries``: what the files of ``results/leaderboard/SUITE`` hold. Of several versions
        of the suite only the newest is shown.

    Returns
    -------
    str
        Markdown: a row a model, a column a set; sets without substructure's effect are not
        part of the mean.
    """
    if not content["entries"]:
        return NO_ENTRY
    entries = newest_entries(content["entries"])
    entries.sort(key=lambda entry: (-_mean(entry), entry["model"]["name"]))
    sets: dict[str, dict[str, Any]] = {}
    for entry in entries:
        sets |= {name: one for name, one in entry["sets"].items() if name not in sets}
    header = ["model", "trained on", "mean"] + [one["title"] for one in sets.values()]
    rows = []
    for entry in entries:
        model = entry["model"]
        cells = [_short(entry["scores"].get(name)) for name in sets]
        trained = model["trained_on"]
        trained = f"{trained[:12]}…" if len(trained) == 64 else f"`{trained}`" if trained else ""
        rows.append((model_label(model), trained, f"{_mean(entry):.3f}", *cells))
    return markdown_table(header, rows)


def newest_entries(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the entries of the newest version of a suite.

    Parameters
    ----------
    entries : sequence of dict
        At least one, of one suite.

    Returns
    -------
    list of dict
        In the same order.
    """
    newest = max(entry["suite_version"] for entry in entries)
    return [entry for entry in entries if entry["suite_version"] == newest]


def leaky_entries(content: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the entries of models that were measured on the published sets.

    Parameters
    ----------
    content : mapping
        ``entries`` of any suites.

    Returns
    -------
    dict
        The same with fewer entries.
    """
    entries = content["entries"]
    leaky = {entry["model"]["name"] for entry in entries if entry["suite"] == "deeplense"}
    return {**content, "entries": [one for one in entries if one["model"]["name"] in leaky]}


def shortcut_table(content: Mapping[str, Any]) -> str:
    """Set a model's published-style score beside what is left without shortcuts.

    Parameters
    ----------
    content : mapping
        ``entries`` of the suites ``deeplense`` and ``fair``, of models of the first.

    Returns
    -------
    str
        Markdown: a row a model of the first, with columns of the second where a model has both.
    """
    leaky, fair = (
        {entry["model"]["name"]: entry for entry in content["entries"] if entry["suite"] == suite}
        for suite in ("deeplense", "fair")
    )
    if not leaky:
        return NO_ENTRY
    columns = ("model-1", "model-1-smooth")
    lines = ("hst-0.01", "hst-0.1", "euclid-0.1", "jwst-0.1") if fair else ()
    header = ["model", "Model I", "Model I, null: substructure's mass smoothed"]
    header += [f"fair: {name}" for name in lines]
    rows = []
    for model in sorted(leaky, key=lambda name: -(leaky[name]["scores"]["model-1"]["auc"] or 0)):
        cells = [_short(leaky[model]["scores"].get(name)) for name in columns]
        scores = fair[model]["scores"] if model in fair else {}
        cells += [_short(scores.get(name)) for name in lines]
        rows.append((model_label(leaky[model]["model"]), *cells))
    return markdown_table(header, rows)


def model_label(model: Mapping[str, Any]) -> str:
    """Write a model's name, and whether it was still learning.

    Parameters
    ----------
    model : mapping
        ``name`` and ``converged`` of an entry's model.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> model_label({"name": "mine", "converged": False})
    '`mine` (not converged)'
    """
    mark = " (not converged)" if model.get("converged") is False else ""
    return f"`{model['name']}`{mark}"


def _mean(entry: Mapping[str, Any]) -> float:
    """Mean AUC over the sets in which substructure acts; what cannot be read counts as chance."""
    areas = [
        0.5 if score["auc"] is None else float(score["auc"])
        for name, score in entry["scores"].items()
        if not entry["sets"][name]["is_null"]
    ]
    return sum(areas) / len(areas) if areas else 0.5


def _short(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return ""
    if score["auc"] is None:
        return CANNOT_READ
    low, high = score["interval"]
    digits = 4 if score["auc"] > 0.99 else 3
    mark = "*" if score["notes"] else ""
    return f"{score['auc']:.{digits}f} ± {(high - low) / 2:.{digits}f}{mark}"
