"""A sensitivity map, and what to map: the lightest subhalo that is found at each place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from darkarcs.benchmark.detection_observers import Log10Masses, Share
from darkarcs.configuration import Configuration
from darkarcs.scenes import Part

Floats = NDArray[np.float64]


class SensitivitySettings(Configuration):
    """What to map.

    Attributes
    ----------
    index, num : int
        First lens of the stream, and how many.
    grid : int
        Places along each side of the map.
    extent : float, Einstein radii
        The map is the disk of this radius around the lens.
    log10_masses : tuple of float, log10 solar masses
        m_200 at infall that are tried, ascending; between them is interpolated.
    false_positive_rates : tuple of float
        What counts as found; the maps show the first.
    num_noise : int
        Draws of the noise over which a model's score is averaged.
    num_controls : int
        Smooth lenses that set a model's threshold.
    seed : int
        Of all draws.
    part : {"train", "validation", "test"}
        Which stream of lenses.
    """

    index: int = Field(0, ge=0)
    num: int = Field(1, ge=1)
    grid: int = Field(24, ge=2)
    extent: float = Field(2.0, gt=0)
    log10_masses: Annotated[Log10Masses, Field(min_length=2)] = (8, 8.5, 9, 9.5, 10, 10.5)
    false_positive_rates: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.01, 0.1, 0.00135)
    num_noise: int = Field(4, ge=1)
    num_controls: int = Field(1000, ge=1)
    seed: int = 0
    part: Part = "test"


@dataclass(frozen=True)
class SensitivityMap:
    """What can be found where in one lens.

    Attributes
    ----------
    identity : str
        Of the lens.
    image : ndarray, shape (C, H, W)
        Noiseless, without a subhalo.
    observed : ndarray, shape (C, H, W)
        With noise.
    einstein_radius : float, arcsec
        Of the lens.
    centre : tuple of float, arcsec
        Of the lens, from the image's centre.
    x, y : ndarray, shape (P,), arcsec
        Places of the subhalo, relative to the lens.
    cells : ndarray of int, shape (P, 2)
        Row and column of the places on the map.
    values : dict of str to ndarray of shape (M, P)
        By observer: d of an oracle, mean score of a model.
    thresholds : dict of str to dict of float to float
        By observer and false-positive rate: what the values must reach.
    smooth_score : dict of str to float
        Mean score of each model without a subhalo; above the threshold the lens is a false alarm.
    """

    identity: str
    image: NDArray[np.float32]
    observed: NDArray[np.float32]
    einstein_radius: float
    centre: tuple[float, float]
    x: Floats
    y: Floats
    cells: NDArray[np.int64]
    values: dict[str, Floats]
    thresholds: dict[str, dict[float, float]]
    smooth_score: dict[str, float] = field(default_factory=dict)

    def is_false_alarm(self, observer: str, rate: float) -> bool:
        """Tell whether a model finds something in this lens with no subhalo in it.

        Parameters
        ----------
        observer : str
            Of ``values``.
        rate : float
            A false-positive rate, of ``thresholds``.

        Returns
        -------
        bool
            True where the map would show how strange the lens is, and no subhalo.
        """
        score = self.smooth_score.get(observer)
        return score is not None and score >= self.thresholds[observer][rate]

    def smallest(self, observer: str, rate: float, log10_masses: ArrayLike) -> Floats:
        """Find the lightest subhalo that an observer finds at each place.

        Parameters
        ----------
        observer : str
            Of ``values``.
        rate : float
            A false-positive rate, of ``thresholds``.
        log10_masses : array_like, shape (M,)
            Of ``values``.

        Returns
        -------
        ndarray, shape (P,)
            log10 of the mass; not a number where even the heaviest is missed.
        """
        threshold = self.thresholds[observer][rate]
        return smallest_mass(log10_masses, self.values[observer], threshold)


def smallest_mass(log10_masses: ArrayLike, values: ArrayLike, threshold: float) -> Floats:
    """Interpolate the mass from which on values reach a threshold.

    Parameters
    ----------
    log10_masses : array_like, shape (M,), ascending
        At which the values are known.
    values : array_like, shape (M, P)
        At P places.
    threshold : float
        To reach.

    Returns
    -------
    ndarray, shape (P,)
        The mass above which values stay at or above the threshold: the smallest one tried where
        they always do, not a number where they do not at the largest.

    Examples
    --------
    >>> smallest_mass([8.0, 9.0, 10.0], [[0.0, 3.0, 0.0], [1.0, 4.0, 0.0], [3.0, 5.0, 1.0]], 2.0)
    array([9.5, 8. , nan])
    """
    masses, known = np.asarray(log10_masses, dtype=float), np.asarray(values, dtype=float)
    below = known < threshold
    num_masses, num_places = known.shape
    last = np.where(below.any(axis=0), num_masses - 1 - below[::-1].argmax(axis=0), -1)
    place, low = np.arange(num_places), np.clip(last, 0, num_masses - 2)
    start, stop = known[low, place], known[low + 1, place]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (threshold - start) / (stop - start)
    found = masses[low] + share * (masses[low + 1] - masses[low])
    found = np.where(last < 0, masses[0], found)
    return np.asarray(np.where(last == num_masses - 1, np.nan, found))
