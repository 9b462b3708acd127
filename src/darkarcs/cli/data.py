"""``darkarcs data``: look into, convert and split sets of lens images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from darkarcs.cli.audit import audit_command

app = typer.Typer(help="Inspect, convert and split lens images.", no_args_is_help=True)
app.command("audit")(audit_command)

_Path = Annotated[
    str, typer.Argument(metavar="PATH", help="Folder, archive, file or scheme:rest to open.")
]
_SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Go on without files that cannot be used.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("inspect")
def inspect_command(
    path: _Path,
    as_json: _Json = False,
    out: Annotated[
        Path | None, typer.Option(help="New folder for panel.png and inspection.json.")
    ] = None,
    per_class: Annotated[int, typer.Option(min=1, help="Pictures a row of the panel.")] = 8,
) -> None:
    """Tell counts, shapes, ranges, duplicates and bad files; with --out draw each class."""
    from darkarcs import data
    from darkarcs.data.inspection import describe, draw_panel
    from darkarcs.errors import require_new

    if out is not None:
        require_new(out)
    lens_images = data.open(path, skip_bad=True)
    facts = describe(lens_images)
    if out is not None:
        draw_panel(lens_images, out / "panel.png", per_class=per_class)
        text = json.dumps(facts, indent=2) + "\n"
        (out / "inspection.json").write_text(text, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    _print_facts(facts)
    if out is not None:
        typer.echo(f"panel: {out / 'panel.png'}")


def _print_facts(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    channels, height, width = facts["shape"]
    dtypes = ", ".join(facts["file_dtypes"]) or "float32"
    formats = ", ".join(facts["file_formats"]) or "store"
    scale = f"{facts['pixel_scale']:g} arcsec" if facts["pixel_scale"] else "unknown"
    plural = "channel" if channels == 1 else "channels"
    console.print(
        f"{facts['source']} ({facts['container']})\n"
        f"{facts['num_images']:,} images of {width} x {height} pixels, {channels} {plural}, "
        f"{dtypes} in {formats}; pixel scale {scale}",
        markup=False,
    )
    table = Table("class", "images", "min", "1 %", "median", "99 %", "max", "mean", "std", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    keys = ("min", "p1", "p50", "p99", "max", "mean", "std")
    for name, values in facts["classes"].items():
        numbers = [f"{values[key]:.4g}" for key in keys]
        table.add_row(name, f"{values['num_images']:,}", *numbers)
    Console().print(table)
    duplicates = facts["duplicates"]
    within, across = duplicates["num_within_classes"], duplicates["num_across_classes"]
    console.print(f"exact duplicates: {within} sets in one class, {across} across classes")
    for group in duplicates["groups"]:
        if len(group["classes"]) > 1:
            names = ", ".join(group["names"])
            console.print(f"  labels contradict each other: {names}", markup=False)
    console.print(f"skipped: {facts['num_skipped']} bad; ignored: {facts['ignored']} other files")
    for entry in facts["skipped"][:20]:
        console.print(f"  {entry['name']}: {entry['reason']}", markup=False)
    if facts["num_skipped"] > 20:
        console.print(f"  and {facts['num_skipped'] - 20} more (--json lists all)")
    console.print(f"content hash: {facts['content_hash']}")


@app.command("convert")
def convert_command(
    path: _Path,
    out: Annotated[Path, typer.Option(help="The new HDF5 file.")],
    skip_bad: _SkipBad = False,
    compress: Annotated[bool, typer.Option("--compress", help="gzip: smaller, slower.")] = False,
    as_json: _Json = False,
) -> None:
    """Write a set as one HDF5 store, exact and quick to open."""
    from darkarcs import data
    from darkarcs.errors import OutputExistsError

    if out.exists():  # before the reading, which may take long
        raise OutputExistsError(out)
    lens_images = data.open(path, skip_bad=skip_bad)
    data.save(lens_images, out, compression="gzip" if compress else None)
    facts = {
        "path": str(out),
        "num_images": len(lens_images),
        "class_counts": lens_images.class_counts(),
        "num_skipped": len(lens_images.manifest.get("skipped", [])),
        "content_hash": lens_images.content_hash,
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        skipped = f" ({facts['num_skipped']} bad files skipped)" if facts["num_skipped"] else ""
        typer.echo(f"{out}: {len(lens_images):,} images{skipped}")


@app.command("join")
def join_command(
    paths: Annotated[list[str], typer.Argument(help="Two or more sets, each as for inspect.")],
    out: Annotated[Path, typer.Option(help="The new HDF5 file.")],
    as_json: _Json = False,
) -> None:
    """Write several sets as one HDF5 store; no image may be in two of them."""
    import numpy as np

    from darkarcs import data
    from darkarcs.errors import DataError, OutputExistsError

    if out.exists():  # before the reading, which may take long
        raise OutputExistsError(out)
    parts = [data.open(path) for path in paths]
    manifests = [part.manifest for part in parts]
    # of one simulation the whole is not
    shared = {key: value for key, value in manifests[0].items() if key != "request"}
    whole = data.join(parts, {**shared, "source": str(out), "joined": manifests})
    names, counts = np.unique(whole.metadata["identity"], return_counts=True)
    if len(names) < len(whole):
        raise DataError(
            f"{len(whole) - len(names)} images are there twice, {names[counts > 1][0]} among them: "
            "leave one of the sets away"
        )
    data.save(whole, out)
    facts = {
        "path": str(out),
        "num_images": len(whole),
        "class_counts": whole.class_counts(),
        "content_hash": whole.content_hash,
    }
    typer.echo(json.dumps(facts, indent=2) if as_json else f"{out}: {len(whole):,} images")


@app.command("split")
def split_command(
    path: _Path,
    out: Annotated[Path, typer.Option(help="New folder for train.h5, validation.h5 and test.h5.")],
    fractions: Annotated[
        str, typer.Option(help="Of train, validation and test; they sum to 1.")
    ] = "0.7,0.1,0.2",
    seed: Annotated[int, typer.Option(help="Another seed, another division.")] = 0,
    skip_bad: _SkipBad = False,
    as_json: _Json = False,
) -> None:
    """Divide a set by the hash of its pixels: stratified, duplicates never apart."""
    from darkarcs import data
    from darkarcs.errors import require_new

    parts = _fractions(fractions)
    require_new(out)
    lens_images = data.open(path, skip_bad=skip_bad)
    splits = data.split(lens_images, parts, seed=seed)
    hashes = data.split_hashes(lens_images, splits)
    facts: dict[str, Any] = {}
    for name, indices in splits.items():
        if not len(indices):
            continue
        chosen = lens_images.select(indices)
        chosen.manifest["split"] = {"name": name, "fractions": list(parts), "seed": seed}
        data.save(chosen, out / f"{name}.h5")
        facts[name] = {
            "path": str(out / f"{name}.h5"),
            "num_images": len(chosen),
            "class_counts": chosen.class_counts(),
            "hash": hashes[name],
        }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("split", "images", *lens_images.class_names, "hash", box=None)
    for name, fact in facts.items():
        counts = [f"{count:,}" for count in fact["class_counts"].values()]
        table.add_row(name, f"{fact['num_images']:,}", *counts, fact["hash"])
    Console().print(table)
    typer.echo(f"written to {out}")


def _fractions(text: str) -> tuple[float, ...]:
    from darkarcs.errors import ConfigurationError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(
            f"--fractions {text}: must be three numbers with commas, for example 0.7,0.1,0.2"
        ) from None


@app.command("patches")
def patches_command(
    path: _Path,
    out: Annotated[Path, typer.Option(help="The new picture, FILE.png.")],
    patch_size: Annotated[int, typer.Option(min=1, help="Pixels a side of a patch.")] = 16,
    size: Annotated[int, typer.Option(min=1, help="Pixels a side that the model sees.")] = 96,
    index: Annotated[int, typer.Option(min=0, help="Which image of the set.")] = 0,
) -> None:
    """Draw an image cut into the patches that a transformer reads."""
    from darkarcs import data
    from darkarcs.data.patches import draw_patches
    from darkarcs.data.resampling import resize, resize_weights
    from darkarcs.errors import DataError

    lens_images = data.open(path, skip_bad=True)
    if index >= len(lens_images):
        raise DataError(f"{path}: there is no image {index}, only 0 to {len(lens_images) - 1}")
    images = lens_images.images[index : index + 1]
    rows, columns = (resize_weights(old, size) for old in images.shape[2:])
    draw_patches(resize(images, rows, columns)[0], patch_size, out)
    typer.echo(str(out))
