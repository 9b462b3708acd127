"""``darkarcs bench arms``: what each arm of a sweep costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def arms(
    sweep: Annotated[Path, typer.Argument(help="A sweep's YAML file; its first arm is plain.")],
    only: Annotated[
        str | None, typer.Option(help="Arms beside the first, with commas; all by default.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of every arm.")
    ] = None,
    num_images: Annotated[int, typer.Option(min=8, help="Training images an epoch.")] = 1024,
    channels: Annotated[
        int, typer.Option(min=1, help="Of the images: residuals of fits have several.")
    ] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Turns.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="A new JSON file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Training throughput of a sweep's arms, in turns, beside the first."""
    import logging

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from darkarcs.benchmark import arm_speed
    from darkarcs.benchmark.sweep_settings import load_sweep
    from darkarcs.errors import require_new
    from darkarcs.evaluation.files import write_new
    from darkarcs.report.cost_cells import arm_cells

    if out is not None:  # before the work, which takes minutes
        require_new(out)
    logging.getLogger("darkarcs").setLevel(logging.WARNING)
    found = arm_speed(
        load_sweep(sweep),
        overrides=tuple(overrides or ()),
        arms=tuple(only.split(",")) if only else (),
        num_images=num_images,
        channels=channels,
        repeats=repeats,
        device=device,
        progress=lambda text: typer.echo(text, err=True),
    )
    text = json.dumps(found, indent=2)
    if out is not None:
        write_new(out, f"{text}\n".encode())
    if as_json:
        typer.echo(text)
        return
    header, rows = arm_cells(found)
    table = Table(*header, title=escape(f"{found['sweep']}, {found['model']}"))
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
