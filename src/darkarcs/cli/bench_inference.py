"""``darkarcs bench inference``: what a prediction costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

SHORT = {"float32": "fp32", "bfloat16": "bf16"}


def inference(
    models: Annotated[
        list[str],
        typer.Argument(help="Model folders, run folders or zoo names; ratios are to the first."),
    ],
    batch_size: Annotated[int, typer.Option(help="Of the throughput and the memory.", min=1)] = 64,
    repeats: Annotated[int, typer.Option(help="Measurements of each, in turns.", min=1)] = 7,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; torch's own number.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="A new JSON file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Parameters, FLOPs, memory, latency and throughput of models, as ratios to the first."""
    import json
    import sys

    from darkarcs.benchmark import inference_speed
    from darkarcs.errors import OutputExistsError
    from darkarcs.evaluation.files import write_new
    from darkarcs.zoo import resolve

    if out is not None and out.exists():  # before the work, which takes long
        raise OutputExistsError(out)
    report = inference_speed(
        [resolve(model) for model in models],
        batch_size=batch_size,
        repeats=repeats,
        threads=threads,
        device=device,
        progress=sys.stderr.isatty(),
    )
    text = json.dumps(report, indent=2)
    if out is not None:
        write_new(out, f"{text}\n".encode())
    if as_json:
        typer.echo(text)
    else:
        _print_speed(report)


def _print_speed(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    first, again = (Column("model", overflow="fold", min_width=11) for _ in range(2))
    sizes = Table(first, "parameters", "MFLOPs", "pixels")
    speeds = Table(again, "in", "p50, ms", "p99, ms", "ratio", "images/s", "ratio", "MB")
    for name, row in report["models"].items():
        pixels = f"{row['image_size']} x {row['image_size']}"
        sizes.add_row(escape(name), f"{row['parameters']:,}", f"{row['flops'] / 1e6:.0f}", pixels)
        for precision in SHORT:
            if precision in row:
                speeds.add_row(escape(name), SHORT[precision], *_cells(row[precision]))
    console = Console()
    console.print(sizes)
    console.print(speeds)
    console.print(
        f"{report['threads']} threads; latency at batch 1; images/s and memory at batch "
        f"{report['batch_size']}; ratios to {escape(report['reference'])} at the same precision, "
        f"medians of {report['repeats']} repeats (--json has their spread)",
        highlight=False,
    )


def _cells(found: dict[str, Any]) -> list[str]:
    ratios = found["ratios"]
    return [
        f"{1e3 * found['latency_p50']:.2f}",
        f"{1e3 * found['latency_p99']:.2f}",
        f"{ratios['speed_at_batch_1']['median']:.2f}",
        f"{found['throughput']:.0f}",
        f"{ratios['throughput']['median']:.2f}",
        f"{found['peak_memory_bytes'] / 1e6:.1f}",
    ]
