"""``darkarcs bench familiarity``: which images a model flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def familiarity(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder or a zoo name.")],
    data: Annotated[str, typer.Option(help="Labelled images like those of training.")],
    split: Annotated[str, typer.Option(help="test of the training data, or all.")] = "test",
    shared: Annotated[
        Path | None, typer.Option(help="Folder with cosmos/ and real_lenses/.")
    ] = None,
    further: Annotated[
        list[str] | None,
        typer.Option(help='NAME=IMAGES: more images, such as "dust=scene:..."; no goal is set.'),
    ] = None,
    num: Annotated[int, typer.Option(help="Images a strange set.", min=1)] = 300,
    seed: Annotated[int, typer.Option(help="Of the strange images.")] = 0,
    out: Annotated[Path | None, typer.Option(help="A new folder.")] = None,
    results: Annotated[Path | None, typer.Option(help="Folder of result files.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Share of own and of strange images that a model flags, by set and by score."""
    import json
    import sys

    from darkarcs.benchmark import familiarity as measure
    from darkarcs.errors import ConfigurationError
    from darkarcs.zoo import resolve

    named = dict(text.partition("=")[::2] for text in further or [])
    if not all(named.values()) or len(named) < len(further or []):
        raise ConfigurationError("--further: give each set a name of its own, as NAME=IMAGES")
    report = measure(
        resolve(model),
        data,
        split=split,
        shared=shared,
        further=named,
        num=num,
        seed=seed,
        out=out,
        results=results,
        device=device,
        progress=sys.stderr.isatty(),
    )
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(report)


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("images", "n", "flagged", "95 % interval", "because of")
    for name, row in {"its own": report["own"], **report["sets"]}.items():
        low, high = row["interval"]
        reasons = sorted(row["reasons"], key=row["reasons"].get, reverse=True)
        table.add_row(
            f"{name} (no goal)" if name in report["goals"]["without_goal"] else name,
            str(row["n"]),
            f"{100 * row['flagged']:.1f} %",
            f"{100 * low:.1f} to {100 * high:.1f} %",
            ", ".join(reasons),
        )
    console = Console()
    console.print(table)
    for name, reason in report["left_out"].items():
        console.print(f"{name}: refused ({reason})", highlight=False, markup=False)
