"""Sets of images that share something: a range of a number, or a category.

The attributes of a set are columns of numbers or of text, one value an image; NaN, infinity and
empty text mean that an image does not have the attribute, as a lens without subhalos has no
heaviest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import rankdata

from darkarcs.configuration import Configuration
from darkarcs.errors import DataError

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

#: Numbers that take no more different values than this are categories.
FEW_VALUES = 4
# Two attributes that order the images alike to this rank correlation would be shown twice.
_SAME_ORDER = 0.999


class SubpopulationSettings(Configuration):
    """How sub-populations are looked for.

    Attributes
    ----------
    num_bins : int
        Bins of equal numbers of images for each number.
    min_images : int
        Smaller sub-populations are not looked at.
    max_categories : int
        Text with more different values is left out.
    rank_by : {"log_loss", "accuracy", "ranking"}
        What makes a sub-population bad.
    num_bootstrap : int
        Resamples of the intervals.
    level : float
        Of the intervals.
    false_discovery_rate : float
        Share of false ones among those that are called different, at most, on average.
    num_interactions : int
        Pairs of conditions that are kept, worst and best each.
    seed : int
        Of the resamples and of the halves.
    """

    num_bins: int = Field(5, ge=2, le=50)
    min_images: int = Field(40, ge=2)
    max_categories: int = Field(12, ge=2)
    rank_by: Literal["log_loss", "accuracy", "ranking"] = "log_loss"
    num_bootstrap: int = Field(500, ge=50)
    level: float = Field(0.95, gt=0, lt=1)
    false_discovery_rate: float = Field(0.05, gt=0, lt=1)
    num_interactions: int = Field(6, ge=0)
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Condition:
    """What the images of a sub-population share.

    Parameters
    ----------
    attribute : str
        Whose value.
    low, high : float, optional
        The value lies from ``low`` up to, but not at, ``high``; None is no limit.
    value : str, optional
        The category; then there are no limits.

    Examples
    --------
    >>> Condition("lens.shear", 0.1, 0.25).text, Condition("class", value="cdm").text
    ('0.1 ≤ lens.shear < 0.25', 'class = cdm')
    """

    attribute: str
    low: float | None = None
    high: float | None = None
    value: str | None = None

    @property
    def text(self) -> str:
        """The condition as people write it."""
        if self.value is not None:
            return f"{self.attribute} = {self.value}"
        low = "" if self.low is None else f"{self.low:.4g} ≤ "
        high = "" if self.high is None else f" < {self.high:.4g}"
        return f"{low}{self.attribute}{high}"

    def holds(self, column: NDArray[Any]) -> Booleans:
        """Tell which images fulfil it.

        Parameters
        ----------
        column : NDArray, shape (N,)
            The attribute, from `prepare_attributes`.

        Returns
        -------
        NDArray of bool, shape (N,)
            False where the attribute is not known.
        """
        if self.value is not None:
            return np.asarray(column == self.value)
        inside = np.isfinite(column)
        if self.low is not None:
            inside &= column >= self.low
        if self.high is not None:
            inside &= column < self.high
        return np.asarray(inside)


@dataclass(frozen=True)
class Group:
    """A sub-population.

    Parameters
    ----------
    conditions : tuple of Condition
        All of them hold.
    member : NDArray of bool, shape (N,)
        Its images.
    known : NDArray of bool, shape (N,)
        Images that have the attributes: the members and those they are compared with.
    """

    conditions: tuple[Condition, ...]
    member: Booleans
    known: Booleans

    @property
    def text(self) -> str:
        """All conditions as people write them."""
        return " and ".join(condition.text for condition in self.conditions)


def prepare_attributes(
    attributes: Mapping[str, NDArray[Any]], num_images: int, settings: SubpopulationSettings
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Leave out what cannot divide the images, and say why.

    Parameters
    ----------
    attributes : mapping of str to NDArray of shape (N,)
        Numbers, truth values or text.
    num_images : int
        N.
    settings : SubpopulationSettings
        Limits.

    Returns
    -------
    kept : dict of str to NDArray
        Numbers as float64 with NaN where unknown; numbers of at most `FEW_VALUES` values, truth
        values and text as text, empty where unknown.
    left_out : dict of str to str
        The reason for each of the others.

    Raises
    ------
    DataError
        If a column has not one value an image.
    """
    kept: dict[str, NDArray[Any]] = {}
    left_out: dict[str, str] = {}
    orders: list[tuple[str, Booleans, Floats]] = []
    for name, given in attributes.items():
        column = np.asarray(given)
        if column.shape != (num_images,):
            raise DataError(f"attribute '{name}' has shape {column.shape}, not ({num_images},)")
        prepared = _as_numbers_or_text(column)
        if prepared is None:
            left_out[name] = "neither numbers nor text"
            continue
        is_number = prepared.dtype == np.float64
        known = known_images(prepared)
        distinct = len(np.unique(prepared[known]))
        if known.sum() < 2 * settings.min_images:
            left_out[name] = f"known of {known.sum()} images only"
        elif distinct < 2:
            left_out[name] = "the same for all images"
        elif not is_number and distinct > settings.max_categories:
            left_out[name] = f"{distinct} different texts"
        else:
            if is_number:
                order = _order(prepared[known])
                same = _alike(order, known, orders)
                if same is not None:
                    left_out[name] = f"orders the images as {same} does"
                    continue
                orders.append((name, known, order))
            kept[name] = prepared
    return kept, left_out


def _as_numbers_or_text(column: NDArray[Any]) -> NDArray[Any] | None:
    if column.dtype.kind in "SUT":
        return column.astype(np.str_)
    if column.dtype.kind == "b":
        return np.where(column, "yes", "no")
    if column.dtype.kind not in "iuf":
        return None
    numbers = column.astype(np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    values = np.unique(numbers[np.isfinite(numbers)])
    if 2 <= len(values) <= FEW_VALUES:
        return np.where(np.isnan(numbers), "", np.array([f"{v:g}" for v in numbers]))
    return numbers


def _alike(
    order: Floats, known: Booleans, orders: list[tuple[str, Booleans, Floats]]
) -> str | None:
    for name, known_of_other, other in orders:
        if (known_of_other == known).all() and abs(order @ other) > _SAME_ORDER:
            return name
    return None


def _order(values: Floats) -> Floats:
    """Ranks of mean zero and length one: their product is Spearman's correlation."""
    ranks = rankdata(values) - (len(values) + 1) / 2
    return np.asarray(ranks / np.sqrt((ranks**2).sum()))


def known_images(column: NDArray[Any]) -> Booleans:
    """Tell which images have an attribute.

    Parameters
    ----------
    column : NDArray, shape (N,)
        From `prepare_attributes`.

    Returns
    -------
    NDArray of bool, shape (N,)
        False for NaN and empty text.
    """
    return np.asarray(column != "" if column.dtype.kind == "U" else np.isfinite(column))


def groups_of(name: str, column: NDArray[Any], settings: SubpopulationSettings) -> list[Group]:
    """Divide the images by one attribute.

    Parameters
    ----------
    name : str
        Of the attribute.
    column : NDArray, shape (N,)
        From `prepare_attributes`.
    settings : SubpopulationSettings
        How many bins, and how small they may be.

    Returns
    -------
    list of Group
        Categories, or bins of about equal numbers of images; equal values share a bin. Empty if
        no two would be large enough.

    Examples
    --------
    >>> settings = SubpopulationSettings(num_bins=2, min_images=2)
    >>> [group.text for group in groups_of("x", np.arange(6.0), settings)]
    ['x < 2.5', '2.5 ≤ x']
    """
    known = known_images(column)
    if column.dtype.kind == "U":
        names, counts = np.unique(column[known], return_counts=True)
        large = names[counts >= settings.min_images]
        conditions = [Condition(name, value=str(value)) for value in large]
    else:
        edges = _edges(np.sort(column[known]), settings)
        limits: list[float | None] = [None, *edges, None]
        conditions = [Condition(name, low, high) for low, high in pairwise(limits) if edges]
    found = [Group((condition,), condition.holds(column), known) for condition in conditions]
    return [group for group in found if group.member.sum() < known.sum()]


def _edges(ordered: Floats, settings: SubpopulationSettings) -> list[float]:
    """Limits between bins: half-way between neighbouring values, no bin too small."""
    total = len(ordered)
    num_bins = min(settings.num_bins, total // settings.min_images)
    edges: list[float] = []
    start = 0  # of the bin that is being filled
    for number in range(1, num_bins):
        wanted = round(number * total / num_bins)
        value = ordered[wanted]
        # equal values share a bin: cut before them or after them, whichever is nearer
        before = int(np.searchsorted(ordered, value, "left"))
        after = int(np.searchsorted(ordered, value, "right"))
        cut = before if wanted - before <= after - wanted else after
        if cut - start >= settings.min_images and total - cut >= settings.min_images:
            low, high = float(ordered[cut - 1]), float(ordered[cut])
            middle = low + (high - low) / 2
            edges.append(middle if low < middle <= high else high)
            start = cut
    return edges
