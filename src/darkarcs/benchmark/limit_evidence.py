"""The evidence for subhalos without a network, beside the models: of fits, and of known lenses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from darkarcs.data import LensImages
from darkarcs.evaluation.predictions import Predictions
from darkarcs.fitting import SmoothFit, SmoothFitter, SubhaloSearch, fit_of
from darkarcs.fitting.known_lenses import known_lenses
from darkarcs.simulation.progress import show_progress

#: What the evidence for subhalos is called that fits give without a network.
EVIDENCE = "evidence of the fits"
#: The same at the smooth lens that was simulated, in place of the fitted one.
KNOWN = "evidence, smooth lens known"
#: Images that are searched at a time.
_AT_ONCE = 128


def fitted_evidence(taken: LensImages, part: str) -> Predictions | None:
    """Tell what fits say of images by themselves.

    Parameters
    ----------
    taken : LensImages
        Of two classes or more, ``no_sub`` among them.
    part : str
        Which stream they are of.

    Returns
    -------
    Predictions or None
        Substructure of any kind against none; None if these are no residuals of fits, or have no
        evidence.
    """
    fit, log_evidence = fit_of(taken), taken.metadata.get("fit.log_evidence")
    if fit is None or log_evidence is None:
        return None
    return _predictions(taken, log_evidence.astype(np.float64), part, fit.identity)


def known_evidence(images: LensImages, part: str, fitter: SmoothFitter) -> Predictions:
    """Tell what the evidence says if the smooth lens is known, up to its tangent space.

    The unknown-substructure observer has this knowledge; models that look at fits do not.

    Parameters
    ----------
    images : LensImages
        Simulated, as they are observed; of two classes or more, ``no_sub`` among them.
    part : str
        Which stream they are of.
    fitter : SmoothFitter
        Of their scene.

    Returns
    -------
    Predictions
        Substructure of any kind against none.
    """
    search, found = SubhaloSearch(fitter), np.zeros(len(images))
    with show_progress("evidence where lenses are known", len(images)) as advance:
        for first in range(0, len(images), _AT_ONCE):
            chosen = np.arange(first, min(first + _AT_ONCE, len(images)))
            some = images.select(chosen)
            maps = search.search(torch.tensor(some.images), known_lenses(fitter, some))
            found[chosen] = maps.log_evidence.double().numpy()
            advance(len(chosen))
    return _predictions(images, found, part, f"{SmoothFit.of(fitter.scene).identity}/known")


def _predictions(
    images: LensImages, log_evidence: NDArray[np.float64], part: str, identity: str
) -> Predictions:
    control = images.class_names.index("no_sub")
    assert images.labels is not None
    return Predictions(
        identities=images.metadata["identity"],
        groups=images.metadata["group"],
        names=images.metadata["name"],
        labels=(images.labels != control).astype(np.int64),
        logits=np.stack([np.zeros(len(images)), log_evidence], axis=1),
        class_names=("no_sub", "sub"),
        split=part,
        model_hash=identity,
    )
