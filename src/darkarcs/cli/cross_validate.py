"""``darkarcs cross-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def cross_validate(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a packaged recipe.")],
    data: Annotated[str, typer.Option(help="Labelled images: folder, archive or HDF5.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    folds: Annotated[int, typer.Option(help="Number of folds.")] = 5,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of the recipe.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on; finished folds are kept.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    results: Annotated[
        Path | None, typer.Option(help="Folder of result files, for tables and the test log.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the result file.")] = None,
    table: Annotated[list[str] | None, typer.Option(help="Generated table with a row.")] = None,
    notes: Annotated[str, typer.Option(help="Kept with the result.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a model a fold; evaluate all images by models that have not seen them."""
    import json
    import sys

    from darkarcs.benchmark import cross_validate as run
    from darkarcs.cli.evaluate import print_evaluation
    from darkarcs.inference import Filing
    from darkarcs.training import load_recipe

    report = run(
        load_recipe(recipe, overrides or ()),
        data,
        out,
        num_folds=folds,
        resume=resume,
        skip_bad=skip_bad,
        device=device,
        filing=Filing(results, name, tuple(table or ()), notes) if results else None,
        progress=sys.stderr.isatty(),
    )
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        print_evaluation(report)
