"""``darkarcs bench``: speed, as ratios within one run; what models bear and find."""

from __future__ import annotations

from typing import Annotated

import typer

from darkarcs.cli.bench_arms import arms
from darkarcs.cli.bench_detection import detection
from darkarcs.cli.bench_familiarity import familiarity
from darkarcs.cli.bench_fidelity import fidelity
from darkarcs.cli.bench_inference import inference
from darkarcs.cli.bench_models import evidence, robustness
from darkarcs.cli.bench_simulation import simulation

app = typer.Typer(help="Measure speed, robustness and evidence.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure speed, robustness and evidence."""


app.command()(robustness)
app.command()(evidence)
app.command()(inference)
app.command()(simulation)
app.command()(fidelity)
app.command()(familiarity)
app.command()(detection)
app.command()(arms)


@app.command()
def training(
    recipe: Annotated[str, typer.Argument(help="A recipe.")] = "demo",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of the recipe.")
    ] = None,
    num_images: Annotated[int, typer.Option(help="Training images an epoch.")] = 2048,
    repeats: Annotated[int, typer.Option(help="Measurements of each side.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Training throughput beside a bare loop over the same model on tensors in memory."""
    import json
    import logging

    from darkarcs.benchmark import training_speed
    from darkarcs.training import load_recipe

    logging.getLogger("darkarcs").setLevel(logging.WARNING)
    result = training_speed(
        load_recipe(recipe, overrides or ()), num_images=num_images, repeats=repeats, device=device
    )
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        typer.echo(
            f"{result['model']}: ours {result['ours']:.0f} images/s, bare loop "
            f"{result['bare']:.0f} images/s, ratio {result['ratio']:.3f}"
        )
