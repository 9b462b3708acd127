"""Options of prediction by iterative erasing, shared by the verbs that predict."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Erase = Annotated[
    int | None,
    typer.Option(
        "--erase",
        metavar="K",
        min=0,
        help="Predict by iterative erasing: while in doubt, darken what is not attended to and "
        "predict again, at most K times.",
    ),
]
EraseConfidence = Annotated[
    float,
    typer.Option(help="With --erase: the probability from which on an image is done."),
]
EraseCombine = Annotated[
    str, typer.Option(help="With --erase: the last round counts, or the mean of all: last, mean.")
]
EraseBy = Annotated[
    str,
    typer.Option(
        help="With --erase: darken by the attention, or fill whole patches: darken, patches."
    ),
]


def erasing_settings(rounds: int | None, confidence: float, combine: str, kind: str) -> Any:
    """Bring the options to settings; None where ``--erase`` was not given."""
    from darkarcs.errors import ConfigurationError
    from darkarcs.explain import ErasingSettings

    if rounds is None:
        given = {"confidence": (confidence, 0.9), "combine": (combine, "last")}
        given["by"] = (kind, "darken")
        for name, (value, default) in given.items():
            if value != default:
                raise ConfigurationError(
                    f"--erase-{name} {value} says how to erase: say by --erase K how often"
                )
        return None
    values = {"rounds": rounds, "confidence": confidence, "combine": combine, "kind": kind}
    options = {name: f"--erase-{name}" for name in ("confidence", "combine")}
    options |= {"rounds": "--erase", "kind": "--erase-by"}
    return ErasingSettings.parse(values, "--erase", options)
