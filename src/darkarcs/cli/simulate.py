"""``darkarcs simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    scene: Annotated[
        str | None,
        typer.Argument(help="A scene's name, or a YAML file; without it, all are listed."),
    ] = None,
    num: Annotated[int, typer.Option(min=1, help="How many images.")] = 1000,
    seed: Annotated[int, typer.Option(help="Image i depends on the seed and i alone.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The new HDF5 file.")] = None,
    part: Annotated[
        str, typer.Option(help="train, validation or test: no lens is in two of them.")
    ] = "train",
    start: Annotated[int, typer.Option(min=0, help="Index of the first image.")] = 0,
    classes: Annotated[str | None, typer.Option(help="Some of the classes, with commas.")] = None,
    paired: Annotated[bool, typer.Option("--paired", help="Each lens in all classes.")] = False,
    noiseless: Annotated[bool, typer.Option("--noiseless", help="Leave the noise away.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of the scene.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate lens images of a scene into an HDF5 file; an interrupted run goes on."""
    import json

    from darkarcs.devices import choose_device
    from darkarcs.errors import ConfigurationError
    from darkarcs.scenes import list_scenes, load_scene
    from darkarcs.simulation import SimulationRequest, simulate_to_store
    from darkarcs.simulation.progress import show_progress

    if scene is None:
        known = {name: load_scene(name) for name in list_scenes()}
        if as_json:
            typer.echo(json.dumps({name: one.description for name, one in known.items()}, indent=2))
        else:
            for name, one in known.items():
                typer.echo(f"{name:18} {one.description} ({', '.join(one.class_names)})")
        return
    if out is None:
        raise ConfigurationError("say where to write the images: --out FILE.h5")
    chosen = load_scene(scene, overrides or ())
    if classes is not None:
        chosen = chosen.with_classes(classes.split(","))
    options = {"seed": seed, "num": num, "start": start, "part": part}
    request = SimulationRequest.parse(
        {**options, "scene": chosen, "paired": paired, "noiseless": noiseless}, "simulate"
    )
    with show_progress(f"simulating {chosen.name}", num) as advance:
        simulate_to_store(request, out, device=choose_device(device), progress=advance)
    facts = {"path": str(out), "scene": chosen.identity, "num_images": num, "seed": seed}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        typer.echo(f"{out}: {num:,} images of {chosen.identity}, seed {seed}, {part}")
