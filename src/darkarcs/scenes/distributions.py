"""Distributions of single numbers, as a scene's YAML writes them, drawn by their quantiles.

A number is itself; ``{uniform: [a, b]}``, ``{log_uniform: [a, b]}``, ``{normal: [mean, std]}``
(``between: [a, b]`` cuts it off) and ``{choice: [a, b, c]}`` are drawn. Each takes exactly one
uniform number, so that changing one distribution never shifts the draws of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, model_validator
from scipy.special import ndtr, ndtri

from darkarcs.configuration import Configuration

FORMS = (
    "a number, {uniform: [a, b]}, {log_uniform: [a, b]}, {normal: [mean, std]} or {choice: [..]}"
)


class Uniform(Configuration):
    """Uniform between two numbers.

    Attributes
    ----------
    uniform : tuple of float
        The smaller and the larger one.
    """

    uniform: tuple[FiniteFloat, FiniteFloat]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_ordered(self.uniform)
        return self

    def quantile(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the values below which shares of the draws lie.

        Parameters
        ----------
        share : ndarray
            Between 0 and 1.

        Returns
        -------
        ndarray, same shape
            The values.
        """
        low, high = self.uniform
        return low + (high - low) * share


class LogUniform(Configuration):
    """Uniform in the logarithm between two positive numbers.

    Attributes
    ----------
    log_uniform : tuple of float
        The smaller and the larger one.
    """

    log_uniform: tuple[Annotated[FiniteFloat, Field(gt=0)], Annotated[FiniteFloat, Field(gt=0)]]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _require_ordered(self.log_uniform)
        return self

    def quantile(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the values below which shares of the draws lie; see `Uniform.quantile`.

        Parameters
        ----------
        share : ndarray
            Between 0 and 1.

        Returns
        -------
        ndarray, same shape
            The values.
        """
        low, high = self.log_uniform
        return np.asarray(low * (high / low) ** share)


class Normal(Configuration):
    """Normal, cut off on request.

    Attributes
    ----------
    normal : tuple of float
        Mean and standard deviation before the cut.
    between : tuple of float, optional
        Values outside are never drawn.
    """

    normal: tuple[FiniteFloat, Annotated[FiniteFloat, Field(gt=0)]]
    between: tuple[FiniteFloat, FiniteFloat] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.between is not None:
            _require_ordered(self.between)
        return self

    def quantile(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the values below which shares of the draws lie; see `Uniform.quantile`.

        Parameters
        ----------
        share : ndarray
            Between 0 and 1.

        Returns
        -------
        ndarray, same shape
            The values.
        """
        mean, deviation = self.normal
        if self.between is None:
            return np.asarray(mean + deviation * ndtri(np.clip(share, 1e-12, 1 - 1e-12)))
        edges = (np.asarray(self.between) - mean) / deviation
        if edges[0] > 0:  # by the other tail, where probabilities keep their digits
            low, high = ndtr(-edges)
            drawn = mean - deviation * ndtri(low + (high - low) * share)
        else:
            low, high = ndtr(edges)
            drawn = mean + deviation * ndtri(low + (high - low) * share)
        return np.asarray(np.clip(drawn, *self.between))


class Choice(Configuration):
    """One of several numbers, alike likely.

    Attributes
    ----------
    choice : tuple of float
        The numbers.
    """

    choice: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]

    def quantile(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the values below which shares of the draws lie; see `Uniform.quantile`.

        Parameters
        ----------
        share : ndarray
            Between 0 and 1.

        Returns
        -------
        ndarray, same shape
            The values.
        """
        index = np.minimum((np.asarray(share) * len(self.choice)).astype(int), len(self.choice) - 1)
        numbers: NDArray[np.float64] = np.asarray(self.choice, dtype=np.float64)[index]
        return numbers


def _read(value: Any) -> Any:
    """Turn YAML's form into the class it names, so that a wrong key gives one clear error."""
    if isinstance(value, dict):
        for kind in (Uniform, LogUniform, Normal, Choice):
            name = next(iter(kind.model_fields))
            if name in value:
                return kind.model_validate(value)
        raise ValueError(f"must be {FORMS}")
    if isinstance(value, bool | str) or value is None:
        raise ValueError(f"must be {FORMS}")
    return value


Distribution = Annotated[
    FiniteFloat | Uniform | LogUniform | Normal | Choice,
    BeforeValidator(_read),
]


def _positive(value: Distribution) -> Distribution:
    return _require_within(value, "must be greater than 0", lambda low, high: low > 0)


def _not_negative(value: Distribution) -> Distribution:
    return _require_within(value, "must not be negative", lambda low, high: low >= 0)


def _ratio(value: Distribution) -> Distribution:
    says = "must be greater than 0 and at most 1"
    return _require_within(value, says, lambda low, high: low > 0 and high <= 1)


def _require_within(
    value: Distribution, says: str, holds: Callable[[float, float], bool]
) -> Distribution:
    if not holds(*support(value)):
        unbounded = isinstance(value, Normal) and value.between is None
        raise ValueError(f"{says}{': cut it off by between: [a, b]' if unbounded else ''}")
    return value


#: Distributions of what physics bounds.
Positive = Annotated[Distribution, AfterValidator(_positive)]
NotNegative = Annotated[Distribution, AfterValidator(_not_negative)]
Ratio = Annotated[Distribution, AfterValidator(_ratio)]


def support(distribution: Distribution) -> tuple[float, float]:
    """Give the range outside of which a distribution draws nothing.

    Parameters
    ----------
    distribution : float, Uniform, LogUniform, Normal or Choice
        What to draw from.

    Returns
    -------
    low, high : float
        Infinite for a normal distribution that is not cut off.

    Examples
    --------
    >>> support(Choice(choice=(3.0, 1.0)))
    (1.0, 3.0)
    """
    if isinstance(distribution, Normal):
        return distribution.between or (-math.inf, math.inf)
    if isinstance(distribution, Choice):
        return min(distribution.choice), max(distribution.choice)
    if isinstance(distribution, int | float):
        return float(distribution), float(distribution)
    return distribution.uniform if isinstance(distribution, Uniform) else distribution.log_uniform


def quantile(distribution: Distribution, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the values of a distribution below which shares of the draws lie.

    Parameters
    ----------
    distribution : float, Uniform, LogUniform, Normal or Choice
        What to draw from.
    share : ndarray
        Uniform numbers between 0 and 1.

    Returns
    -------
    ndarray, same shape
        The draws.

    Examples
    --------
    >>> quantile(Uniform(uniform=(1.0, 3.0)), np.array([0.0, 0.5])).tolist()
    [1.0, 2.0]
    >>> quantile(0.7, np.array([0.1])).tolist()
    [0.7]
    """
    if isinstance(distribution, int | float):
        return np.full(np.shape(share), float(distribution))
    return distribution.quantile(np.asarray(share, dtype=np.float64))


def largest(distribution: Distribution) -> float:
    """Give the largest number that a distribution ever draws.

    Parameters
    ----------
    distribution : float, Uniform, LogUniform, Normal or Choice
        What to draw from.

    Returns
    -------
    float
        Seven standard deviations above the mean of a normal distribution that is not cut off,
        since `quantile` goes no further.

    Examples
    --------
    >>> largest(Uniform(uniform=(0.9, 1.1)))
    1.1
    """
    bound = support(distribution)[1]
    return bound if math.isfinite(bound) else quantile(distribution, np.ones(1)).item()


def is_distribution(value: object) -> bool:
    """Tell whether a field of a prior is drawn for each lens.

    Parameters
    ----------
    value : object
        A field's value.

    Returns
    -------
    bool
        True for numbers that are no bool or int, and for the classes of this module.
    """
    return isinstance(value, float | Uniform | LogUniform | Normal | Choice)


def _require_ordered(pair: tuple[float, float]) -> None:
    if not pair[0] <= pair[1]:
        raise ValueError(f"{list(pair)}: the first number must not exceed the second")
