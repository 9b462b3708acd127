"""``darkarcs benchmark``: models on a suite of simulated sets that anyone can make again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from darkarcs.cli.evaluate import TEST_LOG


def benchmark(
    models: Annotated[
        list[str] | None, typer.Argument(help="Model folders, run folders or zoo names.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Name of a suite, or a YAML file.")] = "fair",
    out: Annotated[
        Path | None, typer.Option(help="Folder: gets SUITE.json and SUITE.html, and the cache.")
    ] = None,
    num: Annotated[
        int | None, typer.Option(min=1, help="Use only so many images of each set.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where images and predictions are kept; OUT/cache.")
    ] = None,
    tta: Annotated[
        bool | None,
        typer.Option(help="Average over eight rotations and reflections, or do not."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of results: gets entries of the leaderboard.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show: Annotated[
        bool, typer.Option("--list", help="List the suites, or the sets of the one that is given.")
    ] = False,
    write_hashes: Annotated[
        bool,
        typer.Option("--write-hashes", help="Write into a suite's file what its sets draw now."),
    ] = False,
) -> None:
    """Measure models on a suite of simulated sets: AUC with intervals, paired tests, a page."""
    import json

    from darkarcs.benchmark.suite import suite_file
    from darkarcs.benchmark.suite import write_hashes as write_suite_hashes

    if write_hashes:
        typer.echo(json.dumps(write_suite_hashes(suite_file(suite)), indent=2))
        return
    if show:
        print_suite(suite)
        return
    if not models or out is None:
        raise typer.BadParameter("name at least one model, and --out")
    values, written = measure_suite(
        suite,
        models,
        out,
        results,
        num=num,
        cache=cache,
        test_time_augmentation=None if tta is None else "dihedral" if tta else "none",
        device=device,
    )
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    print_table(values)
    for path in written:
        typer.echo(f"wrote {path}")


def measure_suite(
    suite: str, models: list[str], out: Path, results: Path | None, **options: Any
) -> tuple[dict[str, Any], list[Path]]:
    """Run a suite, write its page and, where asked for, entries of the leaderboard.

    Parameters
    ----------
    suite : str
        Name or file.
    models : list of str
        Names or folders.
    out : pathlib.Path
        For results and page.
    results : pathlib.Path, optional
        Folder of results.
    **options
        Of `darkarcs.benchmark.run_suite`.

    Returns
    -------
    values : dict
        Of the result's file.
    written : list of pathlib.Path
        Page and entries.
    """
    import sys

    from darkarcs.benchmark.leaderboard import add_entries, require_new_entries
    from darkarcs.benchmark.suite import load_suite
    from darkarcs.benchmark.suite_run import run_suite
    from darkarcs.errors import OutputExistsError
    from darkarcs.inference.filing import TEST_LOG as LOG_NAME
    from darkarcs.model_folder import read_description
    from darkarcs.report.benchmark_page import write_benchmark_page
    from darkarcs.zoo import resolve

    loaded = load_suite(suite)
    folders = [resolve(model) for model in models]
    page = out / f"{loaded.name}.html"
    if page.exists():
        raise OutputExistsError(page)
    if results is not None:
        names = [read_description(folder).name for folder in folders]
        require_new_entries(results, loaded, names, options["num"])
    log = results / LOG_NAME if results is not None else TEST_LOG if TEST_LOG.is_file() else None
    with show_progress(sys.stderr.isatty()) as tell:
        result = run_suite(loaded, folders, out, test_log=log, progress=tell, **options)
    write_benchmark_page(out / f"{loaded.name}.json", page)
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    added = [] if results is None else add_entries(result, loaded, results)
    return result.model_dump(mode="json"), [page, *added]


def show_progress(shown: bool) -> Any:
    """Show a bar on standard error, or where that is no terminal a line a minute.

    Parameters
    ----------
    shown : bool
        Whether standard error is a terminal.

    Returns
    -------
    context manager
        Gives a function of what is being done, images done, and images in all.
    """
    import time
    from collections.abc import Iterator
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Iterator[Any]:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        last = [time.monotonic()]
        with Progress(
            *columns, console=Console(stderr=True), disable=not shown, transient=True
        ) as view:
            task = view.add_task("", total=None)

            def tell(what: str, done: int, total: int) -> None:
                view.update(task, description=what, completed=done, total=total)
                if not shown and time.monotonic() - last[0] > 60:
                    last[0] = time.monotonic()
                    typer.echo(f"{what} ({done / total:.0%})", err=True)

            yield tell

    return bar()


def print_suite(name: str) -> None:
    """Print the suites, and the sets of one.

    Parameters
    ----------
    name : str
        Of the one.
    """
    from darkarcs.benchmark.suite import list_suites, load_suite

    typer.echo(f"suites: {', '.join(list_suites())}")
    suite = load_suite(name)
    typer.echo(f"{suite.name}, version {suite.version} ({suite.content_hash}): {suite.question}")
    for key, one in suite.sets.items():
        typer.echo(f"  {key:24} {one.title}\n  {'':24} {one.uri}")


def print_table(values: dict[str, Any]) -> None:
    """Print what was measured, as a Markdown table.

    Parameters
    ----------
    values : dict
        Of a `SuiteResult`.
    """
    from darkarcs.report.benchmark_table import benchmark_tables

    typer.echo(benchmark_tables(values))
