"""Predict, and say in the same pass which images are unlike the training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, ModelError
from darkarcs.evaluation import Predictions
from darkarcs.evaluation.conformal import ConformalScore, PredictionSets, coverage_summary
from darkarcs.evaluation.intervals import wilson_interval
from darkarcs.explain import ErasingSettings, require_erasable
from darkarcs.inference.predictor import Predictor
from darkarcs.model_folder import TestTimeAugmentation
from darkarcs.models import ImageClassifier
from darkarcs.trust import TRUST_FILE, Assessment, ClassifierTap, Observed, Trust, observe

#: What prediction sets an evaluation measures.
COVERAGES = (0.9, 0.95)


@dataclass(frozen=True)
class Examination:
    """Predictions and what is to be thought of them.

    Attributes
    ----------
    logits : ndarray, shape (N, K), float64
        Before the temperature.
    rounds : ndarray, shape (N,), float64, or None
        Rounds of erasing, if there was erasing.
    observed : Observed or None
        What the scores are computed from; None if nothing was checked.
    assessment : Assessment or None
        Which images are unlike the training set; None if nothing was checked.
    """

    logits: NDArray[np.float64]
    rounds: NDArray[np.float64] | None
    observed: Observed | None
    assessment: Assessment | None


def examine(
    predictor: Predictor,
    images: LensImages,
    test_time_augmentation: TestTimeAugmentation | None = None,
    progress: bool = False,
    erasing: ErasingSettings | None = None,
    *,
    check: bool = True,
    threshold: float | None = None,
) -> Examination:
    """Predict images and check how familiar they are.

    Parameters
    ----------
    predictor : Predictor
        Of a model folder.
    images : LensImages
        As stored; labels are not looked at.
    test_time_augmentation : {"none", "dihedral"}, optional
        See `Predictor.logits`; the check looks at the image as it is in any case.
    progress : bool, default False
        Show a progress bar on standard error.
    erasing : ErasingSettings, optional
        See `Predictor.predict_by_erasing`.
    check : bool, default True
        Whether to check; a model folder without ``trust.safetensors`` never does.
    threshold : float, optional
        Flag images whose p-value is at most this; the model's own by default.

    Returns
    -------
    Examination
        In the order of the images.

    Raises
    ------
    ConfigurationError
        If the threshold lies outside 0 and 1.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigurationError(f"threshold = {threshold}: a p-value lies between 0 and 1")
    trust = predictor.trust if check else None
    model = predictor.folder.model
    assert isinstance(model, ImageClassifier)
    if erasing is not None and erasing.rounds:
        require_erasable(model)
        _ = predictor.readers  # found by a pass of its own, which the tap must not take for images
    logits, rounds, seen = [], [], []
    starts = range(0, len(images), predictor.batch_size)
    console = Console(stderr=True)
    for start in track(starts, "Predicting", console=console, disable=not progress, transient=True):
        stop = min(start + predictor.batch_size, len(images))
        part = predictor.as_taken(images.select(np.arange(start, stop)))
        with ClassifierTap(model) as tap:
            if erasing is None:
                logits.append(predictor.logits(part, test_time_augmentation))
            else:
                found, used = predictor.predict_by_erasing(part, erasing, test_time_augmentation)
                logits.append(found)
                rounds.append(used)
            if trust is not None:
                seen.append(observe(part, tap.take(), predictor.folder.description.preprocessing))
    observed = Observed.join(seen) if seen else None
    assessment = None
    if trust is not None and observed is not None:
        assessment = trust.familiarity.assess(observed, threshold)
    return Examination(
        np.concatenate(logits), np.concatenate(rounds) if rounds else None, observed, assessment
    )


def prediction_sets(
    predictor: Predictor,
    coverage: float,
    *,
    score: ConformalScore = "lac",
    by_class: bool = False,
    test_time_augmentation: TestTimeAugmentation | None = None,
    erasing: ErasingSettings | None = None,
) -> PredictionSets:
    """Make prediction sets from the validation predictions that a model ships.

    Parameters
    ----------
    predictor : Predictor
        Of a model folder.
    coverage : float
        How often a set is to hold the truth.
    score : {"lac", "aps"}, default "lac"
        See `darkarcs.evaluation.conformal.nonconformity`.
    by_class : bool, default False
        Promise it for each class.
    test_time_augmentation : {"none", "dihedral"}, optional
        How the images will be predicted; the model folder's choice by default.
    erasing : ErasingSettings, optional
        The same.

    Returns
    -------
    PredictionSets
        To be applied to logits divided by the temperature.

    Raises
    ------
    ModelError
        If the model ships no ``trust.safetensors``.
    ConfigurationError
        If images will be predicted in another way than those of validation were.
    """
    trust = required_trust(predictor)
    chosen = test_time_augmentation or predictor.folder.description.test_time_augmentation
    if erasing is not None or chosen != trust.test_time_augmentation:
        raise ConfigurationError(
            "prediction sets hold for predictions made as on validation: "
            f"test-time augmentation '{trust.test_time_augmentation}', without erasing"
        )
    return PredictionSets.fit(trust.logits, trust.labels, coverage, score=score, by_class=by_class)


def judge(
    predictor: Predictor,
    images: LensImages,
    predictions: Predictions,
    test_time_augmentation: TestTimeAugmentation | None = None,
    erasing: ErasingSettings | None = None,
) -> dict[str, Any] | None:
    """Say how many of some images are unlike the training set, and how good sets would be.

    Parameters
    ----------
    predictor : Predictor
        Of a model folder.
    images : LensImages
        Labelled.
    predictions : Predictions
        Of these images.
    test_time_augmentation : {"none", "dihedral"}, optional
        How they were predicted; the model folder's choice by default.
    erasing : ErasingSettings, optional
        The same.

    Returns
    -------
    dict or None
        ``flagged`` (share) with Wilson's ``flagged_interval`` and the ``threshold`` of the
        p-value; ``sets``: for each of `COVERAGES` the summary of
        `darkarcs.evaluation.conformal.coverage_summary`, or None where sets do not hold for such
        predictions. None if the model ships no ``trust.safetensors``.
    """
    if predictor.trust is None or predictions.labels is None:
        return None
    assessment = examine(predictor, images, "none").assessment  # the check looks at one view
    assert assessment is not None
    flagged, total = int(assessment.flagged.sum()), len(assessment.flagged)
    try:
        sets = {
            f"{coverage:g}": coverage_summary(
                prediction_sets(
                    predictor,
                    coverage,
                    test_time_augmentation=test_time_augmentation,
                    erasing=erasing,
                ).apply(predictions.logits),
                predictions.labels,
                predictor.class_names,
            )
            for coverage in COVERAGES
        }
    except ConfigurationError:  # predicted otherwise than on validation
        sets = None
    return {
        "flagged": flagged / total,
        "flagged_interval": list(wilson_interval(flagged, total)),
        "threshold": predictor.trust.familiarity.threshold,
        "sets": sets,
    }


def required_trust(predictor: Predictor) -> Trust:
    """Give what a model ships to judge its predictions by.

    Parameters
    ----------
    predictor : Predictor
        Of a model folder.

    Returns
    -------
    Trust
        From its ``trust.safetensors``.

    Raises
    ------
    ModelError
        If it ships none.
    """
    if predictor.trust is None:
        raise ModelError(
            f"{predictor.folder.path}: has no {TRUST_FILE}: make it with 'darkarcs trust'"
        )
    return predictor.trust
