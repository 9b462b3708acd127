"""One page about one run or several, in one file that asks nothing of the network."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.provenance import package_version
from darkarcs.report.contents import RunContents, find_runs, read_run
from darkarcs.report.learning import runs_figure
from darkarcs.report.sections import run_section


def write_report(directory: Path, out: Path | None = None) -> Path:
    """Make a self-contained HTML page from a run's result files.

    Parameters
    ----------
    directory : pathlib.Path
        The folder of a run (see `darkarcs.report.contents`), or one that holds several; these
        become one page with a table that compares them.
    out : pathlib.Path, optional
        The new file; ``report.html`` in the directory by default.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    DataError
        If there is nothing to report, or a part is damaged.
    OutputExistsError
        If the file exists.
    """
    directory = Path(directory)
    folders = find_runs(directory)
    names = [
        directory.resolve().name
        if folder == directory
        else folder.relative_to(directory).as_posix()
        for folder in folders
    ]
    runs = [read_run(folder, name) for folder, name in zip(folders, names, strict=True)]
    target = directory / "report.html" if out is None else Path(out)
    # A file name that is no valid UTF-8 must not cost the page.
    write_new(target, render_page(directory.resolve().name, runs).encode("utf-8", "replace"))
    return target


def render_page(title: str, runs: list[RunContents]) -> str:
    """Render the page.

    Parameters
    ----------
    title : str
        Of the page, where it holds several runs.
    runs : list of RunContents
        At least one.

    Returns
    -------
    str
        HTML; equal contents give equal text.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [run_section(f"run{index}", run) for index, run in enumerate(runs)]
    measured = [run for run in runs if run.evaluation is not None]
    comparison = None
    if len(measured) > 1:
        rows = [
            (run.name, run.evaluation["auc"]["macro"], run.evaluation["auc"]["interval"])
            for run in measured
            if run.evaluation is not None
        ]
        comparison = runs_figure("comparison", rows)
    return environment.get_template("page.html.jinja").render(
        title=sections[0]["title"] if len(runs) == 1 else title,
        sections=sections,
        comparison=comparison,
        version=package_version(),
    )
