"""``darkarcs train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a packaged recipe.")],
    data: Annotated[
        str,
        typer.Option(
            help="Labelled images (of a recipe that uses no label, unlabelled ones too): folder, "
            "archive or HDF5."
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the run.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of the recipe.")
    ] = None,
    unlabelled: Annotated[
        str | None, typer.Option(help="Further images, to learn from without labels.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a run that was cut off.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
) -> None:
    """Train a model by a recipe; writes OUT/model, the model folder."""
    import sys

    from darkarcs.training import load_recipe
    from darkarcs.training import train as train_model

    run = train_model(
        load_recipe(recipe, overrides or ()),
        data,
        out,
        unlabelled_uri=unlabelled,
        resume=resume,
        skip_bad=skip_bad,
        device=device,
        progress=sys.stderr.isatty(),
    )
    score = f"AUC {run.best_auc:.5f}"
    if run.best_skill is not None:
        score = f"skill {run.best_skill:.4f}"
    elif run.best_loss is not None:
        score = f"loss {run.best_loss:.5f}"
    typer.echo(
        f"validation {score} at epoch {run.best_epoch + 1}, "
        f"{run.images_seen:,} images seen in {run.wall_time:.0f} s\n{run.model}"
    )
