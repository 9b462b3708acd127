"""``darkarcs report``: one page about a run, or the figure of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    directory: Annotated[
        Path,
        typer.Argument(
            help="Folder that 'darkarcs evaluate' wrote, or one that holds some; or the JSON file "
            "of a sweep, for its figure."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The new HTML file, report.html in the folder by default; of a sweep the new "
            "picture, beside its file by default."
        ),
    ] = None,
    speeds: Annotated[
        Path | None,
        typer.Option(
            help="Of a sweep: draw AUC against parameters and images/s, from what 'darkarcs bench "
            "inference --out' wrote of one run of each arm."
        ),
    ] = None,
) -> None:
    """Make one self-contained HTML page, or a sweep's figure, from result files; print its path."""
    import json

    from darkarcs.errors import DataError
    from darkarcs.report import write_report
    from darkarcs.report.sweep_frontier import draw_frontier
    from darkarcs.report.sweeps import draw_sweep, read_sweep

    if not directory.is_file():
        if speeds is not None:
            raise DataError("--speeds goes with the JSON file of a sweep")
        typer.echo(str(write_report(directory, out)))
        return
    content = read_sweep(directory)
    if speeds is None:
        path = draw_sweep(content, out or directory.with_suffix(".png"))
    else:
        measured = json.loads(speeds.read_text(encoding="utf-8"))
        default = directory.with_name(f"{directory.stem}-frontier.png")
        path = draw_frontier(content, measured, out or default)
    typer.echo(str(path))
