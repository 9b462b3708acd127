"""``darkarcs bench fidelity``: the scenes beside the published simulator and images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def fidelity(
    num_images: Annotated[
        int, typer.Option(help="Simulated images a class; three times as many of two classes.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    shared: Annotated[
        Path | None,
        typer.Option(envvar="DARKARCS_SHARED", help="Real data; without it only the simulator."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A new JSON file.")] = None,
    figure: Annotated[Path | None, typer.Option(help="A new picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The deeplense scenes beside lenstronomy, and beside published images."""
    import json
    import sys

    from darkarcs.benchmark import draw_fidelity
    from darkarcs.benchmark import fidelity as compare
    from darkarcs.errors import require_new
    from darkarcs.evaluation.files import write_new

    for path in (out, figure):  # before the work, which takes minutes
        if path is not None:
            require_new(path)
    result = compare(shared, num_images=num_images, seed=seed, progress=sys.stderr.isatty())
    text = json.dumps(result.report, indent=2)
    if out is not None:
        write_new(out, f"{text}\n".encode())
    if figure is not None:
        draw_fidelity(result.pictures, figure)
    if as_json:
        typer.echo(text)
    else:
        _print(result.report)


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for row in report["parity"]:
        worst = max(row["float32"].values())
        console.print(f"{row['scene']}: within {worst:.1e} of the peak of lenstronomy's images")
    noise = report["noise"]
    console.print(
        f"noise of Model I: chi-squared of means {noise['mean_chi2']:.3f}, "
        f"of variances {noise['variance_chi2']:.3f}"
    )
    if "samples" not in report:
        return
    table = Table("images", "scene", "inside", "of", "lowest p", box=None)
    for row in report["samples"]:
        lowest = min(sample["p"] for sample in row["samples"])
        scene = " ".join([row["scene"], *row["overrides"]])
        table.add_row(row["group"], scene, str(row["inside"]), str(row["count"]), f"{lowest:.3f}")
    console.print(table)
    two = report["two_class"]
    for name, values in two["classes"].items():
        console.print(f"two-class {name}: real against simulated, AUC {values['tell_apart']:.3f}")
    console.print(
        f"classes by their radial profiles: AUC {two['radial_auc']:.3f} real, "
        f"{two['simulated_radial_auc']:.3f} simulated"
    )
