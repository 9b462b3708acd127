"""Weights of losses that may change in the course of a training."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

Knots = tuple[tuple[float, float], ...]


def _checked(weight: float | Knots) -> float | Knots:
    knots = ((0.0, weight),) if isinstance(weight, float | int) else weight
    shares = [share for share, _ in knots]
    if not knots or shares != sorted(set(shares)) or not all(0 <= s <= 1 for s in shares):
        raise ValueError("knots must be [share, weight] with shares that rise from 0 to 1")
    if not all(math.isfinite(value) and value >= 0 for _, value in knots):
        raise ValueError("a weight must be a finite number of at least 0")
    return weight


#: One number, or knots ``[[share of the training done, weight], ...]`` of a piecewise-linear
#: course, constant before the first and after the last.
Weight = Annotated[float | Knots, AfterValidator(_checked)]


def weight_at(weight: float | Knots, share: float) -> float:
    """Give a weight at a moment of the training.

    Parameters
    ----------
    weight : float or tuple of (float, float)
        As in `Weight`.
    share : float
        Of the training's steps that are done, 0 to 1.

    Returns
    -------
    float
        The weight.

    Examples
    --------
    >>> features_first = ((0.25, 1.0), (0.75, 0.0))
    >>> [weight_at(features_first, share) for share in (0.0, 0.5, 1.0)], weight_at(0.3, 0.5)
    ([1.0, 0.5, 0.0], 0.3)
    """
    if isinstance(weight, float | int):
        return float(weight)
    shares, values = zip(*weight, strict=True)
    return float(np.interp(share, shares, values))


def is_ever_used(weight: float | Knots) -> bool:
    """Tell whether a weight is above zero at any time.

    Parameters
    ----------
    weight : float or tuple of (float, float)
        As in `Weight`.

    Returns
    -------
    bool
        False for a loss that is off.

    Examples
    --------
    >>> is_ever_used(0.0), is_ever_used(((0.0, 0.0), (1.0, 1.0)))
    (False, True)
    """
    if isinstance(weight, float | int):
        return weight > 0
    return any(value > 0 for _, value in weight)
