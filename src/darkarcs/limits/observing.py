"""The unknown-substructure observer on lens after lens, also on more lenses than were measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from darkarcs.errors import ConfigurationError
from darkarcs.evaluation.provenance import command_line
from darkarcs.limits.observer import draw_residuals, examine, train_observer
from darkarcs.limits.oracle import Area, paired_area, pooled_area, scores_matrix
from darkarcs.limits.results import AreaRecord, Figure, LimitRequest, LimitResult, LimitRow
from darkarcs.limits.tangent import MacroTangents, macro_tangents
from darkarcs.limits.variants import Variant, make_variants
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.smooth import smooth_partners

Floats = NDArray[np.float64]
#: Scores of cases and of controls, each (S,), of one lens.
Scores = tuple[Floats, Floats]
Progress = Callable[[int], None]

#: Lenses whose tangent spaces are held in memory at a time.
LENSES_AT_ONCE = 32


def draw_pairs(variant: Variant, request: LimitRequest, first: int, count: int) -> LensParameters:
    """Draw the images with substructure of pairs.

    Parameters
    ----------
    variant : Variant
        Class and fraction.
    request : LimitRequest
        Seed and part.
    first, count : int
        Which pairs.

    Returns
    -------
    LensParameters
        ``count`` lenses, the same smooth ones for all variants.
    """
    pairs = variant.scene.draw(request.seed, 2 * first, 2 * count, part=request.part, paired=True)
    return pairs.select(np.flatnonzero(pairs.labels == 1))


def observe(
    variant: Variant,
    request: LimitRequest,
    lens: LensParameters,
    tangents: MacroTangents,
    noise_factors: Sequence[float],
) -> dict[float, Scores]:
    """Train an observer on one lens, and let it score what it has not seen.

    Parameters
    ----------
    variant : Variant
        Class and fraction.
    request : LimitRequest
        Numbers of draws, and their seed.
    lens : LensParameters
        One smooth lens.
    tangents : MacroTangents
        Of this lens.
    noise_factors : sequence of float
        Noise in units of the scene's.

    Returns
    -------
    dict of float to pair of ndarray
        Scores of cases and controls at each noise.
    """
    count = request.num_training + request.num_test
    residuals = draw_residuals(
        variant.scene, variant.class_name, lens, tangents, count, seed=request.seed
    )
    observer = train_observer(residuals[: request.num_training])
    unseen, address = residuals[request.num_training :], str(lens.identities[0])
    return {
        factor: examine(observer, unseen, noise_factor=factor, seed=request.seed, address=address)
        for factor in noise_factors
    }


def observer_figure(scores: Sequence[Scores], seed: int) -> Figure | None:
    """Summarize the scores of all lenses; none of fewer than two.

    Parameters
    ----------
    scores : sequence of pair of ndarray
        One a lens.
    seed : int
        Of resampled lenses.

    Returns
    -------
    Figure or None
        Paired and pooled AUC.
    """
    if len(scores) < 2:
        return None
    cases, controls = (np.stack(side) for side in zip(*scores, strict=True))
    return area_figure(scores_matrix(cases, controls), seed)


def area_figure(matrix: Floats, seed: int) -> Figure:
    """Compute both areas of a matrix of lenses against lenses.

    Parameters
    ----------
    matrix : ndarray, shape (B, B)
        Chance that a case ranks above a control.
    seed : int
        Of resampled lenses.

    Returns
    -------
    Figure
        Paired and pooled AUC.
    """
    return Figure(
        paired=_record(paired_area(matrix, seed)), pooled=_record(pooled_area(matrix, seed))
    )


def _record(area: Area) -> AreaRecord:
    return AreaRecord(value=area.value, interval=(area.low, area.high))


def count_draws(scene: Scene, result: LimitResult, request: LimitRequest) -> int:
    """Count what `observe_more` goes through, for a progress bar.

    Parameters
    ----------
    scene : Scene
        Of the limits.
    result : LimitResult
        Measured limits.
    request : LimitRequest
        What to observe.

    Returns
    -------
    int
        Sum of what it reports.
    """
    return len(_chosen(scene, result, request)) * min(request.num_observed, request.num)


def observe_more(
    scene: Scene,
    result: LimitResult,
    request: LimitRequest,
    *,
    progress: Progress | None = None,
) -> LimitResult:
    """Measure the observer of measured limits again, on more of their lenses.

    Parameters
    ----------
    scene : Scene
        Of the limits.
    result : LimitResult
        Measured limits; oracles and models stay as they are.
    request : LimitRequest
        That of the limits, with classes and fractions to observe and another ``num_observed``.
    progress : callable, optional
        Called with a number of lenses as they are done; `count_draws` gives their total.

    Returns
    -------
    LimitResult
        With other ``observer`` in the rows of these classes and fractions.

    Raises
    ------
    ConfigurationError
        If the limits hold no row of a class and fraction.
    """
    chosen = _chosen(scene, result, request)
    found: list[dict[float, list[Scores]]] = [
        {factor: [] for factor in request.noise_factors} for _ in chosen
    ]
    num = min(request.num_observed, request.num)
    for first in range(0, num, LENSES_AT_ONCE):
        count = min(LENSES_AT_ONCE, num - first)
        smooth = smooth_partners(scene, draw_pairs(chosen[0], request, first, count))
        tangents = macro_tangents(scene, smooth, result.nuisances)
        for variant, by_noise in zip(chosen, found, strict=True):
            for i in range(count):
                here = slice(i, i + 1)
                own = observe(
                    variant, request, smooth.select(here), tangents.select(here), tuple(by_noise)
                )
                for factor, scores in own.items():
                    by_noise[factor].append(scores)
                if progress is not None:
                    progress(1)
    observed = {
        (variant.class_name, variant.fraction, factor): scores
        for variant, by_noise in zip(chosen, found, strict=True)
        for factor, scores in by_noise.items()
    }
    rows = tuple(_again(row, observed.get(_key(row)), request) for row in result.rows)
    return result.model_copy(update={"rows": rows})


def _key(row: LimitRow) -> tuple[str, float | None, float]:
    return row.class_name, row.fraction, row.noise_factor


def _again(row: LimitRow, scores: list[Scores] | None, request: LimitRequest) -> LimitRow:
    if scores is None:
        return row
    changed = {"observer": observer_figure(scores, request.seed), "num_observed": len(scores)}
    return row.model_copy(update=changed | {"observer_command": command_line()})


def _chosen(scene: Scene, result: LimitResult, request: LimitRequest) -> list[Variant]:
    variants = make_variants(scene, request.classes, request.fractions)
    known = {(row.class_name, row.fraction) for row in result.rows}
    for variant in variants:
        if (variant.class_name, variant.fraction) not in known:
            raise ConfigurationError(
                f"these limits hold no row of {variant.class_name} at {variant.fraction}: "
                f"they hold {sorted(known, key=str)}"
            )
    return variants
