"""The information limit of a scene: what its pixels hold about the substructure, in three figures.

The oracle is told all but the class, the marginalized oracle not the smooth lens, source and blur,
and the observer not the substructure either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from darkarcs.evaluation.provenance import (
    command_line,
    describe_machine,
    git_commit,
    package_version,
)
from darkarcs.limits.observing import (
    LENSES_AT_ONCE,
    Scores,
    area_figure,
    draw_pairs,
    observe,
    observer_figure,
)
from darkarcs.limits.oracle import oracle_matrix, paired_auc
from darkarcs.limits.refit import Refit, refit
from darkarcs.limits.results import (
    Bin,
    LimitRequest,
    LimitResult,
    LimitRow,
    RefitCheck,
)
from darkarcs.limits.tangent import MacroTangents, macro_tangents
from darkarcs.limits.variants import Variant, make_variants
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.smooth import macro_nuisances, smooth_partners

Floats = NDArray[np.float64]
Progress = Callable[[int], None]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_NUM_BINS = 4


class _Collected:
    """What was measured of the lenses of one variant."""

    def __init__(self, variant: Variant, noise_factors: Sequence[float]) -> None:
        self.variant = variant
        # by factor of the noise, each (3, B): d, d_perp, d_prior
        self.strengths: dict[float, list[Floats]] = {f: [] for f in noise_factors}
        self.d_perp: list[Floats] = []  # at the scene's own noise
        self.columns: list[dict[str, Floats]] = []
        self.scores: dict[float, list[Scores]] = {f: [] for f in noise_factors}
        self.refits: list[tuple[Refit, float]] = []  # with d_perp


def measure_limits(
    scene: Scene,
    request: LimitRequest,
    *,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> LimitResult:
    """Measure how well any classifier could tell substructure from none.

    Parameters
    ----------
    scene : Scene
        With ``no_sub``.
    request : LimitRequest
        Classes, fractions, noise and numbers.
    overrides : sequence of str, optional
        Changes of the scene, to be kept with the result.
    progress : callable, optional
        Called with a number of images as they are done; `count_images` gives their total.

    Returns
    -------
    LimitResult
        Ready to be saved.

    Raises
    ------
    ConfigurationError
        If the scene has no noise, noise that is correlated, or no class to measure.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> scene = load_scene("fair-euclid", ["num_pixels=32"])
    >>> small = {"fractions": (0.1,), "num": 2, "num_observed": 0, "num_refitted": 0}
    >>> row = measure_limits(scene, LimitRequest.parse(small, "here")).rows[0]
    >>> row.d_perp[2] < row.d[2]
    True
    """
    start = time.perf_counter()
    done = progress or _ignore
    variants = make_variants(scene, request.classes, request.fractions)
    nuisances = macro_nuisances(scene)
    collected = [_Collected(variant, request.noise_factors) for variant in variants]
    peaks: list[Floats] = []
    for first in range(0, request.num, LENSES_AT_ONCE):
        count = min(LENSES_AT_ONCE, request.num - first)
        smooth = smooth_partners(scene, draw_pairs(variants[0], request, first, count))
        tangents = macro_tangents(scene, smooth, nuisances)
        peaks.append((tangents.images * tangents.scale).flatten(1).amax(1).numpy())
        done(count)
        for one in collected:
            _measure_oracles(one, request, first, tangents)
            done(count)
            _observe(one, request, first, smooth, tangents, done)
            _refit(one, request, first, smooth, tangents, done)
    return LimitResult(
        scene=scene.identity,
        overrides=tuple(overrides),
        request=request,
        nuisances=nuisances,
        peak_signal_to_noise=_quantiles(np.concatenate(peaks)),
        rows=tuple(
            _summarize(one, factor, request.seed)
            for one in collected
            for factor in request.noise_factors
        ),
        command=command_line(),
        version=package_version(),
        commit=git_commit(),
        wall_seconds=time.perf_counter() - start,
        machine=describe_machine(torch.get_num_threads()),
    )


def count_images(scene: Scene, request: LimitRequest) -> int:
    """Count what a measurement goes through, for a progress bar.

    Parameters
    ----------
    scene : Scene
        Whose limits.
    request : LimitRequest
        What to measure.

    Returns
    -------
    int
        Sum of what `measure_limits` reports.
    """
    num = len(make_variants(scene, request.classes, request.fractions))
    observed = min(request.num_observed, request.num)
    draws = observed * (request.num_training + request.num_test)
    return request.num * (1 + num) + num * (draws + min(request.num_refitted, request.num))


def _ignore(count: int) -> None:
    """Nobody watches."""


def _measure_oracles(
    one: _Collected, request: LimitRequest, first: int, tangents: MacroTangents
) -> None:
    lenses = draw_pairs(one.variant, request, first, len(tangents))
    whitened = tangents.whiten(one.variant.scene.render(lenses))
    one.d_perp.append(tangents.strengths(whitened).d_perp)
    for factor, strengths in one.strengths.items():
        found = tangents.strengths(whitened, factor)
        strengths.append(np.stack([found.d, found.d_perp, found.d_prior]))
    one.columns.append(
        {name: v for name, v in lenses.columns.items() if name.startswith("substructure.")}
    )


def _observe(
    one: _Collected,
    request: LimitRequest,
    first: int,
    smooth: LensParameters,
    tangents: MacroTangents,
    done: Progress,
) -> None:
    for i in range(min(request.num_observed - first, len(tangents))):
        here = slice(i, i + 1)
        own = observe(
            one.variant, request, smooth.select(here), tangents.select(here), tuple(one.scores)
        )
        for factor, scores in own.items():
            one.scores[factor].append(scores)
        done(request.num_training + request.num_test)


def _refit(
    one: _Collected,
    request: LimitRequest,
    first: int,
    smooth: LensParameters,
    tangents: MacroTangents,
    done: Progress,
) -> None:
    count = min(request.num_refitted - first, len(tangents))
    if count <= 0:
        return
    lenses = draw_pairs(one.variant, request, first, count)
    images = one.variant.scene.render(lenses, dtype=torch.float64)
    linear = one.d_perp[-1]
    for i in range(count):
        here = slice(i, i + 1)
        fitted = refit(one.variant.scene, smooth.select(here), images[i], tangents.names)
        one.refits.append((fitted, float(linear[i])))
        done(1)


def _summarize(one: _Collected, noise_factor: float, seed: int) -> LimitRow:
    d, d_perp, d_prior = np.concatenate(one.strengths[noise_factor], axis=1)
    scores = one.scores[noise_factor]
    columns = {
        name: np.concatenate([table[name] for table in one.columns]) for name in one.columns[0]
    }
    return LimitRow(
        class_name=one.variant.class_name,
        fraction=one.variant.fraction,
        noise_factor=noise_factor,
        num=len(d),
        d=_quantiles(d),
        d_perp=_quantiles(d_perp),
        d_prior=_quantiles(d_prior),
        oracle=area_figure(oracle_matrix(d), seed),
        marginalized=area_figure(oracle_matrix(d_perp), seed),
        with_prior=area_figure(oracle_matrix(d_prior), seed),
        observer=observer_figure(scores, seed),
        num_observed=len(scores),
        refit=_check(one.refits, noise_factor),
        bins=tuple(_bins(columns, d, d_perp)),
    )


def _check(refits: Sequence[tuple[Refit, float]], noise_factor: float) -> RefitCheck | None:
    if not refits:
        return None
    left = np.array([fitted.remaining for fitted, _ in refits])
    linear = np.array([d_perp for _, d_perp in refits])
    low, lower, middle, upper, high = np.quantile(left / linear, [0, 0.25, 0.5, 0.75, 1])
    return RefitCheck(
        num=len(refits),
        converged=sum(fitted.converged for fitted, _ in refits),
        ratio=(float(low), float(lower), float(middle), float(upper), float(high)),
        paired_linear=paired_auc(linear / noise_factor),
        paired_fitted=paired_auc(left / noise_factor),
    )


def _bins(columns: dict[str, Floats], d: Floats, d_perp: Floats) -> list[Bin]:
    """Quarters of the lenses by each column that varies."""
    found = []
    for name, values in columns.items():
        if np.ptp(values) == 0 or len(values) < 5 * _NUM_BINS:
            continue
        for part in np.array_split(np.argsort(values, kind="stable"), _NUM_BINS):
            found.append(
                Bin(
                    column=name,
                    low=float(values[part].min()),
                    high=float(values[part].max()),
                    num=len(part),
                    d=float(np.median(d[part])),
                    d_perp=float(np.median(d_perp[part])),
                    oracle=paired_auc(d[part]),
                    marginalized=paired_auc(d_perp[part]),
                )
            )
    return found


def _quantiles(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, _QUANTILES))
