"""``darkarcs bench detection``: how often one subhalo is found, by mass and distance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

#: Where a project keeps count of its looks at test splits: written to wherever it exists.
TEST_LOG = Path("results/test_log.csv")

Models = Annotated[
    list[str] | None,
    typer.Argument(help="Model folders, run folders or zoo names; without any, oracles only."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of the scene.")
]
Marginalize = Annotated[
    bool, typer.Option(help="Also the oracles that do not know the smooth lens.")
]
Results = Annotated[
    Path | None, typer.Option(help="Keep the JSON in benchmarks/ of this folder, too.")
]


def detection(
    out: Annotated[Path, typer.Option(help="A new folder: JSON, picture and table.")],
    models: Models = None,
    scene: Annotated[str, typer.Option(help="A scene's name or file.")] = "fair-hst",
    overrides: Overrides = None,
    log10_masses: Annotated[
        str, typer.Option(help="log10 of the subhalos' m_200 at infall, solar masses.")
    ] = "8,8.5,9,9.5,10,10.5",
    num: Annotated[int, typer.Option(help="Lenses of each mass.")] = 800,
    num_controls: Annotated[
        int, typer.Option(help="Smooth lenses that set the models' thresholds.")
    ] = 2000,
    bins: Annotated[
        str, typer.Option(help="Edges between bins of the distance to the arc, arcsec.")
    ] = "0.1,0.3,0.6",
    false_positive_rates: Annotated[str, typer.Option(help="At which rates are quoted.")] = (
        "0.01,0.1"
    ),
    marginalize: Marginalize = True,
    results: Results = None,
    name: Annotated[
        str | None, typer.Option(help="Of the kept result; detection-SCENE by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    device: Annotated[str, typer.Option(help="Where the models run: cpu, cuda, mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """True-positive rate at 1 % and 10 % false positives by a subhalo's mass and distance."""
    from darkarcs.benchmark.detection import detection as measure
    from darkarcs.benchmark.detection_figure import draw_detection
    from darkarcs.benchmark.detection_observers import DetectionSettings, open_predictors
    from darkarcs.report.detection_cells import detection_cells
    from darkarcs.scenes import load_scene
    from darkarcs.zoo import resolve

    chosen = load_scene(scene, overrides or ())
    kept = new_places(out, results, name or f"detection-{chosen.name}")
    numbers = {
        "log10_masses": log10_masses,
        "bin_edges": bins,
        "false_positive_rates": false_positive_rates,
    }
    settings = DetectionSettings.parse(
        {key: read_numbers(text) for key, text in numbers.items()}
        | {"num": num, "num_controls": num_controls, "seed": seed},
        "bench detection",
    )
    report = measure(
        chosen,
        settings,
        open_predictors([resolve(model) for model in models or ()], device),
        marginalize=marginalize,
        test_log=TEST_LOG if TEST_LOG.is_file() else None,
    )
    file_report(report, detection_cells(report), [out / "detection.json", *kept], as_json)
    draw_detection(report, out / "detection.png")


def new_places(out: Path, results: Path | None, name: str) -> list[Path]:
    """Refuse places that are taken, before work that takes long.

    Parameters
    ----------
    out : pathlib.Path
        A new folder.
    results : pathlib.Path, optional
        Folder of results.
    name : str
        Of the result that is kept there.

    Returns
    -------
    list of pathlib.Path
        The file to keep, if any.
    """
    from darkarcs.errors import require_new

    require_new(out)
    return [] if results is None else [require_new(results / "benchmarks" / f"{name}.json")]


def file_report(report: dict[str, Any], cells: Any, places: list[Path], as_json: bool) -> None:
    """Write a report as JSON, the first time beside its table, and print it.

    Parameters
    ----------
    report : dict
        What was measured.
    cells : tuple
        Header and rows of its table.
    places : list of pathlib.Path
        New JSON files.
    as_json : bool
        Print JSON instead of the table.
    """
    import json

    from darkarcs.evaluation.files import write_new
    from darkarcs.report.measured_tables import markdown_table

    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    table = markdown_table(*cells)
    for path in places:
        write_new(path, text.encode())
    write_new(places[0].with_suffix(".md"), f"{table}\n".encode())
    typer.echo(text if as_json else table, nl=not as_json)


def read_numbers(text: str) -> tuple[float, ...]:
    """Read numbers between commas.

    Parameters
    ----------
    text : str
        As given on the command line; empty for none.

    Returns
    -------
    tuple of float
        The numbers.

    Raises
    ------
    typer.BadParameter
        If something else stands there.

    Examples
    --------
    >>> read_numbers("8, 8.5")
    (8.0, 8.5)
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"{text}: must read like 8,8.5,9") from None
