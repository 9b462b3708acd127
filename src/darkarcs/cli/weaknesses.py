"""``darkarcs weaknesses``: where a model is weak and strong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

#: Where a project keeps count of its looks at test splits: written to wherever it exists.
TEST_LOG = Path("results/test_log.csv")
#: Rows of each table.
NUM_SHOWN = 10
#: Characters of a line where the output is no terminal.
WIDTH = 140

Results = Annotated[
    Path | None, typer.Option(help="Folder of result files; writes weaknesses/NAME.json.")
]
Name = Annotated[str | None, typer.Option(help="Of the result file; the model's or the folder's.")]


def weaknesses(
    subject: Annotated[
        str, typer.Argument(help="A predictions.csv, a model folder, a run folder or a zoo name.")
    ],
    data: Annotated[str, typer.Option(help="The images: folder, archive, HDF5 or scene.")],
    out: Annotated[Path, typer.Option(help="A new folder for the result and the page.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    split: Annotated[
        str, typer.Option(help="For a model: all, or train, validation, test of its data.")
    ] = "all",
    rank_by: Annotated[
        str, typer.Option(help="What is bad: log_loss, accuracy, ranking.")
    ] = "log_loss",
    num_bins: Annotated[int, typer.Option(help="Bins of each number.")] = 5,
    min_images: Annotated[int, typer.Option(help="Smaller groups are not looked at.")] = 40,
    num_mistakes: Annotated[int, typer.Option(min=0, help="Mistakes to show.")] = 24,
    num_bootstrap: Annotated[int, typer.Option(help="Resamples of the intervals.")] = 500,
    seed: Annotated[int, typer.Option(help="Of resamples and halves.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    results: Results = None,
    name: Name = None,
) -> None:
    """Find the kinds of lenses on which a model fares worst and best; JSON and HTML."""
    import json
    import sys

    from darkarcs.benchmark.weaknesses import WEAKNESSES_FILE, is_file_name
    from darkarcs.benchmark.weaknesses import weaknesses as find_weaknesses
    from darkarcs.evaluation.files import write_new
    from darkarcs.evaluation.subpopulation_groups import SubpopulationSettings
    from darkarcs.report.subpopulations import write_weaknesses
    from darkarcs.zoo import resolve

    values = {"rank_by": rank_by, "num_bins": num_bins, "min_images": min_images}
    settings = SubpopulationSettings.parse(
        {**values, "num_bootstrap": num_bootstrap, "seed": seed}, "weaknesses"
    )
    kept = _new_result(results, name, Path(subject))  # before the work, which takes minutes
    found = find_weaknesses(
        Path(subject) if is_file_name(Path(subject)) else resolve(subject),
        data,
        out,
        split=split,
        settings=settings,
        num_mistakes=num_mistakes,
        skip_bad=skip_bad,
        test_log=TEST_LOG if TEST_LOG.is_file() else None,
        device=device,
        progress=sys.stderr.isatty(),
    )
    if kept is not None:
        write_new(kept, (out / WEAKNESSES_FILE).read_bytes())
    page = write_weaknesses(out)
    for warning in found["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    print_weaknesses(found)
    typer.echo(f"page: {page}")


def _new_result(results: Path | None, name: str | None, subject: Path) -> Path | None:
    from darkarcs.errors import require_new

    own = subject.resolve().parent.name if subject.is_file() else subject.name
    return results and require_new(results / "weaknesses" / f"{name or own}.json")


def print_weaknesses(found: dict[str, Any]) -> None:
    """Print the worst and the best sub-populations as tables for people."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # a file has no width that would cut names short
        console = Console(width=WIDTH)
    rows = found["subpopulations"]
    for kind in ("worst", "best"):
        ranked = [rows[entry["index"]] for entry in found[kind]][:NUM_SHOWN]
        title = f"{kind} sub-populations"
        if not ranked:
            ranked = [rows[entry["index"]] for entry in found["nominal"][kind]]
            title += ": none beyond chance, these are the largest differences"
        console.print(_table(title, ranked, found))
        pairs = found["interactions"][kind]
        if pairs:
            count = found["interactions"]["num_measured"]
            title = f"{kind} pairs of conditions, measured on the {count:,} images of one half"
            console.print(_table(title, pairs[:NUM_SHOWN], found))
    different = len(found["worst"]) + len(found["best"])
    different += sum(len(entry["like"]) for kind in ("worst", "best") for entry in found[kind])
    console.print(
        f"{different} of {len(rows)} sub-populations of {len(found['attributes'])} attributes"
        f" differ from the rest in {found['settings']['rank_by']} at a false discovery rate of"
        f" {found['settings']['false_discovery_rate']:g}; {found['num_mistakes']:,} of"
        f" {found['n']:,} images are called wrongly"
    )


def _table(title: str, rows: list[dict[str, Any]], found: dict[str, Any]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from darkarcs.report.weakness_cells import HEADER, overall_cells, subpopulation_cells

    table = Table("", *HEADER, "q", title=title)
    table.title_justify = "left"
    table.columns[0].overflow, table.columns[0].min_width = "fold", 28
    for column in table.columns[1:]:
        column.justify = "right"
    rank_by = found["settings"]["rank_by"]
    for row in rows:
        shown = f"{row['measures'][rank_by]['q_value']:.1g}"
        table.add_row(*map(escape, subpopulation_cells(row)), shown)
    table.add_section()
    table.add_row(*map(escape, overall_cells(found)))
    return table
