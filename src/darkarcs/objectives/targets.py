"""What an objective asks of the data beside labels: numbers of each lens, and maps.

An objective's configuration that learns from such targets has a method ``request`` that gives a
`TargetRequest`; the training loop finds the numbers, transforms them as asked and hands them out
as ``Batch.targets``: one tensor of shape (B,) for each number, under its column's name, and under
`COUNTS` the counts of subhalos in the cells of a grid over the image. What is unknown is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Key of ``Batch.targets`` under which the map stands: subhalos in each cell, (B, G, G).
COUNTS = "counts"

#: How a column of the metadata becomes what is learned. A logarithm of what is not positive is
#: unknown.
Transform = Literal["none", "log10"]


@dataclass(frozen=True)
class TargetRequest:
    """What an objective asks for.

    Attributes
    ----------
    transforms : dict of str to {"none", "log10"}
        By column of the metadata.
    cells : int, optional
        Cells of the map along the side of a patch; None for no map.
    min_mass : float, solar masses
        Lighter subhalos are not counted in the map.
    """

    transforms: dict[str, Transform] = field(default_factory=dict)
    cells: int | None = None
    min_mass: float = 0.0


@dataclass(frozen=True)
class TargetStatistics:
    """What targets are like in training, by which an objective scales them.

    Attributes
    ----------
    mean, std : dict of str to float
        Of each number after its transform, over the lenses that have it; 0 and 1 where only one
        value occurs.
    occupied : float, optional
        Share of the map's cells that hold a subhalo.
    mean_count : float, optional
        Mean number of subhalos in a cell.
    """

    mean: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] = field(default_factory=dict)
    occupied: float | None = None
    mean_count: float | None = None
