"""A cheap classifier that sees pixels: random convolutions, then ridge regression.

The filters are random and fixed, so only a linear map is fitted: seconds on one core where a
trained network takes minutes, and sensitive to any local pattern (rounding, interpolation,
correlated noise) that one class has and another has not.

References
----------
.. [1] Dempster, Petitjean & Webb 2020, Data Mining and Knowledge Discovery 34, 1454: maximum and
   share of positive values of random convolutions, with a ridge classifier.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from sklearn.linear_model import RidgeCV
from torch.nn import functional

from darkarcs.audit.feature_table import FeatureTable
from darkarcs.seeding import torch_generator

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NUM_FILTERS = 64
FILTER_SIZE = 5

_CHUNK = 64
_PENALTIES = np.logspace(-1, 6, 15)


def random_features(
    images: NDArray[np.float32], seed: int = 0, progress: bool = False
) -> FeatureTable:
    """Summarise the responses of images to random filters.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)
        The images, at least one; scaled by the standard deviation of all their pixels.
    seed : int, default 0
        Of the filters.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    FeatureTable
        For each of `NUM_FILTERS` filters of `FILTER_SIZE` pixels a side, half of them of sum
        zero: the mean absolute response, the largest and the smallest, and the share of
        positive ones [1]_.

    References
    ----------
    .. [1] Dempster et al. 2020, Data Mining and Knowledge Discovery 34, 1454, section 3.2.
    """
    channels = images.shape[1]
    generator = torch_generator(seed, "audit", "filters")
    filters = torch.randn(NUM_FILTERS, channels, FILTER_SIZE, FILTER_SIZE, generator=generator)
    filters[::2] -= filters[::2].mean(dim=(1, 2, 3), keepdim=True)
    # A constant set has no scale; its responses are the same for every image anyway.
    scale = float(images.std(dtype=np.float64)) or 1.0
    offset = float(images.mean(dtype=np.float64))
    parts = []
    starts = range(0, len(images), _CHUNK)
    console = Console(stderr=True)
    for start in track(starts, "Convolving", console=console, disable=not progress, transient=True):
        chunk = torch.from_numpy(np.ascontiguousarray(images[start : start + _CHUNK]))
        response = functional.conv2d((chunk - offset) / scale, filters).flatten(2)  # (B, F, P)
        summary = (
            response.abs().mean(dim=2),
            response.amax(dim=2),
            response.amin(dim=2),
            (response > 0).float().mean(dim=2),
        )
        parts.append(torch.cat(summary, dim=1).double().numpy())
    kinds = ("mean size", "maximum", "minimum", "share above zero")
    names = tuple(f"{kind} of filter {i}" for kind in kinds for i in range(NUM_FILTERS))
    return FeatureTable(names, np.concatenate(parts))


def ridge_logits(values: Floats, labels: Integers, inside: NDArray[np.bool_]) -> Floats:
    """Fit ridge regression to some images and score the others.

    Parameters
    ----------
    values : ndarray of float64, shape (N, F)
        Features, standardised here by the images trained on.
    labels : ndarray of int64, shape (N,)
        0 to K - 1.
    inside : ndarray of bool, shape (N,)
        Which images to train on.

    Returns
    -------
    ndarray of float64, shape (number of others, K)
        Regressions on the indicator of each class, the penalty chosen by leave-one-out among
        the images trained on; all zero where nothing varies.
    """
    targets = np.eye(int(labels.max()) + 1)[labels]
    mean, spread = values[inside].mean(axis=0), values[inside].std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    if not varies.any():
        return np.zeros_like(targets[~inside])
    scaled = (values[:, varies] - mean[varies]) / spread[varies]
    ridge = RidgeCV(alphas=_PENALTIES).fit(scaled[inside], targets[inside])
    predicted: Floats = ridge.predict(scaled[~inside])
    return predicted
