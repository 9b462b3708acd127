"""How well a map finds subhalos, against a map that knows where the ring is and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from darkarcs.errors import DataError
from darkarcs.evaluation.roc import auc
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float64]

#: Bins of the distance to the lens in which the radial map counts.
_RADIAL_BINS = 24


def evaluate_map(
    probability: NDArray[np.floating],
    counts: NDArray[np.floating],
    radius: NDArray[np.floating] | None = None,
    *,
    num_bootstrap: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate maps of where subhalos sit.

    Parameters
    ----------
    probability : ndarray, shape (N, G, G)
        That a cell holds a subhalo.
    counts : ndarray, shape (N, G, G)
        Subhalos in each cell; NaN where unknown, and such images are left out.
    radius : ndarray, shape (N, G, G), optional
        Distance of each cell to the lens in Einstein radii, for the radial map: the share of
        occupied cells at that distance, counted on the other half of the images.
    num_bootstrap : int, default 500
        Resamples, of images.
    seed : int, default 0
        Of the resamples and of the halves.

    Returns
    -------
    dict
        ``n`` images, ``occupied`` share of cells, and for ``model`` and ``radial`` (None without
        radii): ``average_precision`` and ``auc`` over all cells of all images, which also count
        what a map knows of how much there is, and ``auc_within``, the mean AUC over the cells of
        one image, which counts only where; each with ``_interval`` of level 0.95. ``gain``: model
        less radial map, its intervals over the same resamples.

    Raises
    ------
    DataError
        If shapes differ, or no cell or every cell is occupied.

    Examples
    --------
    >>> counts = np.zeros((2, 2, 2)); counts[:, 0, 0] = 1
    >>> evaluate_map(counts + 0.1, counts, num_bootstrap=0)["model"]["auc"]
    1.0
    """
    if probability.shape != counts.shape or probability.ndim != 3:
        raise DataError(f"maps {probability.shape} do not fit their truth {counts.shape}")
    if radius is not None and radius.shape != counts.shape:
        raise DataError(f"radii {radius.shape} do not fit the maps {counts.shape}")
    known = np.isfinite(counts).all(axis=(1, 2))
    occupied = (counts[known] > 0).reshape(int(known.sum()), -1)  # (N, cells)
    if not 0 < occupied.mean() < 1:
        raise DataError("maps: there are no occupied cells, or no empty ones, to tell apart")
    scores = {"model": probability[known].reshape(occupied.shape).astype(np.float64)}
    random = numpy_generator(seed, "map bootstrap")
    if radius is not None:
        far = radius[known].reshape(occupied.shape).astype(np.float64)
        scores["radial"] = _radial_map(far, occupied, random.permutation(len(occupied)))
    report: dict[str, Any] = {
        "n": len(occupied),
        "num_unknown": int((~known).sum()),
        "cells": int(occupied.shape[1]),
        "occupied": float(occupied.mean()),
        "radial": None,
        "gain": None,
    }
    within = {name: _within(values, occupied) for name, values in scores.items()}
    measured = {n: _figures(values, occupied, within[n]) for n, values in scores.items()}
    draws: dict[str, list[dict[str, float]]] = {name: [] for name in scores}
    for _ in range(num_bootstrap):
        chosen = random.integers(0, len(occupied), len(occupied))
        if 0 < occupied[chosen].mean() < 1:
            for name, values in scores.items():
                draw = _figures(values[chosen], occupied[chosen], within[name][chosen])
                draws[name].append(draw)
    for name, figures in measured.items():
        report[name] = {**figures, **_intervals(draws[name])}
    if radius is not None:
        differences = [
            {key: model[key] - radial[key] for key in model}
            for model, radial in zip(draws["model"], draws["radial"], strict=True)
        ]
        gain = {k: measured["model"][k] - measured["radial"][k] for k in measured["model"]}
        report["gain"] = {**gain, **_intervals(differences)}
    return report


def _radial_map(radius: Floats, occupied: NDArray[np.bool_], order: NDArray[np.int64]) -> Floats:
    """Rate of occupied cells by distance, each half of the images by the other's counts."""
    edges = np.quantile(radius, np.linspace(0, 1, _RADIAL_BINS + 1)[1:-1])
    bins = np.digitize(radius, edges)
    rates = np.empty(radius.shape)
    halves = np.array_split(order, 2) if len(order) > 1 else [order, order]
    for own, other in (halves, halves[::-1]):
        total = np.bincount(bins[other].ravel(), minlength=_RADIAL_BINS)
        held = np.bincount(bins[other][occupied[other]], minlength=_RADIAL_BINS)
        rates[own] = ((held + 0.5) / (total + 1.0))[bins[own]]
    return rates


def _within(scores: Floats, occupied: NDArray[np.bool_]) -> Floats:
    """AUC over the cells of each image; NaN where it has cells of one kind only."""
    areas = np.full(len(scores), np.nan)
    for index in np.flatnonzero(occupied.any(axis=1) & ~occupied.all(axis=1)):
        areas[index] = auc(scores[index], occupied[index])
    return areas


def _figures(scores: Floats, occupied: NDArray[np.bool_], within: Floats) -> dict[str, float]:
    flat, truth = scores.ravel(), occupied.ravel()
    inside = within[np.isfinite(within)]
    return {
        "average_precision": float(average_precision_score(truth, flat)),
        "auc": float(auc(flat, truth)),
        "auc_within": float(inside.mean()) if len(inside) else 0.5,
    }


def _intervals(draws: list[dict[str, float]]) -> dict[str, list[float] | None]:
    names = ("average_precision", "auc", "auc_within")
    if not draws:
        return {f"{name}_interval": None for name in names}
    return {
        f"{name}_interval": [
            float(bound) for bound in np.percentile([d[name] for d in draws], [2.5, 97.5])
        ]
        for name in names
    }
