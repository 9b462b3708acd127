"""``darkarcs sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sweep(
    file: Annotated[Path, typer.Argument(help="A YAML file of arms; see recipes/.")],
    data: Annotated[str, typer.Option(help="Labelled images: folder, archive or HDF5.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs; finished ones are kept.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of all arms.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of results: gets sweeps/NAME.json.")
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(help="An earlier result: its runs are not trained again.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare arms at equal cost: train each with its best learning rate, over seeds."""
    import json

    from darkarcs.benchmark.sweep import run_sweep
    from darkarcs.benchmark.sweep_rows import summarize
    from darkarcs.benchmark.sweep_settings import load_sweep

    rows = run_sweep(
        load_sweep(file),
        data,
        out,
        overrides=tuple(overrides or ()),
        results=results,
        measured=measured,
        device=device,
        progress=lambda text: typer.echo(text, err=True),
    )
    summary = summarize([row.model_dump(mode="json") for row in rows])
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
        return
    for line in summary:
        interval = line["difference_interval"]
        shown = "" if interval is None else f" [{interval[0]:+.4f}, {interval[1]:+.4f}]"
        shown += " over images" if line.get("interval_over") == "images" else ""
        pace = "" if line["throughput"] is None else f"  {line['throughput']:.0f} images/s"
        typer.echo(
            f"{line['num_per_class'] or 'all':>5} labels  {line['arm']:28} AUC {line['auc']:.4f}  "
            f"{line['difference']:+.4f}{shown}{pace}"
        )
