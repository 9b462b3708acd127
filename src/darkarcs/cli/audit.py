"""``darkarcs data audit``: what gives the classes of a labelled set away."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

_MOST_LISTED = 20


def audit_command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Folders, archives, files or scheme:rest; several are compared."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="New folder for audit.json and a figure of each set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, trees and the choice of images.")] = 0,
    max_images: Annotated[
        int | None, typer.Option(min=4, help="Look at no more images of each set.")
    ] = None,
    null_images: Annotated[
        int, typer.Option(min=20, help="Images of each null test of a scene.")
    ] = 2000,
) -> None:
    """Tell what gives the classes away: brightness, rings, noise, files; and duplicates."""
    from darkarcs.audit import audit
    from darkarcs.audit.figure import draw_audit
    from darkarcs.audit.scene_nulls import scene_null_sample
    from darkarcs.errors import require_new

    if out is not None:
        require_new(out)
    report = audit(
        paths,
        seed=seed,
        max_images=max_images,
        find_null_sample=scene_null_sample,
        null_images=null_images,
        progress=sys.stderr.isatty(),
    )
    facts = report.as_json()
    drawn = []
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(facts, indent=2) + "\n"
        (out / "audit.json").write_text(text, encoding="utf-8")
        for number, part in enumerate(report.sets, start=1):
            if part.leaks:
                name = "audit.png" if len(report.sets) == 1 else f"audit-{number}.png"
                drawn.append(draw_audit(part, out / name))
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    print_audit(facts)
    for path in drawn:
        typer.echo(f"figure: {path}")


def print_audit(facts: dict[str, Any]) -> None:
    """Print what an audit found, as tables."""
    for part in facts["sets"]:
        _print_set(part, facts["level"])
    _print_duplicates(facts["duplicates"], len(facts["sets"]))


def _print_set(facts: dict[str, Any], level: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    counts = ", ".join(f"{count:,} {name}" for name, count in facts["class_counts"].items())
    channels, height, width = facts["shape"]
    console.print(
        f"{facts['source']}: {facts['num_images']:,} images of {width} x {height} pixels, "
        f"{channels} {'channel' if channels == 1 else 'channels'}; {counts or 'no labels'}"
        + (f"; {facts['num_skipped']} bad files skipped" if facts["num_skipped"] else ""),
        markup=False,
    )
    if facts["reason"]:
        console.print(f"no table of leaks: {facts['reason']}", markup=False)
    if facts["leaks"]:
        table = Table(box=None)
        table.add_column("what trees see")
        table.add_column("AUC", justify="right")
        table.add_column("interval", justify="right")
        table.add_column("verdict")
        table.add_column("best alone", overflow="fold")
        for leak in facts["leaks"]:
            table.add_row(
                leak["family"], f"{leak['auc']:.3f}", _interval(leak["interval"]),
                leak["verdict"], f"{leak['best_feature']}: {leak['best_feature_auc']:.3f}",
            )  # fmt: skip
            for name, pair in leak["pairs"].items():
                table.add_row(f"  {name}", f"{pair['auc']:.3f}", _interval(pair["interval"]), "")
        console.print(table)
        console.print(_explain(facts, level))
    if facts["null_tests"]:
        _print_null_tests(facts["null_tests"])
    console.print()


def _interval(bounds: list[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _explain(facts: dict[str, Any], level: float) -> str:
    meanings = {
        "leaks": "leaks: noise or files tell the class, or light alone nearly solves the set",
        "carries": "carries: the light carries class information; report it beside results",
        "clean": "clean: nothing was found with this many images",
    }
    found = {leak["verdict"] for leak in facts["leaks"]}
    lines = [text for name, text in meanings.items() if name in found]
    return "\n".join([f"out-of-fold; all intervals hold together at {level:.0%}", *lines])


def _print_null_tests(tests: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    table = Table(box=None)
    for head in ("null", "what classifiers see", "AUC", "off 0.5", "at most", ""):
        table.add_column(head, no_wrap=True)
    for result in tests["results"]:
        for row in (result["primary"], *result["secondary"]):
            deviation = "infinite" if row["deviation"] is None else f"{row['deviation']:+.2f}"
            table.add_row(
                result["null"], row["name"], f"{row['auc']:.3f} +- {row['standard_error']:.3f}",
                deviation, f"{'+-' if row['two_sided'] else ''}{row['bound']:.2f}",
                "passed" if row["passed"] else "FAILED",
            )  # fmt: skip
    console.print(table)
    console.print(
        f"null tests {'passed' if tests['passed'] else 'FAILED: the scene leaks'}; distances in "
        f"standard errors; of each null, a fair scene fails the first row in "
        f"{tests['primary_rate']:.1%} of tests and any other in {tests['family_wise_rate']:.0%}"
    )


def _print_duplicates(facts: dict[str, Any], num_sets: int) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    between = f", {facts['num_across_sources']} across the sets given" if num_sets > 1 else ""
    console.print(
        f"duplicates: {facts['num_exact']} exact, {facts['num_near']} near (turned, mirrored, "
        f"scaled, compressed anew); {facts['num_across_classes']} across classes, "
        f"{facts['num_across_splits']} across the default split{between}"
    )
    if facts["num_within_groups"]:
        console.print(f"{facts['num_within_groups']} near pairs inside groups, alike by design")
    if facts["num_groups_across_sources"]:
        console.print(f"{facts['num_groups_across_sources']} groups lie in several of the sets")
    for found in facts["sets"][:_MOST_LISTED]:
        kind = "exact" if found["exact"] else f"near ({found['correlation']:.4f})"
        copies = found["copies"][:6]
        names = ", ".join(_named(copy, num_sets) for copy in copies)
        more = len(found["copies"]) - len(copies)
        console.print(f"  {kind}: {names}" + (f" and {more} more" if more else ""), markup=False)
    if len(facts["sets"]) > _MOST_LISTED:
        console.print(f"  and {len(facts['sets']) - _MOST_LISTED} more (--json lists all)")


def _named(copy: dict[str, str], num_sets: int) -> str:
    told = [part for part in (copy["label"], copy["split"]) if part]
    where = f"{copy['source']}: " if num_sets > 1 else ""
    return f"{where}{copy['name']}" + (f" ({', '.join(told)})" if told else "")
