"""``darkarcs compare``: which of two models is better on the same images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def compare(
    first: Annotated[Path, typer.Argument(help="A predictions.csv.")],
    second: Annotated[Path, typer.Argument(help="Another one, of the same images.")],
    num_bootstrap: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test whether two models have the same AUC (DeLong's paired test)."""
    from darkarcs.evaluation.compare import compare_predictions
    from darkarcs.evaluation.predictions import read_predictions

    result = compare_predictions(
        read_predictions(first), read_predictions(second), num_bootstrap=num_bootstrap, seed=seed
    )
    if as_json:
        typer.echo(json.dumps(result, indent=2, allow_nan=False))
    else:
        _print_table(result, first, second)


def _print_table(result: dict[str, Any], first: Path, second: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from darkarcs.evaluation.tables import format_with_interval

    console = Console()
    table = Table(title=f"AUC on {result['n']} shared images", title_justify="left")
    level = f"{100 * result['level']:g} %"
    for column in ("", "first", "second", f"difference, {level}", "p"):
        table.add_column(column, justify="left" if not column else "right")
    rows = dict(result["per_class"])
    if len(result["classes"]) > 2:
        rows["macro"] = result["macro"]
    for name, test in rows.items():
        interval = test["interval"]
        difference = f"{test['difference']:+.6f}"
        if interval is not None:
            difference += f" [{interval[0]:+.6f}, {interval[1]:+.6f}]"
        # Brackets would be taken for rich's markup.
        cells = (name, f"{test['first']:.6f}", f"{test['second']:.6f}", difference)
        table.add_row(*map(escape, cells), f"{test['p_value']:.3g}")
    console.print(table)
    for side, path in (("first", first), ("second", second)):
        measured = format_with_interval(result[side]["auc"], result[side]["interval"])
        typer.echo(f"{side}: {path}: AUC {measured}")
    for warning in result["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
