"""``darkarcs trust``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def trust(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder or a zoo name.")],
    data: Annotated[
        str | None,
        typer.Option(help="What it was trained on; a scene without end need not be named."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new model folder; else a file in the model's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Fit what flags images unlike the training set, for a model that ships none."""
    import json
    import sys

    from darkarcs.inference import trust as fit_trust
    from darkarcs.zoo import resolve

    found = fit_trust(resolve(model), data, out, device=device, progress=sys.stderr.isatty())
    known = found.trust.familiarity
    record = {
        "folder": str(found.folder),
        "bytes": found.num_bytes,
        "num_training": found.trust.num_training,
        "num_validation": len(found.trust.labels),
        "threshold": known.threshold,
        "guaranteed_rate": known.guaranteed_rate,
        "scores": list(known.tails),
    }
    if as_json:
        typer.echo(json.dumps(record, indent=2))
        return
    typer.echo(
        f"{found.folder}: fitted on {found.trust.num_training} training images, calibrated on "
        f"{len(found.trust.labels)} of validation ({found.num_bytes / 1024:.0f} KiB)"
    )
    typer.echo(
        f"flags images with p <= {known.threshold:.4f}: of images like those of training at most "
        f"{100 * known.guaranteed_rate:.2g} % (with 95 % confidence)"
    )
