"""Gradient-boosted trees that score images by plain features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_FEWEST_TO_STOP = 200  # images from which on some can be spared to stop by
_ABSENT = -30.0  # log-odds of a class that no image trained on has


def out_of_fold_logits(values: Floats, labels: Integers, fold: Integers, seed: int = 0) -> Floats:
    """Score every image by trees that have seen no image of its fold.

    Parameters
    ----------
    values : ndarray of float64, shape (N, F)
        Features; NaN is a value of its own.
    labels : ndarray of int64, shape (N,)
        0 to K - 1.
    fold : ndarray of int64, shape (N,)
        From `choose_folds`.
    seed : int, default 0
        Of the trees.

    Returns
    -------
    ndarray of float64, shape (N, K)
        Logits.
    """
    logits = np.empty((len(labels), int(labels.max()) + 1))
    for held_out in np.unique(fold):
        inside = fold != held_out
        logits[~inside] = tree_logits(values, labels, inside, seed)
    return logits


def tree_logits(
    values: Floats, labels: Integers, inside: NDArray[np.bool_], seed: int = 0
) -> Floats:
    """Train gradient-boosted trees on some images and score the others.

    Parameters
    ----------
    values : ndarray of float64, shape (N, F)
        Features; NaN is a value of its own.
    labels : ndarray of int64, shape (N,)
        0 to K - 1.
    inside : ndarray of bool, shape (N,)
        Which images to train on.
    seed : int, default 0
        Of the trees.

    Returns
    -------
    ndarray of float64, shape (number of others, K)
        Logits; all zero where nothing can be learned.
    """
    logits = np.zeros((int((~inside).sum()), int(labels.max()) + 1))
    known = ~np.isnan(values[inside]).all(axis=0)
    if len(np.unique(labels[inside])) < 2 or not known.any():
        return logits
    trees = HistGradientBoostingClassifier(
        # Without early stopping trees drown a faint leak in noise; it needs images to stop by.
        max_iter=400 if inside.sum() >= _FEWEST_TO_STOP else 100,
        early_stopping=bool(inside.sum() >= _FEWEST_TO_STOP),
        min_samples_leaf=int(np.clip(inside.sum() // 20, 1, 20)),
        random_state=seed,
    )
    # One thread: on tables this small more of them only wait for each other, on a busy machine
    # for minutes.
    with threadpool_limits(1):
        trees.fit(values[inside][:, known], labels[inside])
        raw = np.asarray(trees.decision_function(values[~inside][:, known]), dtype=np.float64)
    if raw.ndim == 1:
        raw = np.stack([-raw / 2, raw / 2], axis=1)
    logits[:] = _ABSENT
    logits[:, trees.classes_] = raw
    return logits
