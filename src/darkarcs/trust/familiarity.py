"""How familiar an image is: scores against the training set, one p-value, and what is odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkarcs.trust.calibration import (
    Tail,
    conformal_p_values,
    flag_rank,
    guaranteed_rate,
)
from darkarcs.trust.densities import GaussianClasses, energy, neighbour_distance, unit_length
from darkarcs.trust.statistics import OF_IMAGE

Floats = NDArray[np.float64]

#: Every score by name, and what an image is told that is flagged for it.
REASONS = {
    "light": "its brightness or background",
    "texture": "its noise, sharpness or compression",
    "arrangement": "where its light lies",
    "fit": "how well a smooth lens fits it",
    "image_light": "its brightness or background",
    "image_texture": "its noise, sharpness or compression",
    "image_arrangement": "where its light lies",
    "features": "what the network sees in it",
    "neighbours": "no training image is like it to the network",
    "energy": "the network sees none of its classes in it",
}
#: In nats: two readings of one image, in other batches, differ by less and are equally strange.
ROUNDING = 1e-3
#: Which neighbour the distance is taken to.
NEIGHBOUR = 10
#: Training images that are kept as neighbours at most, and numbers in them at most.
MAX_NEIGHBOURS, MAX_NEIGHBOUR_NUMBERS = 1000, 196_608
#: Share of the training images that references are fitted to; tails are to the others.
REFERENCE_SHARE = 0.75


@dataclass(frozen=True)
class Observed:
    """All that scores are computed from.

    Attributes
    ----------
    statistics : mapping of str to ndarray, shape (N, D)
        From `darkarcs.trust.image_statistics`.
    features : ndarray, shape (N, D)
        What the classifier was given.
    logits : ndarray, shape (N, K)
        What it made of them, for one view of the image.
    """

    statistics: Mapping[str, Floats]
    features: Floats
    logits: Floats

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def join(cls, parts: Sequence[Observed]) -> Observed:
        """Put batches together.

        Parameters
        ----------
        parts : sequence of Observed
            At least one.

        Returns
        -------
        Observed
            In the order of the parts.
        """
        return cls(
            {
                name: np.concatenate([part.statistics[name] for part in parts])
                for name in parts[0].statistics
            },
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.logits for part in parts]),
        )

    def select(self, indices: NDArray[np.int64]) -> Observed:
        """Take some of the images.

        Parameters
        ----------
        indices : ndarray of int64
            Which.

        Returns
        -------
        Observed
            In the order of the indices.
        """
        return Observed(
            {name: values[indices] for name, values in self.statistics.items()},
            self.features[indices],
            self.logits[indices],
        )


@dataclass(frozen=True)
class Assessment:
    """What is to be said about images.

    Attributes
    ----------
    p_values : ndarray, shape (N,)
        Share of in-distribution images that are at least as strange (`calibration`).
    flagged : ndarray of bool, shape (N,)
        Whether an image is unlike the training set.
    surprises : dict of str to ndarray, shape (N,)
        By score, in nats: minus the log of the share of training images at least as strange.
    """

    p_values: Floats
    flagged: NDArray[np.bool_]
    surprises: dict[str, Floats]

    def strangest(self) -> list[str]:
        """Name the score by which each image is strangest.

        Returns
        -------
        list of str
            Keys of `REASONS`.
        """
        names = list(self.surprises)
        return [names[i] for i in np.stack(list(self.surprises.values())).argmax(axis=0)]

    def records(self) -> list[dict[str, Any]]:
        """Say of each image what a list of predictions says of it.

        Returns
        -------
        list of dict
            ``p_in_distribution`` (its p-value), ``unfamiliar`` and, where that is true,
            ``because``, a key of `REASONS`.
        """
        return [
            {
                "p_in_distribution": float(p_value),
                "unfamiliar": bool(flagged),
                **({"because": reason} if flagged else {}),
            }
            for p_value, flagged, reason in zip(
                self.p_values, self.flagged, self.strangest(), strict=True
            )
        ]


@dataclass(frozen=True)
class Familiarity:
    """References of the training images, and the validation images' surprise.

    Attributes
    ----------
    gaussians : dict of str to GaussianClasses
        Of each group of statistics, and of ``features``.
    neighbours : ndarray, shape (R, D)
        Features of some training images, of unit length.
    tails : dict of str to Tail
        By score.
    calibration : ndarray, shape (n,)
        Surprise of the validation images, sorted.
    rank : int
        From `flag_rank`.
    combination : {"sum", "max"}
        Of the surprises of an image's scores. Several scores that are odd each by a little make an
        image strange; the largest alone is what older files hold.
    """

    gaussians: dict[str, GaussianClasses]
    neighbours: Floats
    tails: dict[str, Tail]
    calibration: Floats
    rank: int
    combination: Literal["sum", "max"] = "sum"

    @property
    def threshold(self) -> float:
        """The p-value at which, and below which, an image is flagged."""
        return self.rank / (len(self.calibration) + 1)

    @property
    def guaranteed_rate(self) -> float:
        """Share of in-distribution images flagged at most, with a confidence of 95 %."""
        return guaranteed_rate(len(self.calibration), self.rank)

    def scores(self, observed: Observed) -> dict[str, Floats]:
        """Compute every score; larger is stranger.

        Parameters
        ----------
        observed : Observed
            Any images.

        Returns
        -------
        dict of str to ndarray, shape (N,)
            Mahalanobis distances, the distance to the neighbours, the energy.
        """
        return _scores(self.gaussians, self.neighbours, observed)

    def assess(self, observed: Observed, threshold: float | None = None) -> Assessment:
        """Say which images are unlike the training set.

        Parameters
        ----------
        observed : Observed
            Any images.
        threshold : float, optional
            Flag where the p-value is at most this; by default the property of this name.

        Returns
        -------
        Assessment
            One entry an image.
        """
        surprises = {
            name: self.tails[name].surprise(values)
            for name, values in self.scores(observed).items()
        }
        each = np.stack(list(surprises.values()))
        together = each.sum(axis=0) if self.combination == "sum" else each.max(axis=0)
        p_values = conformal_p_values(together - ROUNDING, self.calibration)
        limit = self.threshold if threshold is None else threshold
        # p-values are multiples of 1 / (n + 1): half of one below makes rounding harmless
        return Assessment(
            p_values, p_values <= limit + 0.5e-3 / (len(self.calibration) + 1), surprises
        )


def fit_familiarity(
    train: Observed,
    train_labels: NDArray[np.int64],
    validation: Observed,
    generator: np.random.Generator,
) -> Familiarity:
    """Fit references and tails on training images, and calibrate on validation images.

    Parameters
    ----------
    train : Observed
        Training images. Three quarters of them give the references; the tails are of the
        scores of the others, which the references do not know.
    train_labels : ndarray of int64, shape (N,)
        Their classes.
    validation : Observed
        Images of the same distribution, used for nothing else here.
    generator : numpy.random.Generator
        Divides the training images.

    Returns
    -------
    Familiarity
        Exact conformal p-values for images exchangeable with those of validation.
    """
    order = generator.permutation(len(train))
    cut = max(1, min(len(train) - 1, round(REFERENCE_SHARE * len(train))))
    known, unknown = order[:cut], order[cut:]
    gaussians = {
        name: GaussianClasses.fit(train.statistics[name][known])
        for name in REASONS  # in this order, as they are read back
        if name in train.statistics and f"{OF_IMAGE}{name}" not in train.statistics
    }
    gaussians["features"] = GaussianClasses.fit(train.features[known], train_labels[known])
    count = min(MAX_NEIGHBOURS, max(1, MAX_NEIGHBOUR_NUMBERS // train.features.shape[1]))
    # rounded as they are stored, so that the file changes nothing
    neighbours = unit_length(train.features[known[:count]]).astype(np.float16).astype(np.float64)
    tails = {
        name: Tail.fit(values)
        for name, values in _scores(gaussians, neighbours, train.select(unknown)).items()
    }
    found = _scores(gaussians, neighbours, validation)
    together = np.stack([tails[name].surprise(values) for name, values in found.items()]).sum(
        axis=0
    )
    return Familiarity(gaussians, neighbours, tails, np.sort(together), flag_rank(len(validation)))


def _scores(
    gaussians: Mapping[str, GaussianClasses], neighbours: Floats, observed: Observed
) -> dict[str, Floats]:
    scores = {
        name: gaussian.distance(
            observed.features if name == "features" else observed.statistics[name]
        )
        for name, gaussian in gaussians.items()
    }
    near = unit_length(observed.features)
    scores["neighbours"] = neighbour_distance(near, neighbours, NEIGHBOUR)
    scores["energy"] = energy(observed.logits)
    return scores
