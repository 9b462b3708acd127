"""``darkarcs bench simulation``: images a second, beside lenstronomy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def simulation(
    pixels: Annotated[
        list[int] | None, typer.Option(help="Side of the images, 64 or 150; may be repeated.")
    ] = None,
    substructure: Annotated[
        list[str] | None,
        typer.Option(help="0, 25 point, 200 point, 25 tnfw, 200 tnfw; may be repeated."),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(help="Our threads and lenstronomy's processes, 1 and 2; may be repeated."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Three short measurements of each, not seven.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="A new JSON file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulated images a second, beside lenstronomy on the same processors in the same run."""
    import json
    import sys

    from darkarcs.benchmark import simulation_speed
    from darkarcs.benchmark.simulated_lenses import FIELDS, SUBSTRUCTURE
    from darkarcs.errors import OutputExistsError
    from darkarcs.evaluation.files import write_new

    if out is not None and out.exists():  # before the work, which takes long
        raise OutputExistsError(out)
    report = simulation_speed(
        pixels=pixels or tuple(FIELDS),
        substructure=substructure or SUBSTRUCTURE,
        threads=threads or (1, 2),
        seconds=0.2 if quick else 1.0,
        repeats=3 if quick else 7,
        progress=sys.stderr.isatty(),
    )
    text = json.dumps(report, indent=2)
    if out is not None:
        write_new(out, f"{text}\n".encode())
    if as_json:
        typer.echo(text)
    else:
        _print_rows(report)


def _print_rows(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        *("pixels", "subhalos", "threads", "ours", "lenstronomy", "ratio"),
        *("to one process", "of processor time"),
        title="images/s, medians; ratios of measurements side by side",
        box=None,
    )
    for column in (table.columns[0], *table.columns[2:]):
        column.justify = "right"
    for row in report["rows"]:
        one = row["ratio_to_one_process"]
        table.add_row(
            str(row["pixels"]),
            row["substructure"],
            str(row["threads"]),
            f"{row['ours']:.0f}",
            f"{row['lenstronomy']:.0f}",
            f"{row['ratio']:.1f}",
            "" if one is None else f"{one:.1f}",
            f"{row['processor_ratio']:.1f}",
        )
    Console().print(table)
