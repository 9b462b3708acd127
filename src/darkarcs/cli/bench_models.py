"""``darkarcs bench robustness`` and ``darkarcs bench evidence``: what models bear and find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

#: Where a project keeps count of its looks at test splits: written to wherever it exists.
TEST_LOG = Path("results/test_log.csv")


def robustness(
    models: Annotated[list[str], typer.Argument(help="Model folders, run folders or zoo names.")],
    data: Annotated[str, typer.Option(help="Labelled images: folder, archive or HDF5.")],
    split: Annotated[
        str, typer.Option(help="all, or train, validation, test of the training data.")
    ] = "test",
    out: Annotated[Path | None, typer.Option(help="A new JSON file.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="A new picture: png, svg or pdf by its suffix.")
    ] = None,
    psf_fwhm: Annotated[
        float | None,
        typer.Option(help="Full width of the PSF in pixels; from the data, else 2.5."),
    ] = None,
    tta: Annotated[
        bool | None,
        typer.Option(help="Average over eight rotations and reflections, or do not."),
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    cache: Annotated[
        Path | None,
        typer.Option(help="Where fits of smooth lenses are kept: a run cut off goes on."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of corruptions and bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """AUC under noise x2, PSF x1.5 and 10 to 50 % cover; the same pixels for all models."""
    import sys

    from darkarcs.benchmark import draw_robustness
    from darkarcs.benchmark import robustness as measure
    from darkarcs.errors import OutputExistsError
    from darkarcs.zoo import resolve

    if figure is not None and figure.exists():  # before the work, which takes long
        raise OutputExistsError(figure)
    report = measure(
        [resolve(model) for model in models],
        data,
        split=split,
        out=out,
        psf_fwhm=psf_fwhm,
        test_time_augmentation=None if tta is None else "dihedral" if tta else "none",
        skip_bad=skip_bad,
        seed=seed,
        cache=cache,
        test_log=TEST_LOG if TEST_LOG.is_file() else None,
        device=device,
        progress=sys.stderr.isatty(),
    )
    if figure is not None:
        draw_robustness(report, figure)
    for warning in report["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print_robustness(report)


def _print_robustness(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from darkarcs.evaluation.tables import format_with_interval

    names = list(report["models"])
    table = Table("condition", *map(escape, names), title=f"AUC, {report['n']} images")
    for condition, rows in report["conditions"].items():
        cells = [format_with_interval(rows[n]["auc"], rows[n]["interval"]) for n in names]
        table.add_row(condition, *map(escape, cells))
    Console().print(table)


def evidence(
    model: Annotated[str, typer.Argument(help="A model folder, a run folder or a zoo name.")],
    scene: Annotated[
        str, typer.Option(help="Pairs to simulate: scene:NAME?seed=1&num=64&paired=1")
    ],
    out: Annotated[Path | None, typer.Option(help="A new JSON file.")] = None,
    threshold: Annotated[
        float, typer.Option(help="A pixel has changed above so many sigma of the noise.")
    ] = 1.0,
    arc_threshold: Annotated[
        float, typer.Option(help="A pixel is of the arc above so many sigma.")
    ] = 2.0,
    psf_fwhm: Annotated[float, typer.Option(help="Full width of the PSF in pixels.")] = 2.5,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How well maps find what substructure changed: pointing game and AUC over pixels."""
    import sys

    from darkarcs.benchmark import evidence_benchmark, open_pairs
    from darkarcs.benchmark.evidence_truth import unmimicked_changes
    from darkarcs.errors import ConfigurationError, OutputExistsError
    from darkarcs.evaluation.files import write_new
    from darkarcs.zoo import resolve

    if out is not None and out.exists():
        raise OutputExistsError(out)
    folder = resolve(model)
    images_with, images_without, observed, noise_rms = open_pairs(scene)
    unmimicked, reason = None, None
    try:
        unmimicked = unmimicked_changes(scene, images_with, progress=sys.stderr.isatty())
    except ConfigurationError as error:  # the scene is sound: its pairs were made
        reason = str(error)
    report = evidence_benchmark(
        folder,
        images_with.images,
        images_without.images,
        noise_rms,
        observed=observed.images,
        unmimicked=unmimicked,
        pixel_scale=observed.pixel_scale,
        threshold=threshold,
        arc_threshold=arc_threshold,
        psf_fwhm=psf_fwhm,
        groups=observed.metadata["group"],
        identities=observed.metadata["identity"],
        device=device,
        progress=sys.stderr.isatty(),
    )
    _warn_of_overlap(report)
    report["scene"] = scene
    if reason is not None:
        report["not_projected"] = reason
    text = json.dumps(report, indent=2)
    if out is not None:
        write_new(out, f"{text}\n".encode())
    if as_json:
        typer.echo(text)
    else:
        _print_evidence(report)


def _warn_of_overlap(report: dict[str, Any]) -> None:
    for use, count in report["overlap"].items():
        if count:
            typer.echo(
                f"warning: {count} of {report['num_pairs']} pairs are of lenses that the model has "
                f"seen ({use}): take another seed, or part=validation",
                err=True,
            )


def _print_evidence(report: dict[str, Any]) -> None:
    _print_maps(report, "", "what substructure changed")
    if "maps_projected" in report:
        _print_maps(report, "_projected", "what it changed and no smooth lens could mimic")
    else:
        typer.echo(
            "changes that no smooth lens could mimic are not scored apart: "
            f"{report['not_projected']}"
        )


def _print_maps(report: dict[str, Any], suffix: str, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    maps = report[f"maps{suffix}"]
    table = Table(title=f"Found of {title}", title_justify="left")
    table.add_column("map", min_width=max(map(len, maps)))  # names stay whole in a narrow window
    for header in ("pointing game", "chance", "in the arc", "chance", "AUC in the arc"):
        table.add_column(header)
    for name, scores in maps.items():
        cells = []
        for kind in ("pointing", "pointing_in_arc", "auc"):
            value, interval = scores[kind]["value"], scores[kind]["interval"]
            around = "" if interval is None else f" ({interval[0]:.2f} to {interval[1]:.2f})"
            cells.append("" if value is None else f"{value:.3f}{around}")
            if kind != "auc":
                cells.append(f"{scores[kind]['chance']:.3f}")
        table.add_row(name, *cells)
    Console().print(table)
    share, left_out = report[f"truth_share{suffix}"], maps["random"]["num_without_truth"]
    typer.echo(
        f"{share:.0%} of the arcs; {report['num_pairs']} pairs; {left_out} without such a change "
        "are left out"
    )
