"""``darkarcs classify``."""

from __future__ import annotations

from typing import Annotated

import typer

from darkarcs.cli.erasing_options import Erase, EraseBy, EraseCombine, EraseConfidence


def classify(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder or a zoo name.")],
    paths: Annotated[list[str], typer.Argument(help="Images, folders or archives of images.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    tta: Annotated[
        bool | None,
        typer.Option(help="Average over eight rotations and reflections, or do not."),
    ] = None,
    erase: Erase = None,
    erase_confidence: EraseConfidence = 0.9,
    erase_combine: EraseCombine = "last",
    erase_by: EraseBy = "darken",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
) -> None:
    """Classify images: one record a file, with a probability for each class."""
    import json
    import sys

    from darkarcs.cli.erasing_options import erasing_settings
    from darkarcs.inference import classify as classify_images
    from darkarcs.zoo import resolve

    records = classify_images(
        resolve(model),
        paths,
        skip_bad=skip_bad,
        test_time_augmentation=None if tta is None else "dihedral" if tta else "none",
        erasing=erasing_settings(erase, erase_confidence, erase_combine, erase_by),
        device=device,
        progress=sys.stderr.isatty(),
    )
    if as_json:
        typer.echo(json.dumps(records, indent=2))
        return
    for record in records:
        shown = "  ".join(f"{k} {v:.4f}" for k, v in record["probabilities"].items())
        rounds = record.get("erasing_rounds")
        after = "" if rounds is None else f"  after {rounds:g} rounds of erasing"
        typer.echo(f"{record['path']}: {record['class']}  ({shown}){after}")
