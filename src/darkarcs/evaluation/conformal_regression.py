r"""Intervals that cover as often as they say: split conformal prediction for regression.

Whatever a model's interval is, on lenses that it was not fitted to one can measure by how much
the truth falls outside [1]_,

.. math:: E_i = \max(l_i - y_i, \; y_i - u_i),

which is negative inside. Widening all intervals by the :math:`\lceil (n + 1) \alpha \rceil`-th
smallest of n such scores makes them cover new lenses of the same distribution with a probability
of at least the level :math:`\alpha`, and of at most :math:`\alpha + 1 / (n + 1)` where scores do
not tie. That is an average over lenses; coverage at one mass fraction may differ.

With ``scaled`` scores are in units of the interval's own width [2]_; for a normal distribution
that is the error over the predicted standard deviation.

References
----------
.. [1] Romano, Patterson & Candes 2019, arXiv 1905.03222, eqs. 6 to 8, theorem 1.
.. [2] Kivaranovic et al. 2019, arXiv 1905.10634; Sesia & Candes 2020, arXiv 1909.05433 (CQR-r).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from darkarcs.errors import DataError

Floats = NDArray[np.float64]


def fit_correction(
    lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, level: float, *, scaled: bool = False
) -> float | None:
    """Find by how much intervals must be widened.

    Parameters
    ----------
    lower, upper : array_like, shape (N,)
        Intervals of calibration lenses.
    truth : array_like, shape (N,)
        NaN where unknown.
    level : float
        Share of lenses to be covered.
    scaled : bool, default False
        In units of each interval's width.

    Returns
    -------
    float or None
        Negative where intervals were too wide; None if the lenses are too few for this level.

    Raises
    ------
    DataError
        If the level is not between 0 and 1.

    Examples
    --------
    >>> fit_correction([0.0] * 9, [1.0] * 9, [0.5] * 8 + [1.2], 0.9)
    0.2
    """
    if not 0 < level < 1:
        raise DataError(f"level = {level}: must lie between 0 and 1")
    low, high, value = (np.asarray(a, dtype=np.float64) for a in (lower, upper, truth))
    known = np.isfinite(value)
    low, high, value = low[known], high[known], value[known]
    scores = np.maximum(low - value, value - high)
    if scaled:
        scores = scores / np.maximum(high - low, np.finfo(np.float64).tiny)
    # the hair keeps 0.9 * 10 from becoming 10
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    if rank > len(scores):
        return None
    return round(float(np.partition(scores, rank - 1)[rank - 1]), 12)


def apply_correction(
    lower: ArrayLike, upper: ArrayLike, correction: float, *, scaled: bool = False
) -> tuple[Floats, Floats]:
    """Widen intervals, or narrow them where the correction is negative.

    Parameters
    ----------
    lower, upper : array_like, shape (...)
        Intervals as predicted.
    correction : float
        From `fit_correction`.
    scaled : bool, default False
        As it was fitted.

    Returns
    -------
    lower, upper : ndarray, shape (...)
        An interval that would be turned inside out becomes its middle.

    Examples
    --------
    >>> [float(bound.item()) for bound in apply_correction([0.0], [1.0], -0.25)]
    [0.25, 0.75]
    """
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    step = correction * (high - low) if scaled else np.full_like(low, correction)
    middle = (low + high) / 2
    return np.minimum(low - step, middle), np.maximum(high + step, middle)
