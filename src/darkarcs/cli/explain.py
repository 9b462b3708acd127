"""``darkarcs explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder or a zoo name.")],
    images: Annotated[list[str], typer.Argument(help="Images, folders or archives of images.")],
    out: Annotated[Path, typer.Option(help="A new folder for maps, pictures and the page.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds of the erasing sequence.")] = 4,
    erase_by: Annotated[
        str, typer.Option(help="How the unattended goes: darken, patches.")
    ] = "darken",
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Side of the evidence window; a patch by default."),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Between windows; half a window by default.")
    ] = None,
    measure: Annotated[
        str, typer.Option(help="Evidence is the drop of: log_odds, probability.")
    ] = "log_odds",
    class_name: Annotated[
        str | None, typer.Option(help="Explain this class, not the one that is called.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Draw what a model looked at: evidence, attention, gradients, erasing; PNG and HTML."""
    import json
    import sys

    from darkarcs.explain import ExplainSettings
    from darkarcs.inference import explain as explain_predictions
    from darkarcs.report import write_explanations
    from darkarcs.zoo import resolve

    erasing = {"rounds": rounds, "kind": erase_by, "confidence": 1.0}
    values = {"erasing": erasing, "window": window, "stride": stride, "measure": measure}
    options = {"erasing.rounds": "--rounds", "erasing.kind": "--erase-by"}
    options |= {name: f"--{name}" for name in ("window", "stride", "measure")}
    settings = ExplainSettings.parse({**values, "class_name": class_name}, "explain", options)
    records = explain_predictions(
        resolve(model),
        images,
        out,
        settings=settings,
        skip_bad=skip_bad,
        device=device,
        progress=sys.stderr.isatty(),
    )
    page = write_explanations(out)
    if records and records[0]["erasing"] is None:
        typer.echo("no attention in this model: evidence and gradient alone are drawn", err=True)
    if any(record.get("unfamiliar") for record in records):
        typer.echo("a map of an image unlike those of training explains little", err=True)
    if as_json:
        typer.echo(json.dumps(records, indent=2))
        return
    for record in records:
        shown = "  ".join(f"{k} {v:.4f}" for k, v in record["probabilities"].items())
        odd = "  UNFAMILIAR" if record.get("unfamiliar") else ""
        typer.echo(f"{record['path']}: {record['class']}  ({shown}){odd}")
    typer.echo(f"page: {page}")
