"""How often substructure is found at a given rate of false alarms, by a model or by an oracle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtr, ndtri

from darkarcs.errors import DataError, ModelError
from darkarcs.evaluation.operating_points import share_above
from darkarcs.seeding import numpy_generator

Floats = NDArray[np.float64]
#: Replicates of thresholds and rates.
NUM_BOOTSTRAP = 2000


@dataclass(frozen=True)
class Rate:
    """A true-positive rate with its interval.

    Attributes
    ----------
    num : int
        Lenses with substructure.
    rate : float
        Share of them that is found.
    interval : tuple of float
        Of 95 %.
    """

    num: int
    rate: float
    interval: tuple[float, float]

    def row(self) -> dict[str, Any]:
        """Give the rate as a result file keeps it.

        Returns
        -------
        dict
            Ready for JSON.
        """
        return asdict(self) | {"interval": list(self.interval)}


def substructure_score(logits: Floats, class_names: tuple[str, ...]) -> Floats:
    """Turn logits into one score for substructure of any kind.

    Parameters
    ----------
    logits : ndarray, shape (N, K)
        Before softmax.
    class_names : tuple of str, length K
        With ``no_sub``.

    Returns
    -------
    ndarray, shape (N,)
        Logarithm of the odds against ``no_sub``; unlike the probability it does not saturate.

    Raises
    ------
    ModelError
        If the model does not know ``no_sub``.

    Examples
    --------
    >>> substructure_score(np.array([[0.0, 1.0, 1.0]]), ("no_sub", "cdm", "axion")).round(3)
    array([1.693])
    """
    smooth = require_smooth_class(class_names)
    others = np.delete(np.asarray(logits, dtype=np.float64), smooth, axis=1)
    return np.asarray(logsumexp(others, axis=1) - logits[:, smooth])


def require_smooth_class(class_names: tuple[str, ...]) -> int:
    """Find the class of smooth lenses.

    Parameters
    ----------
    class_names : tuple of str
        Of a model.

    Returns
    -------
    int
        Its index.

    Raises
    ------
    ModelError
        If there is none.
    """
    if "no_sub" not in class_names:
        raise ModelError(
            f"the model tells apart {', '.join(class_names)}: detecting substructure needs no_sub"
        )
    return class_names.index("no_sub")


def threshold_at(controls: ArrayLike, false_positive_rate: float) -> float:
    """Find the score that a given share of smooth lenses exceeds.

    Parameters
    ----------
    controls : array_like, shape (N,)
        Scores of smooth lenses.
    false_positive_rate : float
        Between 0 and 1.

    Returns
    -------
    float
        At most that share of the controls lies above.

    Raises
    ------
    DataError
        If there are too few controls for a single false positive at this rate.

    Examples
    --------
    >>> threshold_at(np.arange(100), 0.1)
    89.0
    """
    controls = np.asarray(controls, dtype=np.float64)
    require_controls(len(controls), false_positive_rate)
    return float(_threshold(controls[None], false_positive_rate)[0])


def require_controls(num_controls: int, false_positive_rate: float) -> None:
    """Check, before work that takes long, that smooth lenses can set a threshold.

    Parameters
    ----------
    num_controls : int
        Smooth lenses.
    false_positive_rate : float
        Between 0 and 1.

    Raises
    ------
    DataError
        If there are too few controls for a single false positive at this rate.
    """
    if num_controls * false_positive_rate + 1e-9 < 1:
        raise DataError(
            f"{num_controls} smooth lenses set no threshold at {false_positive_rate:.2%} false "
            f"positives: take at least {int(np.ceil(1 / false_positive_rate))} (--num-controls)"
        )


def _threshold(controls: Floats, false_positive_rate: float) -> Floats:
    """Thresholds of sets of controls, shape (R, N) -> (R,): an order statistic, no average."""
    count = controls.shape[1]
    above = int(np.floor(count * false_positive_rate + 1e-9))
    place = count - above - 1
    return np.asarray(np.partition(controls, place, axis=1)[:, place])


def model_rate(cases: ArrayLike, threshold: float, draws: Floats, *, seed: int = 0) -> Rate:
    """Measure how many lenses with substructure score above a threshold.

    The interval holds both what few cases and what few controls leave open: see
    `darkarcs.evaluation.operating_points`.

    Parameters
    ----------
    cases : array_like, shape (N,)
        Scores of lenses with substructure.
    threshold : float
        From `threshold_at`.
    draws : ndarray, shape (R, 2)
        From `darkarcs.evaluation.operating_points.threshold_draws`.
    seed : int, default 0
        Of the mixture.

    Returns
    -------
    Rate
        With its 95 % interval.

    Raises
    ------
    DataError
        If there is no case.

    Examples
    --------
    >>> found = model_rate([0.0, 2.0, 3.0, 4.0], 1.0, np.ones((4000, 2)))
    >>> found.rate, [round(bound, 1) for bound in found.interval]
    (0.75, [0.3, 1.0])
    """
    ordered = np.sort(np.asarray(cases, dtype=np.float64))
    _require_cases(ordered)
    rate = float((ordered > threshold).mean())
    low, high = share_above(ordered, draws, seed=seed)
    return Rate(len(ordered), rate, (float(min(low, rate)), float(max(high, rate))))


def oracle_rate(distance: ArrayLike, false_positive_rate: float, *, seed: int = 0) -> Rate:
    r"""Compute how many lenses an ideal observer of a known signal finds.

    Its statistic, the matched filter, is normal of unit variance and lies d higher where the
    signal is, so that it finds it with probability

    .. math:: \Phi(d - z_{1 - \mathrm{FPR}}).

    Parameters
    ----------
    distance : array_like, shape (N,)
        d of each lens: the signal in units of the noise.
    false_positive_rate : float
        Between 0 and 1.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Rate
        Mean over the lenses, with a bootstrap interval over the lenses.

    Raises
    ------
    DataError
        If there is no lens.

    Examples
    --------
    >>> round(oracle_rate([0.0, 0.0], 0.1).rate, 3)
    0.1
    """
    chance = ndtr(np.asarray(distance, dtype=np.float64) - ndtri(1 - false_positive_rate))
    _require_cases(chance)
    random = numpy_generator(seed, "detection", "oracle")
    means = [
        chance[random.integers(0, len(chance), len(chance))].mean() for _ in range(NUM_BOOTSTRAP)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return Rate(len(chance), float(chance.mean()), (float(low), float(high)))


def mass_at_rate(log10_masses: ArrayLike, rates: ArrayLike, wanted: float = 0.5) -> float | None:
    """Interpolate the mass from which on a share of the subhalos is found.

    Parameters
    ----------
    log10_masses : array_like, shape (M,), ascending
        Of the subhalos.
    rates : array_like, shape (M,)
        True-positive rates there.
    wanted : float, default 0.5
        The share.

    Returns
    -------
    float or None
        log10 of the smallest mass above which the rates stay at or above the share; None where
        even the largest mass falls short.

    Examples
    --------
    >>> mass_at_rate([8.0, 9.0, 10.0], [0.1, 0.3, 0.7])
    9.5
    >>> mass_at_rate([8.0, 9.0], [0.1, 0.3]) is None
    True
    """
    masses, found = np.asarray(log10_masses, dtype=float), np.asarray(rates, dtype=float)
    if found[-1] < wanted:
        return None
    below = np.flatnonzero(found < wanted)
    if not len(below):
        return float(masses[0])
    last = int(below[-1])
    share = (wanted - found[last]) / (found[last + 1] - found[last])
    return float(masses[last] + share * (masses[last + 1] - masses[last]))


def _require_cases(values: Floats) -> None:
    if not len(values):
        raise DataError("a true-positive rate needs at least one lens with substructure")
