"""Sensitivity maps: the lightest subhalo that would be found at each place of one lens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from darkarcs.benchmark.detection_lenses import (
    ORACLE,
    ORACLES,
    SmoothLenses,
    observe,
    render_smooth,
    smooth_scene,
    template_of,
)
from darkarcs.benchmark.detection_observers import (
    CHUNK,
    DetectionSettings,
    control_scores,
    scores_of,
)
from darkarcs.benchmark.detection_rates import require_controls, threshold_at
from darkarcs.benchmark.sensitivity_map import SensitivityMap, SensitivitySettings
from darkarcs.evaluation.provenance import command_line, describe_machine, package_version
from darkarcs.inference import Predictor
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.placement import place_subhalos
from darkarcs.scenes.smooth import macro_nuisances
from darkarcs.simulation.progress import show_progress

Floats = NDArray[np.float64]
Thresholds = dict[str, dict[float, float]]
#: Masses of the subhalos whose share of sensitive area is quoted, log10 solar masses.
SUMMARY_MASSES = (9.0, 10.0)


def map_sensitivity(
    scene: Scene,
    settings: SensitivitySettings,
    predictors: Mapping[str, Predictor] | None = None,
    *,
    marginalize: bool = True,
) -> list[SensitivityMap]:
    """Put subhalos everywhere in lenses of a scene, and see which are found.

    Parameters
    ----------
    scene : Scene
        Whose lenses; see `darkarcs.benchmark.detection.detection`. The subhalos are typical
        ones: `SingleSubhalo.typical_at`.
    settings : SensitivitySettings
        Which lenses, places, masses.
    predictors : mapping of str to Predictor, optional
        Models by name.
    marginalize : bool, default True
        Also map the oracles that do not know the smooth lens.

    Returns
    -------
    list of SensitivityMap
        One a lens.

    Raises
    ------
    DarkarcsError
        Too few controls for a false-positive rate, a subhalo that outweighs the lens.
    """
    named = dict(predictors or {})
    if named:
        require_controls(settings.num_controls, settings.false_positive_rates[0])
    smooth = smooth_scene(scene)
    thresholds = _thresholds(smooth, settings, named, marginalize)
    lenses = smooth.draw(settings.seed, settings.index, settings.num, part=settings.part)
    nuisances = macro_nuisances(smooth) if marginalize else None
    total = settings.num * len(_cells(settings)) * len(settings.log10_masses)
    maps = []
    with show_progress(f"subhalos in {scene.name}", total) as advance:
        for i in range(settings.num):
            lens = render_smooth(smooth, lenses.select(slice(i, i + 1)), nuisances)
            maps.append(_map(scene, lens, settings, named, thresholds, advance))
    return maps


def _thresholds(
    smooth: Scene,
    settings: SensitivitySettings,
    predictors: Mapping[str, Predictor],
    marginalize: bool,
) -> Thresholds:
    """What counts as found; a model has no threshold where its controls are too few for one."""
    first, *others = settings.false_positive_rates
    controls = control_scores(
        smooth,
        DetectionSettings(
            num_controls=settings.num_controls, seed=settings.seed, part=settings.part
        ),
        predictors,
    )
    found = {
        name: {rate: float(ndtri(1 - rate)) for rate in settings.false_positive_rates}
        for name in (ORACLES if marginalize else (ORACLE,))
    }
    return found | {
        name: {
            rate: threshold_at(scores, rate)
            for rate in (first, *(rate for rate in others if rate * len(scores) >= 1))
        }
        for name, scores in controls.items()
    }


def _cells(settings: SensitivitySettings) -> NDArray[np.int64]:
    """Rows and columns of the map that lie inside its disk, shape (P, 2)."""
    axis = _axis(settings.grid)
    inside = np.hypot(axis[:, None], axis[None, :]) <= 1
    return np.argwhere(inside)


def _axis(grid: int) -> Floats:
    return (2 * np.arange(grid) + 1) / grid - 1


def _map(
    scene: Scene,
    lens: SmoothLenses,
    settings: SensitivitySettings,
    predictors: Mapping[str, Predictor],
    thresholds: Thresholds,
    advance: Callable[[int], None],
) -> SensitivityMap:
    cells = _cells(settings)
    radius = lens.parameters.columns["lens.einstein_radius"].item()
    y, x = (_axis(settings.grid)[cells] * settings.extent * radius).T
    values: dict[str, list[Floats]] = {name: [] for name in thresholds}
    for mass in settings.log10_masses:
        parts: dict[str, list[Floats]] = {name: [] for name in thresholds}
        for start in range(0, len(x), CHUNK):
            some = slice(start, start + CHUNK)
            placed = place_subhalos(
                scene, lens.parameters, template_of(scene), log10_mass=mass, x=x[some], y=y[some]
            )
            with torch.no_grad():
                images = scene.render(placed)
            found = lens.strengths(images)
            found |= _scores(scene, images, placed, settings, predictors, mass)
            for name, score in found.items():
                parts[name].append(score)
            advance(len(images))
        for name, chunks in parts.items():
            values[name].append(np.concatenate(chunks))
    columns = lens.parameters.columns
    observed = observe(scene, lens.images, lens.parameters, "map").images[0]
    return SensitivityMap(
        identity=str(lens.parameters.identities[0]),
        image=lens.images[0].numpy(),
        observed=observed,
        einstein_radius=radius,
        centre=(columns["lens.centre_x"].item(), columns["lens.centre_y"].item()),
        x=x,
        y=y,
        cells=cells,
        values={name: np.stack(rows) for name, rows in values.items()},
        thresholds=thresholds,
        smooth_score={
            name: float(score[0])
            for name, score in _scores(
                scene, lens.images, lens.parameters, settings, predictors, "none"
            ).items()
        },
    )


def _scores(
    scene: Scene,
    images: Tensor,
    lenses: LensParameters,
    settings: SensitivitySettings,
    predictors: Mapping[str, Predictor],
    mass: float | str,
) -> dict[str, Floats]:
    """Scores of the models, shape (B,), averaged over draws of the noise."""
    if not predictors:
        return {}
    draws: dict[str, list[Floats]] = {name: [] for name in predictors}
    for draw in range(settings.num_noise):
        x = lenses.columns.get("substructure.x", np.zeros(1))[0]
        address = f"sensitivity {mass} {x:.9g} {draw}"
        observed = observe(scene, images, lenses, address)
        for name, predictor in predictors.items():
            draws[name].append(scores_of(predictor, observed))
    return {name: np.mean(scores, axis=0) for name, scores in draws.items()}


def sensitivity(
    scene: Scene,
    settings: SensitivitySettings,
    maps: list[SensitivityMap],
    predictors: Mapping[str, Predictor] | None = None,
) -> dict[str, Any]:
    """Report sensitivity maps.

    Parameters
    ----------
    scene : Scene
        Whose lenses.
    settings : SensitivitySettings
        What was mapped.
    maps : list of SensitivityMap
        From `map_sensitivity`.
    predictors : mapping of str to Predictor, optional
        Models by name.

    Returns
    -------
    dict
        Ready for JSON: ``maps`` (of each lens the smallest log10 mass by observer, a list of rows
        with null where nothing is found or outside of the disk, at the first false-positive
        rate), and ``summary`` (by observer and false-positive rate the ``shares`` of the places
        that are sensitive to `SUMMARY_MASSES`, over all lenses but ``num_false_alarms``, in which
        a model finds something without a subhalo, and the ``lightest_log10_mass`` anywhere; null
        where no lens is left).
    """
    masses = settings.log10_masses
    summary = []
    for observer, rates in maps[0].thresholds.items():
        for rate in rates:
            quiet = [one for one in maps if not one.is_false_alarm(observer, rate)]
            parts = [one.smallest(observer, rate, masses) for one in quiet]
            found = np.concatenate(parts) if parts else np.zeros(0)
            lightest = None if np.isnan(found).all() else float(np.nanmin(found))
            # a comparison with what is not a number is false
            shares = [
                float((found <= mass + 1e-9).mean()) if parts else None for mass in SUMMARY_MASSES
            ]
            summary.append(
                {
                    "observer": observer,
                    "false_positive_rate": rate,
                    "shares": shares,
                    "lightest_log10_mass": lightest,
                    "num_false_alarms": len(maps) - len(quiet),
                }
            )
    first = settings.false_positive_rates[0]
    return {
        "schema_version": 1,
        "kind": "sensitivity",
        "scene": scene.identity,
        "description": scene.description,
        "subhalo": template_of(scene).model_dump(
            mode="json", exclude={"log10_mass", "distance_to_arc"}
        ),
        **settings.model_dump(mode="json"),
        "models": {name: one.folder.model_hash for name, one in (predictors or {}).items()},
        "summary_log10_masses": list(SUMMARY_MASSES),
        "summary": summary,
        "maps": [
            {
                "identity": one.identity,
                "einstein_radius": one.einstein_radius,
                "centre": list(one.centre),
                "smooth_score": one.smooth_score,
                "thresholds": {name: rates[first] for name, rates in one.thresholds.items()},
                "smallest_log10_mass": {
                    name: _rows(grid_of(one, name, first, settings)) for name in one.values
                },
            }
            for one in maps
        ],
        "command": command_line(),
        "version": package_version(),
        "machine": describe_machine(torch.get_num_threads()),
    }


def grid_of(
    one: SensitivityMap, observer: str, rate: float, settings: SensitivitySettings
) -> Floats:
    """Lay a map out on its grid.

    Parameters
    ----------
    one : SensitivityMap
        Of one lens.
    observer : str
        Of its ``values``.
    rate : float
        A false-positive rate.
    settings : SensitivitySettings
        What was mapped.

    Returns
    -------
    ndarray, shape (grid, grid)
        Smallest log10 mass, y along the rows; not a number where nothing is found.
    """
    image = np.full((settings.grid, settings.grid), np.nan)
    image[tuple(one.cells.T)] = one.smallest(observer, rate, settings.log10_masses)
    return image


def _rows(image: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(v) else round(float(v), 3) for v in row] for row in image]
