"""``darkarcs sensitivity``: the lightest subhalo that would be found at each place of a lens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from darkarcs.cli.bench_detection import Marginalize, Models, Overrides, Results


def sensitivity(
    out: Annotated[Path, typer.Option(help="A new folder: JSON, picture and table.")],
    models: Models = None,
    scene: Annotated[str, typer.Option(help="A scene's name or file.")] = "fair-hst",
    overrides: Overrides = None,
    index: Annotated[int, typer.Option(help="Which lens of the stream, or the first of them.")] = 0,
    num: Annotated[int, typer.Option(help="How many lenses.")] = 1,
    grid: Annotated[int, typer.Option(help="Places along each side of the map.")] = 24,
    log10_masses: Annotated[
        str, typer.Option(help="log10 of the subhalos' m_200 at infall, solar masses.")
    ] = "8,8.5,9,9.5,10,10.5",
    false_positive_rates: Annotated[
        str, typer.Option(help="What counts as found; the map shows the first.")
    ] = "0.01,0.1,0.00135",
    num_noise: Annotated[
        int, typer.Option(help="Draws of the noise over which a model's score is averaged.")
    ] = 4,
    num_controls: Annotated[
        int, typer.Option(help="Smooth lenses that set a model's threshold.")
    ] = 1000,
    marginalize: Marginalize = True,
    results: Results = None,
    name: Annotated[
        str | None, typer.Option(help="Of the kept result; sensitivity-SCENE by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    device: Annotated[str, typer.Option(help="Where the models run: cpu, cuda, mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Map the lightest subhalo that is found at each place of a lens."""
    from darkarcs.benchmark.detection_observers import open_predictors
    from darkarcs.benchmark.sensitivity import map_sensitivity
    from darkarcs.benchmark.sensitivity import sensitivity as report_of
    from darkarcs.benchmark.sensitivity_figure import draw_sensitivity
    from darkarcs.benchmark.sensitivity_map import SensitivitySettings
    from darkarcs.cli.bench_detection import file_report, new_places, read_numbers
    from darkarcs.report.detection_cells import sensitivity_cells
    from darkarcs.scenes import load_scene
    from darkarcs.zoo import resolve

    chosen = load_scene(scene, overrides or ())
    kept = new_places(out, results, name or f"sensitivity-{chosen.name}")
    numbers = {"log10_masses": log10_masses, "false_positive_rates": false_positive_rates}
    settings = SensitivitySettings.parse(
        {key: read_numbers(text) for key, text in numbers.items()}
        | {"index": index, "num": num, "grid": grid, "seed": seed}
        | {"num_noise": num_noise, "num_controls": num_controls},
        "sensitivity",
    )
    predictors = open_predictors([resolve(model) for model in models or ()], device)
    maps = map_sensitivity(chosen, settings, predictors, marginalize=marginalize)
    report = report_of(chosen, settings, maps, predictors)
    file_report(report, sensitivity_cells(report), [out / "sensitivity.json", *kept], as_json)
    draw_sensitivity(maps, settings, chosen.instrument.pixel_scale, out / "sensitivity.png")
