"""``darkarcs measure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from darkarcs.cli.evaluate import TEST_LOG


def measure(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder or a zoo name.")],
    data: Annotated[str, typer.Argument(help="Images: folder, archive, HDF5 or scene.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    split: Annotated[
        str, typer.Option(help="all, or train, validation, test of the training data.")
    ] = "all",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    figure: Annotated[bool, typer.Option(help="Draw figures where the truth is known.")] = True,
    results: Annotated[
        Path | None, typer.Option(help="Folder of result files; writes measurements/NAME.json.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the result file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "cpu",
) -> None:
    """Measure substructure: mass fractions with calibrated intervals, maps of where it sits."""
    import json
    import sys

    from darkarcs.inference.measure import measure as measure_images
    from darkarcs.zoo import resolve

    report = measure_images(
        resolve(model),
        data,
        out,
        split=split,
        skip_bad=skip_bad,
        results=results,
        name=name,
        test_log=TEST_LOG if TEST_LOG.is_file() else None,
        device=device,
        progress=sys.stderr.isatty(),
    )
    if figure:
        from darkarcs.report.measurement_figures import draw_measurements

        draw_measurements(out)
    for warning in report["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    print_measurements(report)


def print_measurements(report: dict[str, Any]) -> None:
    """Print how well numbers and maps were measured, for people."""
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    number_column = Column("number", overflow="fold")  # names differ in their ends
    table = Table(number_column, "lenses", "R2", "RMSE", "bias", "covered")
    for name, number in report["numbers"].items():
        if number is None:
            table.add_row(name, f"{report['n']:,}", "", "", "", "no truth to compare with")
            continue
        covered = ", ".join(
            f"{float(level):.0%}: {figures['coverage']:.1%}"
            for level, figures in number["intervals"].items()
        )
        unit = f" {number['unit']}".rstrip()
        table.add_row(
            name,
            f"{number['n']:,}",
            f"{number['r_squared']:.3f}",
            f"{number['rmse']:.3f}{unit}",
            f"{number['bias']:+.3f}{unit}",
            covered,
        )
    console.print(table)
    if report["map"] is not None:
        table = Table("map", "AUC", "average precision", "AUC within an image")
        for name in ("model", "radial"):
            figures = report["map"][name]
            if figures is not None:
                keys = ("auc", "average_precision", "auc_within")
                table.add_row(name, *(f"{figures[key]:.4f}" for key in keys))
        console.print(table)
