"""``darkarcs evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from darkarcs.cli.erasing_options import Erase, EraseBy, EraseCombine, EraseConfidence

#: Where a project keeps count of its looks at test splits: written to wherever it exists.
TEST_LOG = Path("results/test_log.csv")


def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder or a zoo name.")],
    data: Annotated[str, typer.Argument(help="Labelled images: folder, archive or HDF5.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    split: Annotated[
        str, typer.Option(help="all, or train, validation, test of the training data.")
    ] = "all",
    tta: Annotated[
        bool | None,
        typer.Option(help="Average over eight rotations and reflections, or do not."),
    ] = None,
    erase: Erase = None,
    erase_confidence: EraseConfidence = 0.9,
    erase_combine: EraseCombine = "last",
    erase_by: EraseBy = "darken",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Folder of result files, for tables and the test log.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the result file.")] = None,
    table: Annotated[list[str] | None, typer.Option(help="Generated table with a row.")] = None,
    notes: Annotated[str, typer.Option(help="Kept with the result.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Evaluate a model: predictions, ROC AUC with its interval, calibration."""
    import json
    import sys

    from darkarcs.cli.erasing_options import erasing_settings
    from darkarcs.inference import Filing
    from darkarcs.inference import evaluate as evaluate_model
    from darkarcs.zoo import resolve

    report = evaluate_model(
        resolve(model),
        data,
        out,
        split=split,
        test_time_augmentation=None if tta is None else "dihedral" if tta else "none",
        erasing=erasing_settings(erase, erase_confidence, erase_combine, erase_by),
        skip_bad=skip_bad,
        filing=Filing(results, name, tuple(table or ()), notes) if results else None,
        test_log=TEST_LOG if TEST_LOG.is_file() else None,
        device=device,
        progress=sys.stderr.isatty(),
    )
    for warning in report["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    print_evaluation(report)


def print_evaluation(report: dict[str, object]) -> None:
    """Print an evaluation as a table for people."""
    from typing import Any

    from rich.console import Console
    from rich.table import Table

    values: dict[str, Any] = report
    auc = values["auc"]
    low, high = auc["interval"]
    table = Table("class", "images", "AUC", f"{auc['interval_level']:.0%} interval")
    for name in values["classes"]:
        interval = auc["per_class_interval"][name]
        shown = f"{interval[0]:.5f} to {interval[1]:.5f}" if interval else ""
        area = auc["per_class"][name]
        table.add_row(
            name,
            f"{values['class_counts'][name]:,}",
            "" if area is None else f"{area:.5f}",
            shown,
        )
    table.add_section()
    table.add_row("macro", f"{values['n']:,}", f"{auc['macro']:.5f}", f"{low:.5f} to {high:.5f}")
    console = Console()
    console.print(table)
    console.print(
        f"accuracy {values['accuracy']:.4f}, expected calibration error "
        f"{values['calibration']['ece']:.4f}, n = {values['n']:,}"
    )
