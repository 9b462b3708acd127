"""``darkarcs classify``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from darkarcs.cli.erasing_options import Erase, EraseBy, EraseCombine, EraseConfidence

#: Flagged images that the last line names at most; every image's own line says it too.
MAX_NAMED = 5


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
    check: Annotated[
        bool, typer.Option(help="Flag images that are unlike those the model was trained on.")
    ] = True,
    threshold: Annotated[
        float | None, typer.Option(help="Flag where the p-value is at most this.", min=0, max=1)
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(help="Print sets of classes that hold the truth this often.", min=0, max=1),
    ] = None,
    coverage_by_class: Annotated[
        bool, typer.Option("--coverage-by-class", help="... for each class by itself.")
    ] = False,
    set_score: Annotated[
        str, typer.Option(help="lac: the smallest sets; aps: larger ones where it is hard.")
    ] = "lac",
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
        check=check,
        threshold=threshold,
        sets=_set_settings(coverage, set_score, coverage_by_class),
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
        typer.echo(f"{record['path']}: {record['class']}  ({shown}){after}{_judged(record)}")
    _sum_up(records, check)


def _set_settings(coverage: float | None, score: str, by_class: bool) -> Any:
    from darkarcs.evaluation.conformal import SetSettings

    if coverage is None:
        return None
    return SetSettings.parse({"coverage": coverage, "score": score, "by_class": by_class}, "sets")


def _judged(record: dict[str, Any]) -> str:
    """Say in a line's last words what is to be thought of a prediction."""
    parts = []
    if "prediction_set" in record:
        parts.append(f"one of {{{', '.join(record['prediction_set'])}}}")
    if "p_in_distribution" in record:
        parts.append(f"p in distribution {record['p_in_distribution']:.4f}")
        if record["unfamiliar"]:
            parts.append("UNFAMILIAR")
    return "".join(f"  {part}" for part in parts)


def _sum_up(records: list[dict[str, Any]], check: bool) -> None:
    """Say in one line which images are unlike the training set, and why."""
    from collections import Counter

    from darkarcs.trust import REASONS

    if not check or not records:
        return
    if "unfamiliar" not in records[0]:
        typer.echo(
            "not checked whether the images are like those of training: the model ships no "
            "trust.safetensors ('darkarcs trust' makes it)",
            err=True,
        )
        return
    flagged = [record for record in records if record["unfamiliar"]]
    if not flagged:
        return
    reasons = Counter(record["because"] for record in flagged).most_common()
    because = "; ".join(f"{REASONS[name]} ({count})" for name, count in reasons)
    shown = ", ".join(record["path"] for record in flagged[:MAX_NAMED])
    more = f" and {len(flagged) - MAX_NAMED} more" if len(flagged) > MAX_NAMED else ""
    typer.echo(
        f"{len(flagged)} of {len(records)} images are unlike what this model was trained on: "
        f"{shown}{more}, because of: {because}"
    )
