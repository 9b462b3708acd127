"""``darkarcs limit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

Fractions = Annotated[str | None, typer.Option(help="Mass fractions to go through, with commas.")]
NoiseFactors = Annotated[str, typer.Option(help="Noise in units of the scene's, with commas.")]
Classes = Annotated[
    str | None, typer.Option(help="Each against no_sub, with commas; all by default.")
]
NumObserved = Annotated[
    int, typer.Option(min=0, help="Lenses of the unknown-substructure observer.")
]
NumTraining = Annotated[
    int, typer.Option(min=8, help="Draws of substructure around each that it learns from.")
]
NumTest = Annotated[int, typer.Option(min=4, help="Draws that it is tested on.")]
NumRefitted = Annotated[int, typer.Option(min=0, help="Lenses fitted by brute force, as a check.")]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="A model's place: folder, run or zoo name; repeatable."),
]
Measured = Annotated[
    Path | None,
    typer.Option(
        help="A result file of these limits: measure nothing but the models beside it, or the "
        "observer on more lenses (--num-observed, for the given --fractions), or draw it."
    ),
]
Cache = Annotated[
    Path | None, typer.Option(help="Where fits of smooth lenses are kept: a run cut off goes on.")
]
KnownLens = Annotated[
    bool,
    typer.Option(
        "--known-lens", help="Put the evidence for subhalos beside, told the true smooth lens."
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change a key of the scene.")
]
Results = Annotated[
    Path | None, typer.Option(help="Folder of result files; writes limits/NAME.json.")
]


def limit(
    context: typer.Context,
    scene: Annotated[str, typer.Argument(help="A scene's name, or a YAML file.")],
    fractions: Fractions = None,
    noise_factors: NoiseFactors = "1",
    classes: Classes = None,
    num: Annotated[int, typer.Option(min=2, help="Lenses of the two oracles.")] = 1000,
    num_observed: NumObserved = 30,
    num_training: NumTraining = 300,
    num_test: NumTest = 100,
    num_refitted: NumRefitted = 10,
    models: Models = None,
    known_lens: KnownLens = False,
    measured: Measured = None,
    cache: Cache = None,
    seed: Annotated[int, typer.Option(help="Of lenses, noise and resampling.")] = 0,
    part: Annotated[str, typer.Option(help="Stream of lenses: train, validation, test.")] = "test",
    overrides: Overrides = None,
    results: Results = None,
    name: Annotated[str | None, typer.Option(help="Of the result file; the scene's.")] = None,
    figure: Annotated[Path | None, typer.Option(help="A new picture: AUC by fraction.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what the pixels of a scene hold about its substructure, whoever looks."""
    from darkarcs.errors import ConfigurationError, require_new
    from darkarcs.limits import LimitRequest
    from darkarcs.scenes import load_scene

    chosen = load_scene(scene, overrides or ())
    out = None if results is None else results / "limits" / f"{name or chosen.name}.json"
    for path in (out, figure):  # before the work, which takes minutes
        if path is not None:
            require_new(path)
    beside = partial(_place, chosen, models=models or (), known_lens=known_lens, cache=cache)
    options: dict[str, Any] = {
        "classes": tuple(classes.split(",")) if classes else (),
        "fractions": _numbers(fractions, "--fractions") if fractions else (),
        "noise_factors": _factors(noise_factors, "--noise-factors"),
        **{"num": num, "num_observed": num_observed, "num_refitted": num_refitted},
        **{"num_training": num_training, "num_test": num_test, "seed": seed, "part": part},
    }
    request = LimitRequest.parse(options, "limit")
    if measured is not None:
        given = {key: options[key] for key in options if _is_given(context, key)}
        if figure is None and not (models or known_lens) and "num_observed" not in given:
            raise ConfigurationError(
                "--measured: say by --model, --known-lens or --num-observed what to put beside "
                "these limits, or by --figure where to draw them"
            )
        result = _add(measured, chosen, overrides or (), beside, given)
        _give(result, out, figure, as_json)
        return
    _try_models(chosen, request, models or ())
    result = _measure(chosen, request, overrides or (), beside)
    _give(result, out, figure, as_json)


def _is_given(context: typer.Context, key: str) -> bool:
    source = context.get_parameter_source(key)
    return source is not None and source.name != "DEFAULT"


def _give(result: Any, out: Path | None, figure: Path | None, as_json: bool) -> None:
    from darkarcs.benchmark.limit_figure import draw_limits
    from darkarcs.evaluation.files import write_new

    text = result.model_dump_json(indent=1)
    if out is not None:
        write_new(out, f"{text}\n".encode())
    if figure is not None:
        draw_limits([result], figure)
    if as_json:
        typer.echo(text)
    else:
        _print(result)


def _add(
    measured: Path,
    scene: Any,
    overrides: Sequence[str],
    beside: Callable[[Any], tuple[Any, ...]],
    given: Mapping[str, Any],
) -> Any:
    from darkarcs.benchmark.limit_models import read_limits
    from darkarcs.errors import ConfigurationError

    result = read_limits(measured)
    if result.scene != scene.identity or result.overrides != tuple(overrides):
        raise ConfigurationError(
            f"{measured}: holds limits of {result.scene} with {list(result.overrides)} set, not of "
            f"{scene.identity}: give the same scene and --set"
        )
    more = "num_observed" in given
    chosen = {"num_observed", "fractions", "classes"} if more else set()
    for key, value in given.items():
        if key not in chosen and getattr(result.request, key) != value:
            raise ConfigurationError(
                f"{measured}: was measured with {key} {getattr(result.request, key)}, not {value}; "
                f"leave --{key.replace('_', '-')} away, or measure anew without --measured"
            )
    if more:  # first, since it may find that there is no such row
        wanted = {key: value for key, value in given.items() if key in chosen}
        result = _observe_more(scene, result, result.request.model_copy(update=wanted))
    return result.model_copy(update={"models": (*result.models, *beside(result.request))})


def _observe_more(scene: Any, result: Any, request: Any) -> Any:
    from darkarcs.limits import count_draws, observe_more
    from darkarcs.simulation.progress import show_progress

    total = count_draws(scene, result, request)
    with show_progress(f"observer of {scene.name}", total) as advance:
        return observe_more(scene, result, request, progress=advance)


def _measure(
    scene: Any,
    request: Any,
    overrides: Sequence[str],
    beside: Callable[[Any], tuple[Any, ...]],
) -> Any:
    from darkarcs.limits import count_images, measure_limits
    from darkarcs.simulation.progress import show_progress

    with show_progress(f"limits of {scene.name}", count_images(scene, request)) as advance:
        result = measure_limits(scene, request, overrides=overrides, progress=advance)
    return result.model_copy(update={"models": beside(request)})


def _try_models(scene: Any, request: Any, models: Sequence[str]) -> None:
    if not models:
        return
    from darkarcs.benchmark.limit_models import try_models
    from darkarcs.zoo import resolve

    try_models(scene, request, [resolve(model) for model in models])


def _place(
    scene: Any, request: Any, *, models: Sequence[str], known_lens: bool, cache: Path | None
) -> tuple[Any, ...]:
    if not models and not known_lens:
        return ()
    from darkarcs.benchmark.limit_models import place_models
    from darkarcs.cli.evaluate import TEST_LOG
    from darkarcs.model_folder import read_description
    from darkarcs.zoo import resolve

    folders = {}
    for model in models:
        folder = resolve(model)
        name = read_description(folder).name
        folders[model if name in folders else name] = folder
    log = TEST_LOG if TEST_LOG.is_file() else None
    options: dict[str, Any] = {"cache": cache, "test_log": log}
    return place_models(scene, request, folders, known_lenses=known_lens, **options)


def _numbers(text: str, option: str) -> tuple[float, ...]:
    from darkarcs.errors import ConfigurationError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"{option} {text}: must read 0.01,0.1") from None


def _factors(text: str, option: str) -> tuple[float, ...]:
    from darkarcs.errors import ConfigurationError

    numbers = _numbers(text, option)
    if not all(number > 0 for number in numbers):
        raise ConfigurationError(f"{option} {text}: numbers must be greater than 0")
    return numbers


def _print(result: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    header = ("class", "fraction", "noise", "d", "d_perp", "oracle", "marginalized", "observer")
    for kind in ("paired", "pooled"):
        table = Table(*header, title=f"{result.scene}, {kind} AUC", title_justify="left")
        for row in result.rows:
            cells = [row.class_name, "" if row.fraction is None else f"{row.fraction:g}"]
            cells += [f"{row.noise_factor:g}", f"{row.d[2]:.2f}", f"{row.d_perp[2]:.2f}"]
            for figure in (row.oracle, row.marginalized, row.observer):
                area = None if figure is None else getattr(figure, kind)
                cells.append("" if area is None else f"{area.value:.3f} {_interval(area)}")
            table.add_row(*cells)
        Console().print(table)
    for row in result.rows:
        if row.refit is not None and row.noise_factor == result.rows[0].noise_factor:
            low, _, middle, _, high = row.refit.ratio
            typer.echo(
                f"refit, {row.class_name}{'' if row.fraction is None else f' {row.fraction:g}'}: "
                f"{row.refit.num} fits leave {middle:.2f} of d_perp ({low:.2f} to {high:.2f})"
            )
    for point in result.models:
        at = "" if point.fraction is None else f" {point.fraction:g}"
        typer.echo(
            f"{point.model}, {point.class_name}{at}: pooled AUC {point.pooled.value:.3f} "
            f"{_interval(point.pooled)}, paired {point.paired:.3f}"
        )


def _interval(area: Any) -> str:
    return f"[{area.interval[0]:.3f}, {area.interval[1]:.3f}]"
