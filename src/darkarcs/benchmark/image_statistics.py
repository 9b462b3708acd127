"""Plain numbers of images, and how far an image or a set lies from simulated ones by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from darkarcs.errors import DataError
from darkarcs.evaluation.roc import auc

Floats = NDArray[np.float64]

#: Rings that share the radius of the largest circle inside an image.
NUM_RINGS = 24
#: Width of the border, as a share of the side, that statistics of the background come from.
BORDER = 0.06
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of images.

    Parameters
    ----------
    names : tuple of str
        What each column is.
    values : NDArray of float64, shape (N, F)
        One row an image.
    """

    names: tuple[str, ...]
    values: Floats

    def column(self, name: str) -> Floats:
        """Give one statistic.

        Parameters
        ----------
        name : str
            Which.

        Returns
        -------
        NDArray of float64, shape (N,)
            Its values.
        """
        values: Floats = self.values[:, self.names.index(name)]
        return values


def radial_profiles(images: NDArray[np.floating[Any]], num_rings: int = NUM_RINGS) -> Floats:
    """Average images over rings around their centres.

    Parameters
    ----------
    images : NDArray, shape (N, H, W)
        Square.
    num_rings : int
        Rings of equal width within the largest circle inside.

    Returns
    -------
    NDArray of float64, shape (N, num_rings)
        Means.

    Examples
    --------
    >>> radial_profiles(np.ones((1, 16, 16)), 4).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    radius, _, _ = _polar(images.shape[-1])
    ring = np.minimum((radius / (images.shape[-1] / 2) * num_rings).astype(int), num_rings).ravel()
    sums = np.stack([np.bincount(ring, image.ravel(), num_rings + 1) for image in images])
    profile: Floats = (sums / np.maximum(np.bincount(ring, minlength=num_rings + 1), 1))[
        :, :num_rings
    ]
    return profile


def image_statistics(images: NDArray[np.floating[Any]]) -> Statistics:
    """Measure images.

    Parameters
    ----------
    images : NDArray, shape (N, H, W)
        Square, as stored.

    Returns
    -------
    Statistics
        ``flux``, ``peak``, ``background``, ``background_rms`` (of the border, as logarithms to
        base ten), ``zeros`` (share of the border's pixels), ``grain`` (logarithm of the rms
        difference of a pixel from its four neighbours, over the peak), ``mean_radius`` (of the
        light, as a share of half the side), ``m1`` to ``m4`` (azimuthal amplitudes over the
        flux), ``elongation`` (second moment along x minus that along y, over their sum) and the
        mean in `NUM_RINGS` rings over the mean of all.

    Raises
    ------
    DataError
        If images are not square.
    """
    if images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise DataError(f"images of shape {images.shape} are not (N, side, side)")
    images = np.asarray(images, dtype=np.float64)
    side = images.shape[-1]
    radius, x, y = _polar(side)
    width = max(1, round(BORDER * side))
    border = np.ones((side, side), dtype=bool)
    border[width:-width, width:-width] = False
    edge = images[:, border]
    light = np.clip(images - np.median(edge, axis=1)[:, None, None], 0, None)
    flux = np.maximum(light.sum(axis=(1, 2)), _TINY)
    angle = np.arctan2(y, x)
    inner = images[:, 1:-1, 1:-1]
    around = sum(np.roll(images, s, a)[:, 1:-1, 1:-1] for s in (1, -1) for a in (1, 2)) / 4
    squares = [(light * axis**2).sum(axis=(1, 2)) for axis in (x, y)]
    rows = {
        "flux": _log(images.sum(axis=(1, 2))),
        "peak": _log(images.max(axis=(1, 2))),
        "background": _log(np.abs(edge.mean(axis=1))),
        "background_rms": _log(edge.std(axis=1)),
        "zeros": (edge == 0).mean(axis=1),
        "grain": _log((inner - around).std(axis=(1, 2)) / images.max(axis=(1, 2))),
        "mean_radius": (light * radius).sum(axis=(1, 2)) / flux / (side / 2),
        **{
            f"m{order}": np.abs((light * np.exp(1j * order * angle)).sum(axis=(1, 2))) / flux
            for order in (1, 2, 3, 4)
        },
        "elongation": (squares[0] - squares[1]) / np.maximum(squares[0] + squares[1], _TINY),
    }
    profile = radial_profiles(images) / np.maximum(images.mean(axis=(1, 2)), _TINY)[:, None]
    names = (*rows, *(f"ring {number}" for number in range(NUM_RINGS)))
    return Statistics(names, np.concatenate([np.stack([*rows.values()], axis=1), profile], axis=1))


def place_among(sample: Floats, simulated: Floats, *, components: int = 12) -> dict[str, Any]:
    """Ask whether one image could be one of many simulated ones.

    Its statistics are compared one by one, and together by Mahalanobis' distance in the
    principal components of the simulated ones plus the distance left outside of them. Both are
    calibrated by the simulated images themselves, one half measured against the other.

    Parameters
    ----------
    sample : NDArray of float64, shape (F,)
        Statistics of the image.
    simulated : NDArray of float64, shape (N, F)
        Those of simulated images, at least forty.
    components : int
        How many principal components.

    Returns
    -------
    dict
        ``percentiles`` (share of simulated images below, each), ``p`` (share of simulated
        images at least as far from the others).

    Examples
    --------
    >>> among = np.random.default_rng(0).normal(size=(400, 5))
    >>> place_among(np.zeros(5), among)["p"] > 0.9, place_among(np.full(5, 9.0), among)["p"] < 0.01
    (True, True)
    """
    below = (simulated < sample).mean(axis=0) / 2 + (simulated <= sample).mean(axis=0) / 2
    half = len(simulated) // 2
    distances, own = [], []
    for fitted, others in (
        (simulated[:half], simulated[half:]),
        (simulated[half:], simulated[:half]),
    ):
        measure = _distance_from(fitted, components)
        distances.append(measure(others))
        own.append(float(measure(sample[None])[0]))
    far = np.mean([np.mean(d >= o) for d, o in zip(distances, own, strict=True)])
    return {"percentiles": below.tolist(), "p": max(float(far), 1 / (len(simulated) + 1))}


def _distance_from(fitted: Floats, components: int) -> Any:
    mean, scale = fitted.mean(axis=0), fitted.std(axis=0)
    # a column that never varies must not make every sample infinitely far
    scale = np.where(scale > 1e-9, scale, np.maximum(1e-3, np.abs(mean)))
    _, values, axes = np.linalg.svd((fitted - mean) / scale, full_matrices=False)
    count = min(components, int((values > 1e-6 * values[0]).sum()))
    spread = values[:count] / np.sqrt(len(fitted))

    def measure(rows: Floats) -> Floats:
        whitened = (rows - mean) / scale
        along = whitened @ axes[:count].T
        rest = (whitened**2).sum(axis=1) - (along**2).sum(axis=1)
        result: Floats = ((along / spread) ** 2).sum(axis=1) + np.clip(rest, 0, None)
        return result

    return measure


def tell_apart(first: Floats, second: Floats, *, seed: int = 0) -> float:
    """Train boosted trees to tell two sets apart by their statistics.

    Parameters
    ----------
    first, second : NDArray of float64, shape (N, F) and (M, F)
        Statistics.
    seed : int
        Of the five folds.

    Returns
    -------
    float
        Out-of-fold AUC: 0.5 where they cannot be told apart.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> a, b = random.normal(size=(2, 200, 3))
    >>> 0.4 < tell_apart(a, b) < 0.6, tell_apart(a, b + 3) > 0.95
    (True, True)
    """
    values = np.concatenate([first, second])
    labels = np.repeat([0, 1], [len(first), len(second)])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    trees = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.06, random_state=seed)
    with threadpool_limits(1):
        scores = cross_val_predict(trees, values, labels, cv=folds, method="decision_function")
    return float(auc(scores, labels.astype(bool)))


def _polar(side: int) -> tuple[Floats, Floats, Floats]:
    axis = np.arange(side) - (side - 1) / 2
    x, y = np.meshgrid(axis, axis)
    return np.hypot(x, y), x, y


def _log(values: Floats) -> Floats:
    result: Floats = np.log10(np.maximum(values, _TINY))
    return result
