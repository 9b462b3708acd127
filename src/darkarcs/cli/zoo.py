"""``darkarcs zoo``: the released models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, describe and release models.", no_args_is_help=True)


@app.command("list")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with paths.")] = False,
) -> None:
    """List the released models that this installation can find."""
    from darkarcs.zoo import list_released

    models = list_released()
    if as_json:
        typer.echo(json.dumps([model.as_json() for model in models], indent=2))
        return
    if not models:
        typer.echo("No released model is here; DARKARCS_WEIGHTS may name folders that hold some.")
        return
    from rich.console import Console
    from rich.table import Column, Table

    # a name is to be typed, so it is never cut; --json has the paths
    table = Table(
        Column("name", no_wrap=True), "task", "classes", Column("parameters", no_wrap=True)
    )
    for model in models:
        classes = ", ".join(model.classes)
        table.add_row(model.name, model.task, classes, f"{model.parameters:,}")
    Console().print(table)


@app.command("card")
def card_command(
    model: Annotated[str, typer.Argument(help="Name of a released model, or its folder.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Write the card anew from these result files."),
    ] = None,
) -> None:
    """Print the card of a released model, or write it anew from result files."""
    from darkarcs.zoo import read_card, resolve, write_card

    folder = resolve(model)
    if results:
        write_card(folder, results)
    typer.echo(read_card(folder), nl=False)


@app.command("release")
def release_command(
    model_folder: Annotated[Path, typer.Argument(help="The model folder that training wrote.")],
    name: Annotated[str, typer.Option(help="darkarcs-<task>-<variant>, lower case.")],
    out: Annotated[Path, typer.Option(help="The new folder, named like the release.")],
    results: Annotated[
        list[Path] | None, typer.Option(help="Result files of the stored weights.")
    ] = None,
    half: Annotated[bool, typer.Option(help="Store 16 bits a number.")] = True,
) -> None:
    """Write the folder of a released model; evaluate it, then `zoo card --results` it."""
    from darkarcs.zoo import release

    released = release(model_folder, name, results or [], out, half=half)
    size = sum(file.stat().st_size for file in released.path.iterdir()) / 2**20
    typer.echo(f"{released.name}: {released.parameters:,} parameters, {size:.1f} MiB in {out}")
