"""Tables of a page that are written from measured files: sweeps, speeds, audits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from darkarcs.errors import DataError
from darkarcs.evaluation.measurement_cells import map_cells, number_cells
from darkarcs.report.benchmark_table import leaderboard_table, leaky_entries, shortcut_table
from darkarcs.report.cost_cells import arm_cells, inference_cells, limit_model_cells
from darkarcs.report.detection_cells import detection_cells, limit_cells, sensitivity_cells
from darkarcs.report.evidence_cells import evidence_cells, evidence_model_cells
from darkarcs.report.familiarity_cells import familiarity_cells
from darkarcs.report.markdown import markdown_table as markdown_table
from darkarcs.report.prediction_set_cells import prediction_set_cells
from darkarcs.report.robustness_cells import robustness_cells
from darkarcs.report.suite_overview import conditions_table, overview_table
from darkarcs.report.weakness_cells import attribute_cells, weakness_cells

_MARKER = re.compile(
    r"(?P<open><!-- measured:(?P<kind>[\w-]+) (?P<file>[\w./-]+) -->)\n"
    r".*?(?P<close><!-- /measured -->)",
    re.DOTALL,
)


def refresh_measured(page: Path, results: Path) -> bool:
    """Rewrite the measured tables of a Markdown page.

    A table stands between ``<!-- measured:KIND FILE -->`` and ``<!-- /measured -->``; FILE is
    relative to the folder of results, or a folder of entries. Doing it twice changes nothing.

    Parameters
    ----------
    page : pathlib.Path
        Rewritten in place.
    results : pathlib.Path
        Folder of results.

    Returns
    -------
    bool
        Whether the page changed.

    Raises
    ------
    DataError
        If a marker is not closed, its kind is unknown or its file is not there.
    """
    before = page.read_text(encoding="utf-8")
    if len(re.findall(r"<!-- measured:", before)) != len(_MARKER.findall(before)):
        raise DataError(f"{page}: a <!-- measured:KIND FILE --> has no <!-- /measured -->")

    def render(match: re.Match[str]) -> str:
        file = results / match["file"]
        of_entries = match["kind"] in OF_FOLDERS
        if match["kind"] not in KINDS or not (of_entries or file.is_file()):
            raise DataError(f"{page}: no table '{match['kind']}' of {match['file']} can be made")
        content = _entries(file) if of_entries else json.loads(file.read_text(encoding="utf-8"))
        if match["kind"] == "shortcut":
            content = leaky_entries(content)
        try:
            table = KINDS[match["kind"]](content)
        except DataError as error:
            raise DataError(f"{page}: {match['file']}: {error}") from None
        return (
            f"{match['open']}\n\n{table}\n\n{_origin(content, file, results)}\n\n{match['close']}"
        )

    after = _MARKER.sub(render, before)
    if after != before:
        page.write_text(after, encoding="utf-8")
    return after != before


def sweep_table(content: dict[str, Any]) -> str:
    """Write the summary of a sweep.

    Parameters
    ----------
    content : dict
        Of ``results/sweeps/NAME.json``.

    Returns
    -------
    str
        Markdown.
    """
    header = ["labels a class", "arm", "AUC", "against the first arm", "seeds"]
    header += ["token-forwards", "steps", "images/s"]
    spent = _spent(content["rows"])
    with_erasing = any("erasing_gain" in line for line in content["summary"])
    with_rates = bool(content["configuration"].get("learning_rates"))
    if with_rates:
        header.append("learning rate")
    if with_erasing:
        header.append("gain by erasing while predicting")
    rows = []
    for line in content["summary"]:
        # near one the fourth digit is all nines
        digits = 5 if line["auc"] > 0.999 else 4
        spread = "" if line["spread"] is None else f" +- {line['spread']:.{digits}f}"
        unconverged = line["seeds"] - line["converged"]
        mark = f" ({unconverged} not converged)" if unconverged else ""
        cells = [
            str(line["num_per_class"] or "all"),
            line["arm"],
            f"{line['auc']:.{digits}f}{spread}{mark}",
            _difference(line["difference"], line["difference_interval"])
            + (" over images" if line.get("interval_over") == "images" else ""),
            str(line["seeds"]),
            *spent[line["arm"], line["num_per_class"]],
            "" if line["throughput"] is None else f"{line['throughput']:.0f}",
        ]
        if with_rates:
            cells.append(_rates(content["rows"], line["arm"], line["num_per_class"]))
        if with_erasing:
            cells.append(_difference(line["erasing_gain"], line["erasing_gain_interval"]))
        rows.append(cells)
    return markdown_table(header, rows)


def _spent(rows: list[dict[str, Any]]) -> dict[tuple[str, int | None], tuple[str, str]]:
    """Tell what a run of each arm took, the mean over its seeds."""
    runs: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault((row["arm"], row["num_per_class"]), []).append(row)
    return {
        arm: (
            f"{mean(row['token_forwards'] for row in of_arm) / 1e6:.2f}M",
            f"{mean(row['optimizer_steps'] for row in of_arm):,.0f}",
        )
        for arm, of_arm in runs.items()
    }


def _rates(rows: list[dict[str, Any]], arm: str, labels: int | None) -> str:
    """Name the learning rates that validation chose for an arm's seeds."""
    mine = (row for row in rows if (row["arm"], row["num_per_class"]) == (arm, labels))
    return ", ".join(f"{rate:g}" for rate in sorted({row["learning_rate"] for row in mine}))


def _difference(value: float, interval: list[float] | None) -> str:
    shown = "" if interval is None else f" [{interval[0]:+.4f}, {interval[1]:+.4f}]"
    return f"{value:+.4f}{shown}"


def simulation_speed_table(content: dict[str, Any]) -> str:
    """Write the rows of ``bench simulation``.

    Parameters
    ----------
    content : dict
        What the benchmark wrote.

    Returns
    -------
    str
        Markdown.
    """
    header = (
        *("pixels", "substructure", "threads", "ours, images/s", "lenstronomy, as many processes"),
        *("ratio", "to one process"),
    )
    rows = [
        (
            f"{row['pixels']} x {row['pixels']}",
            row["substructure"],
            str(row["threads"]),
            f"{row['ours']:,.0f}",
            f"{row['lenstronomy']:,.0f}",
            f"{row['ratio']:.1f}",
            f"{row['ratio_to_one_process'] or row['ratio']:.1f}",
        )
        for row in content["rows"]
    ]
    return markdown_table(header, rows)


def audit_table(content: dict[str, Any]) -> str:
    """Write what an audit found, and its null tests.

    Parameters
    ----------
    content : dict
        What ``data audit --json`` wrote.

    Returns
    -------
    str
        Markdown.
    """
    rows = []
    for part in content["sets"]:
        source = f"`{part['source']}`"
        for leak in part["leaks"]:
            low, high = leak["interval"]
            shown = f"{leak['auc']:.3f} [{low:.3f}, {high:.3f}]"
            rows.append((source, leak["family"], shown, leak["verdict"]))
        for result in (part.get("null_tests") or {}).get("results", []):
            primary = result["primary"]
            shown = f"{primary['auc']:.3f} +- {primary['standard_error']:.3f}"
            verdict = "passed" if primary["passed"] else "FAILED"
            rows.append((source, f"null: {result['null']}, {primary['name']}", shown, verdict))
    return markdown_table(("set", "what classifiers see", "AUC", "verdict"), rows)


def limit_table(content: dict[str, Any]) -> str:
    """Write the three figures of an information limit.

    Parameters
    ----------
    content : dict
        Of ``results/limits/NAME.json``.

    Returns
    -------
    str
        Markdown.
    """
    header = (
        *("class", "fraction", "noise", "median d", "median d_perp", "AUC"),
        *("oracle", "marginalized", "observer", "refit / d_perp"),
    )
    rows = []
    for row in content["rows"]:
        check = row["refit"]
        fraction = "" if row["fraction"] is None else f"{row['fraction']:g}"
        for kind in ("paired", "pooled"):
            cells = [row["class_name"], fraction, f"{row['noise_factor']:g}"]
            cells += [f"{row['d'][2]:.1f}", f"{row['d_perp'][2]:.1f}", kind]
            for name in ("oracle", "marginalized", "observer"):
                area = None if row[name] is None else row[name][kind]
                cells.append("" if area is None else _with_interval(area))
            if row["observer"] is not None:
                cells[-1] += f" ({row['num_observed']})"
            cells.append("" if check is None else f"{check['ratio'][2]:.2f} ({check['num']})")
            rows.append(cells)
    return markdown_table(header, rows)


def _with_interval(area: dict[str, Any]) -> str:
    low, high = area["interval"]
    return f"{area['value']:.3f} [{low:.3f}, {high:.3f}]"


def _entries(folder: Path) -> dict[str, Any]:
    """Read all entries of a folder, and below it; there may be none yet."""
    files = sorted(folder.rglob("*.json"))
    return {"entries": [json.loads(path.read_text(encoding="utf-8")) for path in files]}


def _origin(content: dict[str, Any], file: Path, results: Path) -> str:
    name = file.relative_to(results.parent).as_posix()
    # models that were put beside measured limits have commands of their own
    models = [one for one in content.get("models", ()) if isinstance(one, dict)]
    parts = (*content.get("earlier", ()), content, *models, *content.get("entries", ()))
    rows = (row for row in content.get("rows", ()) if isinstance(row, dict))
    observed = (row.get("observer_command") for row in rows)
    made = (*(one.get("command") for one in parts), *observed)
    commands = dict.fromkeys(str(command) for command in made if command)
    told = ", then ".join(f"`{command}`" for command in commands)
    return f"From `{name}`" + (f", written by {told}." if told else ".")


#: Writers of tables by kind.
KINDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "arm-speed": lambda content: markdown_table(*arm_cells(content)),
    "sweep": sweep_table,
    "simulation-speed": simulation_speed_table,
    "audit": audit_table,
    "detection": lambda content: markdown_table(*limit_cells(content)),
    "detection-rates": lambda content: markdown_table(*detection_cells(content)),
    "sensitivity": lambda content: markdown_table(*sensitivity_cells(content)),
    "evidence": lambda content: markdown_table(*evidence_cells(content)),
    "evidence-models": lambda content: markdown_table(*evidence_model_cells(content)),
    "familiarity": lambda content: markdown_table(*familiarity_cells(content)),
    "leaderboard": leaderboard_table,
    "limit": limit_table,
    "weaknesses-by": lambda content: markdown_table(*attribute_cells(content)),
    "weaknesses": lambda content: markdown_table(*weakness_cells(content)),
    "limit-models": lambda content: markdown_table(*limit_model_cells(content)),
    "conditions": conditions_table,
    "overview": overview_table,
    "measurement": lambda content: markdown_table(*number_cells(content)),
    "prediction-sets": lambda content: markdown_table(*prediction_set_cells(content)),
    "measurement-map": lambda content: markdown_table(*map_cells(content)),
    "inference": lambda content: markdown_table(*inference_cells(content)),
    "robustness": lambda content: markdown_table(*robustness_cells(content)),
    "shortcut": shortcut_table,
}
#: Kinds whose tables are made from a folder of files, as ``results/leaderboard/SUITE/MODEL.json``.
OF_FOLDERS = {"conditions", "evidence-models", "leaderboard", "overview", "robustness", "shortcut"}
