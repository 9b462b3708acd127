"""How fast lenses are simulated, beside lenstronomy on the same processors in the same run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from darkarcs.benchmark.lenstronomy_images import LenstronomyProcesses, require_lenstronomy
from darkarcs.benchmark.simulated_lenses import (
    FIELDS,
    SUBSTRUCTURE,
    draw_lenses,
    make_scene,
    to_parameters,
)
from darkarcs.errors import ConfigurationError
from darkarcs.evaluation.provenance import command_line, describe_machine, package_version
from darkarcs.scenes import LensParameters, Scene

#: Largest difference of an image of each side, over its peak, for the two to be compared.
TOLERANCE = 1e-4

_NUM_LENSES = 256
_NUM_COMPARED = 4


def simulation_speed(
    *,
    pixels: Sequence[int] = tuple(FIELDS),
    substructure: Sequence[str] = SUBSTRUCTURE,
    threads: Sequence[int] = (1, 2),
    seconds: float = 1.0,
    repeats: int = 7,
    progress: bool = False,
) -> dict[str, Any]:
    """Compare images a second with lenstronomy's.

    A singular isothermal ellipsoid with external shear and subhalos before an elliptical Sersic
    source, behind a Gaussian PSF; no noise, no supersampling. Ours are rendered by
    `darkarcs.scenes.Scene.render` on one or several threads, lenstronomy's in as many processes.
    The two take turns on the same lenses, drawn beforehand on both sides. Images of each are
    compared first.

    Parameters
    ----------
    pixels : sequence of int
        Sides of the images, of ``FIELDS``.
    substructure : sequence of str
        Of ``SUBSTRUCTURE``.
    threads : sequence of int
        Threads of ours, processes of lenstronomy.
    seconds : float, default 1.0
        About how long one measurement takes.
    repeats : int, default 7
        Measurements of each side.
    progress : bool, default False
        Show progress on standard error.

    Returns
    -------
    dict
        ``rows``, each with ``pixels``, ``substructure``, ``threads``, ``ours`` and
        ``lenstronomy`` (medians in images/s), ``ratio`` (median of the paired ratios), ``ratios``,
        ``ratio_to_one_process``, ``processor_ratio`` (of processor time an image, which other
        load on the machine changes least) and ``difference`` (the largest of four images, over
        their peaks);
        ``machine``, ``versions``, ``load_average`` at the start and the end, ``command``.

    Raises
    ------
    ConfigurationError
        If a size or substructure is not known, or the two sides do not render the same.
    MissingExtraError
        If lenstronomy is not installed.
    """
    unknown = [str(p) for p in pixels if p not in FIELDS]
    unknown += [name for name in substructure if name not in SUBSTRUCTURE]
    if unknown or not pixels or not substructure or not threads or min(threads) < 1 or repeats < 1:
        raise ConfigurationError(
            f"cannot measure {', '.join(unknown) or 'nothing'}: pixels are of "
            f"{list(FIELDS)}, substructure of {list(SUBSTRUCTURE)}, threads and repeats above 0"
        )
    require_lenstronomy()
    load, before = _load_average(), torch.get_num_threads()
    rows: list[dict[str, Any]] = []
    console = Console(stderr=True)
    with (
        LenstronomyProcesses(max(threads)) as theirs,
        Progress(console=console, disable=not progress, transient=True) as bar,
    ):
        task = bar.add_task("", total=len(pixels) * len(substructure) * repeats)
        try:
            for side in pixels:
                for name in substructure:
                    bar.update(task, description=f"{side} x {side}, {name} subhalos")
                    step = partial(bar.advance, task)
                    rows += _compare(theirs, side, name, threads, seconds, repeats, step)
        finally:
            torch.set_num_threads(before)
    return {
        "rows": rows,
        "machine": describe_machine(max(threads)),
        "versions": {name: package_version(name) for name in ("lenstronomy", "numba", "torch")},
        "load_average": [load, _load_average()],
        "command": command_line(),
    }


def _compare(
    theirs: LenstronomyProcesses,
    side: int,
    substructure: str,
    threads: Sequence[int],
    seconds: float,
    repeats: int,
    step: Callable[[], None],
) -> list[dict[str, Any]]:
    """Measure one kind of image on all numbers of threads."""
    lenses, scene = draw_lenses(_NUM_LENSES, substructure), make_scene(side)
    table = to_parameters(scene, lenses)
    rates: dict[int, list[tuple[float, ...]]] = {count: [] for count in threads}
    theirs.prepare(lenses, side, *FIELDS[side])
    torch.set_num_threads(1)
    difference = max(_difference(scene, table, theirs, index) for index in range(_NUM_COMPARED))
    if not difference < TOLERANCE:
        raise ConfigurationError(
            f"{side} x {side} pixels, {substructure} subhalos: the images of the two sides "
            f"differ by {difference:.1e} of their peak, more than {TOLERANCE:g}: not timed"
        )
    num_ours = max(1, round(seconds * _ours(1, scene, table)[0] / _NUM_LENSES))
    num_theirs = max(2, round(seconds * 4 / theirs.measure(4, 1)[0]))
    for repeat in range(repeats):
        for count in threads:
            # neither side always goes first
            if repeat % 2:
                other = _theirs(theirs, num_theirs, count)
                ours = _ours(num_ours, scene, table, count)
            else:
                ours = _ours(num_ours, scene, table, count)
                other = _theirs(theirs, num_theirs, count)
            rates[count].append((*ours, *other))
        step()
    return [_row(side, substructure, count, rates, difference) for count in threads]


def _row(
    side: int,
    substructure: str,
    threads: int,
    rates: Mapping[int, list[tuple[float, ...]]],
    difference: float,
) -> dict[str, Any]:
    ours, ours_busy, other, other_busy = zip(*rates[threads], strict=True)
    one_process = [measured[2] for measured in rates[min(rates)]] if min(rates) == 1 else []
    return {
        "pixels": side,
        "substructure": substructure,
        "threads": threads,
        "ours": statistics.median(ours),
        "lenstronomy": statistics.median(other),
        "ratio": _median_ratio(ours, other),
        "ratios": [a / b for a, b in zip(ours, other, strict=True)],
        "ratio_to_one_process": _median_ratio(ours, one_process) if one_process else None,
        "processor_ratio": _median_ratio(ours_busy, other_busy),
        "difference": difference,
    }


def _median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def _difference(
    scene: Scene, table: LensParameters, theirs: LenstronomyProcesses, index: int
) -> float:
    """Largest difference of one image, over its peak."""
    reference = theirs.image(index)
    ours = scene.render(table.select(slice(index, index + 1)))[0, 0].numpy()
    return float(abs(ours - reference).max() / reference.max())


def _ours(
    num_rounds: int, scene: Scene, table: LensParameters, threads: int = 1
) -> tuple[float, float]:
    """Images per second of wall time and of processor time."""
    torch.set_num_threads(threads)
    busy, start = time.process_time(), time.perf_counter()
    for _ in range(num_rounds):
        scene.render(table)
    wall, busy = time.perf_counter() - start, time.process_time() - busy
    num_images = num_rounds * _NUM_LENSES
    return num_images / wall, num_images / busy


def _theirs(processes: LenstronomyProcesses, num_images: int, count: int) -> tuple[float, float]:
    wall, busy = processes.measure(num_images, count)
    return count * num_images / wall, count * num_images / busy


def _load_average() -> float | None:
    """Processes that wanted a processor over the last minute, where the system tells."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
