"""``darkarcs models``."""

from __future__ import annotations

from typing import Annotated

import typer


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the architectures that a recipe can name."""
    import dataclasses
    import json

    from darkarcs.models import list_models

    specs = list_models()
    if as_json:
        rows = [
            {
                key: value
                for key, value in dataclasses.asdict(spec).items()
                if isinstance(value, (str, int, float, type(None)))
            }
            for spec in specs
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "family", "parameters", "description")
    for spec in specs:
        table.add_row(spec.name, spec.family, f"{spec.parameters:,}", spec.description)
    Console().print(table)
