"""Smooth lenses that are known instead of fitted, as observers of the limit know them."""

from __future__ import annotations

import numpy as np
import torch

from darkarcs.data import LensImages
from darkarcs.errors import DataError
from darkarcs.fitting.fitted_lenses import SmoothFits
from darkarcs.fitting.smooth_fit import SmoothFitter

#: A lens without its substructure has all the mass.
_SMOOTH_RADIUS, _RADIUS = "lens.smooth_einstein_radius", "lens.einstein_radius"


def known_lenses(fitter: SmoothFitter, images: LensImages) -> SmoothFits:
    """Take the smooth lenses that images were simulated from for what a fit has found.

    Parameters
    ----------
    fitter : SmoothFitter
        Of their scene.
    images : LensImages
        Simulated by it.

    Returns
    -------
    SmoothFits
        Images of the same lenses without substructure, all mass in the smooth lens. Nothing was
        fitted, so ``converged`` is false everywhere.

    Raises
    ------
    DataError
        If the images do not tell from which lenses they were simulated.
    """
    coordinates, columns = fitter.coordinates, dict(images.metadata)
    if _RADIUS in columns:
        columns[_SMOOTH_RADIUS] = columns[_RADIUS]
    missing = [name for name in coordinates.names if name not in columns]
    if missing:
        raise DataError(
            f"{images.manifest.get('source', 'images')}: does not tell {missing[0]} of its lenses: "
            f"give images that were simulated by scene {fitter.scene.name}"
        )
    values = {name: torch.tensor(np.asarray(columns[name])).float() for name in coordinates.names}
    return fitter.at(torch.tensor(images.images), coordinates.encode(values))
