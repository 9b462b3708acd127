"""Images that several models look at: what takes long is done once for all of them."""

from __future__ import annotations

import json
from pathlib import Path

from darkarcs.data import LensImages
from darkarcs.inference.predictor import Predictor


class SharedImages:
    """Images as each model takes them; smooth lenses are fitted once for all models of one fit.

    Parameters
    ----------
    images : LensImages
        As stored.
    cache : pathlib.Path, optional
        Folder where fits are kept, so that a run that was cut off goes on.

    Attributes
    ----------
    images : LensImages
        As given.
    """

    def __init__(self, images: LensImages, cache: Path | None = None) -> None:
        self.images = images
        self._cache = cache
        self._fitted: dict[str, LensImages] = {}

    def taken_by(self, predictor: Predictor) -> LensImages:
        """Give a model the images that it takes.

        Parameters
        ----------
        predictor : Predictor
            The model.

        Returns
        -------
        LensImages
            Of `Predictor.as_taken`.

        Raises
        ------
        DataError
            If the model cannot take them.
        """
        fit = predictor.folder.description.smooth_fit
        if fit is None:
            return predictor.as_taken(self.images)
        key = json.dumps(fit, sort_keys=True)
        if key not in self._fitted:
            self._fitted[key] = predictor.as_taken(self.images, self._cache)
        return self._fitted[key]
