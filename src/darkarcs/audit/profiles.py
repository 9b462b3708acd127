"""The mean radial profile of each class, with its scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkarcs.audit.feature_table import FeatureTable
from darkarcs.data import LensImages

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassProfile:
    """Brightness against radius, over the images of one class.

    Parameters
    ----------
    name : str
        Of the class.
    radius : NDArray of float64, shape (R,), pixels
        Middle of each ring.
    mean : NDArray of float64, shape (R,)
        Over images, in the units of the pixels; of several channels, the first.
    low, high : NDArray of float64, shape (R,)
        16th and 84th percentiles of the images.
    """

    name: str
    radius: Floats
    mean: Floats
    low: Floats
    high: Floats


def class_profiles(table: FeatureTable, lens_images: LensImages) -> tuple[ClassProfile, ...]:
    """Summarise radial profiles by class.

    Parameters
    ----------
    table : FeatureTable
        Of `darkarcs.audit.features.radial_profile`.
    lens_images : LensImages
        The images it was measured on.

    Returns
    -------
    tuple of ClassProfile
        In the order of the class names, for those that have images.
    """
    num_rings = len(table.names) // lens_images.num_channels
    values = table.values[:, :num_rings]
    side = min(lens_images.images.shape[2:]) / 2
    radius = (np.arange(num_rings) + 0.5) * side / num_rings
    profiles = []
    for name, count in lens_images.class_counts().items():
        if count:
            own = values[lens_images.label_names == name]
            low, high = np.percentile(own, [16, 84], axis=0)
            profiles.append(ClassProfile(name, radius, own.mean(axis=0), low, high))
    return tuple(profiles)
