"""Tables for people, made from result files and kept up to date inside Markdown pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from darkarcs.errors import DataError
from darkarcs.evaluation.results import Result, read_results

#: A table: the names of its columns, and its rows.
Cells = tuple[tuple[str, ...], list[tuple[str, ...]]]

_MARKER = re.compile(
    r"(?P<open><!-- table:(?P<name>[A-Za-z0-9._-]+) -->)(?P<body>.*?)(?P<close><!-- /table -->)",
    re.DOTALL,
)


def format_with_interval(value: float, interval: Sequence[float]) -> str:
    """Write a value and its interval with as many digits as the interval supports.

    Parameters
    ----------
    value : float
        The estimate.
    interval : sequence of float
        Lower and upper bound.

    Returns
    -------
    str
        One digit more than the first of the distance to the nearer bound, 2 to 6 decimals; a
        number below one is never rounded up to one.

    Examples
    --------
    >>> format_with_interval(0.99912, (0.9981, 0.99964))
    '0.99912 [0.99810, 0.99964]'
    >>> format_with_interval(0.9999996, (0.9954, 1.0))
    '0.999999 [0.995400, 1]'
    """
    gaps = [abs(value - bound) for bound in interval if bound != value]
    smallest = max(min(gaps, default=0.01), 1e-6) * (1 + 1e-9)  # 1 - 0.9999 is below 1e-4
    decimals = 2
    while decimals < 6 and smallest < 10 ** (1 - decimals):
        decimals += 1
    low, high = (round_down_from_one(bound, decimals) for bound in interval)
    return f"{round_down_from_one(value, decimals)} [{low}, {high}]"


def round_down_from_one(value: float, decimals: int) -> str:
    """Write a number with fixed decimals, but never as one unless it is one.

    Parameters
    ----------
    value : float
        At most one.
    decimals : int
        How many.

    Returns
    -------
    str
        ``"1"`` for one itself.

    Examples
    --------
    >>> round_down_from_one(0.99996, 4), round_down_from_one(1.0, 4), round_down_from_one(0.5, 2)
    ('0.9999', '1', '0.50')
    """
    if value == 1:
        return "1"
    text = f"{value:.{decimals}f}"
    return f"{1 - 10**-decimals:.{decimals}f}" if value < 1 and float(text) >= 1 else text


def format_count(value: int | None) -> str:
    """Write a count shortly.

    Parameters
    ----------
    value : int or None
        A number of things.

    Returns
    -------
    str
        With k or M; empty for None.

    Examples
    --------
    >>> [format_count(n) for n in (None, 950, 64_000, 5_540_000)]
    ['', '950', '64k', '5.54M']
    """
    if value is None:
        return ""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return str(value)


def format_duration(seconds: float | None) -> str:
    """Write a wall time shortly.

    Parameters
    ----------
    seconds : float or None
        How long.

    Returns
    -------
    str
        In seconds, minutes or hours; empty for None.

    Examples
    --------
    >>> [format_duration(s) for s in (None, 12.3, 400, 9000)]
    ['', '12 s', '6.7 min', '2.5 h']
    """
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def results_table(results: Sequence[Result]) -> str:
    """Draw results as a Markdown table, best AUC first.

    Parameters
    ----------
    results : sequence of Result
        Rows.

    Returns
    -------
    str
        The table and, below it, what selected these models and how intervals were made.

    Raises
    ------
    DataError
        If there are no results.
    """
    if not results:
        raise DataError("there are no results to draw a table of")
    header = (
        "model",
        "parameters",
        "AUC [95 %]",
        "accuracy [95 %]",
        "images",
        "seed",
        "images seen",
        "training time",
        "result",
    )
    ordered = sorted(results, key=lambda r: (-float(r.evaluation["auc"]["macro"]), r.name))
    lines = [_row(header), _row(["---"] * len(header)), *(_row(_cells(r)) for r in ordered)]
    notes = [f"- {text}" for text in dict.fromkeys(_note(r) for r in ordered)]
    return "\n".join([*lines, "", *notes])


def _cells(result: Result) -> list[str]:
    evaluation = result.evaluation
    area = evaluation["auc"]
    accuracy_interval = evaluation.get("accuracy_interval")
    accuracy = (
        f"{evaluation['accuracy']:.4f}"
        if accuracy_interval is None
        else format_with_interval(evaluation["accuracy"], accuracy_interval)
    )
    return [
        f"`{result.model}`",
        format_count(result.parameters),
        format_with_interval(area["macro"], area["interval"]),
        accuracy,
        f"{evaluation['n']} ({result.split})",
        "" if result.seed is None else str(result.seed),
        format_count(result.images_seen) + ("" if result.converged is not False else " *"),
        format_duration(result.wall_time_seconds),
        f"`{result.name}`",
    ]


def _note(result: Result) -> str:
    text = f"{result.data}, {result.split}. Selected by: {result.selection}."
    return text + (" * had not converged." if result.converged is False else "")


def _row(cells: Sequence[str]) -> str:
    clean = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(clean)} |"


def refresh_tables(markdown_path: Path, results_folder: Path) -> bool:
    """Rewrite the generated tables of a Markdown page.

    A table stands between ``<!-- table:NAME -->`` and ``<!-- /table -->`` and holds the results
    that name it in their ``tables``; ``NAME`` ``all`` holds all. What stands outside the
    markers is not touched, and doing it twice changes nothing.

    Parameters
    ----------
    markdown_path : pathlib.Path
        The page; it is rewritten in place.
    results_folder : pathlib.Path
        Result files.

    Returns
    -------
    bool
        Whether the page changed.

    Raises
    ------
    DataError
        If a marker is not closed, or no result belongs to a table.
    """
    markdown_path = Path(markdown_path)
    try:
        before = markdown_path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{markdown_path}: cannot be read ({error.strerror})") from None
    if len(re.findall(r"<!-- table:", before)) != len(_MARKER.findall(before)):
        raise DataError(f"{markdown_path}: a <!-- table:NAME --> has no <!-- /table -->")
    results = read_results(results_folder)

    def render(match: re.Match[str]) -> str:
        name = match["name"]
        chosen = [r for r in results if name == "all" or name in r.tables]
        if not chosen:
            raise DataError(f"{markdown_path}: no result in {results_folder} is of table '{name}'")
        return f"{match['open']}\n\n{results_table(chosen)}\n\n{match['close']}"

    after = _MARKER.sub(render, before)
    if after != before:
        markdown_path.write_text(after, encoding="utf-8")
    return after != before
