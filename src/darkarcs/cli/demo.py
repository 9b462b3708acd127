"""``darkarcs demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: Changes to the packaged recipe; none, but for tests.
DEMO_OVERRIDES: tuple[str, ...] = ()


def demo(
    out: Annotated[Path, typer.Option(help="A new folder.")],
    data: Annotated[
        str | None, typer.Option(help="Labelled images; simulated ones by default.")
    ] = None,
    num_per_class: Annotated[int, typer.Option(help="Simulated images a class.")] = 1500,
    seed: Annotated[int, typer.Option(help="Seed of the simulation and of the training.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
) -> None:
    """Main job in one go: train a compact transformer, evaluate it, write the report."""
    import json
    import sys

    from darkarcs.cli.evaluate import print_evaluation
    from darkarcs.errors import require_new
    from darkarcs.inference import evaluate
    from darkarcs.report import write_report
    from darkarcs.simulation import parse_uri, simulate_to_store
    from darkarcs.simulation.progress import show_progress
    from darkarcs.training import load_recipe, train

    require_new(out)
    overrides = [f"seed={seed}", *DEMO_OVERRIDES]
    if data is None:
        num = 2 * num_per_class
        typer.echo(f"simulating {num:,} lenses", err=True)
        data = str(out / "lenses.h5")
        out.mkdir(parents=True, exist_ok=True)
        request = parse_uri(f"scene:demo?num={num}&seed={seed}")
        with show_progress("simulating", num) as advance:
            simulate_to_store(request, Path(data), progress=advance)
    progress = sys.stderr.isatty()
    run = train(
        load_recipe("demo", overrides), data, out / "run", skip_bad=skip_bad, progress=progress
    )
    evaluate(
        run.model, data, out / "evaluation", split="test", skip_bad=skip_bad, progress=progress
    )
    report = json.loads((out / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    page = write_report(out / "evaluation", out / "report.html")
    print_evaluation(report)
    typer.echo(f"report: {page}")
