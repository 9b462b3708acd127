"""``darkarcs report``: one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    directory: Annotated[
        Path, typer.Argument(help="Folder that 'darkarcs evaluate' wrote, or one that holds some.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The new HTML file; report.html in the folder by default.")
    ] = None,
) -> None:
    """Make one self-contained HTML page from result files, and print its path."""
    from darkarcs.report import write_report

    typer.echo(str(write_report(directory, out)))
