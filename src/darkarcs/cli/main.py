"""The ``darkarcs`` command: mounts the verbs, and turns errors into one line."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from darkarcs.cli import bench, data, zoo
from darkarcs.cli.benchmark import benchmark
from darkarcs.cli.classify import classify
from darkarcs.cli.compare import compare
from darkarcs.cli.cross_validate import cross_validate
from darkarcs.cli.demo import demo
from darkarcs.cli.evaluate import evaluate
from darkarcs.cli.explain import explain
from darkarcs.cli.fit import fit
from darkarcs.cli.gallery import gallery
from darkarcs.cli.limit import limit
from darkarcs.cli.measure import measure
from darkarcs.cli.models import models
from darkarcs.cli.report import report
from darkarcs.cli.sensitivity import sensitivity
from darkarcs.cli.simulate import simulate
from darkarcs.cli.sweep import sweep
from darkarcs.cli.train import train
from darkarcs.cli.trust import trust
from darkarcs.cli.weaknesses import weaknesses
from darkarcs.errors import DarkarcsError

app = typer.Typer(
    name="darkarcs",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _verb in (
    train,
    evaluate,
    classify,
    explain,
    measure,
    compare,
    report,
    cross_validate,
    demo,
    models,
    simulate,
    gallery,
    fit,
    limit,
    sensitivity,
    sweep,
    trust,
    weaknesses,
    benchmark,
):
    app.command()(_verb)
for _name, _group in (("data", data.app), ("zoo", zoo.app), ("bench", bench.app)):
    app.add_typer(_group, name=_name)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"darkarcs {version('darkarcs')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Reads the nature of dark matter from images of strong gravitational lenses."""


def main() -> None:
    """Run the command line; errors of ours are one line and exit status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("darkarcs").setLevel(logging.INFO)
    try:
        app()
    except DarkarcsError as error:
        print(f"darkarcs: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        print(f"darkarcs: {error.filename or 'the system'}: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("darkarcs: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
