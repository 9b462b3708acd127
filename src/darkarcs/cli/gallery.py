"""``darkarcs gallery``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gallery(
    scenes: Annotated[
        list[str] | None, typer.Argument(help="Names or YAML files; without any, all scenes.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The new folder.")] = None,
    seed: Annotated[int, typer.Option(help="Of the lenses.")] = 1,
    lenses: Annotated[int, typer.Option(min=1, help="Lenses drawn of each scene.")] = 3,
    measured: Annotated[
        int, typer.Option(min=1, help="Lenses of which the median detectability is taken.")
    ] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw scenes, each lens in all classes and their differences, into a folder with a page."""
    import json

    from rich.console import Console

    from darkarcs.benchmark.gallery import make_gallery
    from darkarcs.errors import ConfigurationError

    if out is None:
        raise ConfigurationError("say where to draw: --out FOLDER")
    with Console(stderr=True).status("drawing") as status:
        page = make_gallery(
            out,
            scenes or (),
            seed=seed,
            num_lenses=lenses,
            num_measured=measured,
            progress=lambda name: status.update(f"drawing {name}"),
        )
    facts = json.loads((page.parent / "gallery.json").read_text(encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps({"path": str(page), "scenes": facts}, indent=2))
        return
    for name, one in facts.items():
        found = ", ".join(
            f"{label} d = {values['median_detectability']:.1f}"
            for label, values in one["classes"].items()
            if values["median_detectability"]
        )
        typer.echo(f"{name:22} {found or 'no noise'}")
    typer.echo(str(page))
