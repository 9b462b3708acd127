"""What each image adds to a measure, and whether some images fare worse than the others.

References
----------
.. [1] Winkler, Ridgway, Douaud, Nichols & Smith 2016, NeuroImage 141, 502: p-values of a
   permutation test from the moments of its distribution.
.. [2] Cochran 1977, Sampling Techniques, section 2.15: the moments of a mean of images drawn
   without replacement.
.. [3] Kish 1965, Survey Sampling, section 5.4: the design effect of clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import pearson3

from darkarcs.evaluation.delong import placements
from darkarcs.evaluation.influence import has_clusters
from darkarcs.evaluation.roc import one_vs_rest_scores

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Strings = NDArray[np.str_]

#: Measures that are a mean over images.
Measure = Literal["log_loss", "accuracy", "ranking", "calibration_gap"]
MEASURES: tuple[Measure, ...] = ("log_loss", "accuracy", "ranking", "calibration_gap")
#: Those of which more is better.
RISING: tuple[Measure, ...] = ("accuracy", "ranking")

# No p-value of a moment-matched distribution means anything below this.
_SMALLEST_P = 1e-300


@dataclass(frozen=True)
class ImageScores:
    """What each image adds to each measure; the mean over any images is their measure.

    Parameters
    ----------
    log_loss : NDArray of float64, shape (N,), nats
        Minus the logarithm of the probability that was given to the truth.
    accuracy : NDArray of float64, shape (N,)
        One where the class with the largest logit is the true one, else zero.
    ranking : NDArray of float64, shape (N,)
        Share of all images of other classes, anywhere in the set, that have a lower score of
        the image's true class; a tie counts one half. The mean over a class is its
        one-vs-rest AUC.
    calibration_gap : NDArray of float64, shape (N,)
        Probability of the class called, minus ``accuracy``: above zero on average where the
        model is too sure of itself.
    """

    log_loss: Floats
    accuracy: Floats
    ranking: Floats
    calibration_gap: Floats

    def badness(self, measure: Measure) -> Floats:
        """Give a measure the sign with which more is worse.

        Parameters
        ----------
        measure : {"log_loss", "accuracy", "ranking", "calibration_gap"}
            Which.

        Returns
        -------
        NDArray of float64, shape (N,)
            One minus what should be large; the others as they are.
        """
        values: Floats = getattr(self, measure)
        return 1 - values if measure in RISING else values


def image_scores(logits: Floats, labels: Integers) -> ImageScores:
    """Score each image.

    Parameters
    ----------
    logits : NDArray of float64, shape (N, K)
        Before softmax.
    labels : NDArray of int64, shape (N,)
        The truth, of two classes at least.

    Returns
    -------
    ImageScores
        One number an image and measure.

    Examples
    --------
    >>> scores = image_scores(np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 1]))
    >>> scores.accuracy.tolist(), scores.ranking.tolist()
    ([1.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    >>> scores.log_loss.round(3).tolist()
    [0.127, 0.313, 1.313]
    """
    logits = np.asarray(logits, dtype=np.float64)
    log_probabilities = log_softmax(logits, axis=1)
    rows = np.arange(len(labels))
    correct = (logits.argmax(axis=1) == labels).astype(np.float64)
    one_vs_rest = one_vs_rest_scores(logits)
    ranking = np.zeros(len(labels))
    for index in np.unique(labels):
        own = labels == index
        ranking[own] = placements(one_vs_rest[:, index], own)[own]
    return ImageScores(
        log_loss=-log_probabilities[rows, labels],
        accuracy=correct,
        ranking=ranking,
        calibration_gap=np.exp(log_probabilities.max(axis=1)) - correct,
    )


def permutation_test(values: Floats, member: Booleans, groups: Strings | None = None) -> float:
    r"""Test whether some images have another mean than the rest: two-sided p-value.

    Under the null hypothesis the :math:`n` members are drawn from all :math:`N` images without
    replacement. With :math:`\gamma` the skewness of the values, the mean of a draw has [2]_

    .. math::
        \mathrm{Var} = \frac{s^2}{n} \frac{N - n}{N}, \qquad
        \mathrm{Skew} = \gamma\, \frac{(N - 2n) \sqrt{N - 1}}{(N - 2) \sqrt{n (N - n)}},

    and the p-value is that of Pearson's type III distribution with these moments [1]_. So it is
    right in the far tail, where drawing permutations would take millions, and for few errors
    among many images, where the normal distribution is not. Where images come in groups, the
    deviation is divided by the square root of the design effect [3]_.

    Parameters
    ----------
    values : NDArray of float64, shape (N,)
        One an image.
    member : NDArray of bool, shape (N,)
        Whom to compare with the others.
    groups : NDArray of str, shape (N,), optional
        Images that are not independent share a group.

    Returns
    -------
    float
        One if nobody, or everybody, is a member, or all values are the same.

    References
    ----------
    .. [1] Winkler et al. 2016, NeuroImage 141, 502.
    .. [2] Cochran 1977, Sampling Techniques, section 2.15.
    .. [3] Kish 1965, Survey Sampling, section 5.4.

    Examples
    --------
    >>> values = np.repeat([0.0, 1.0], [90, 10])
    >>> worse = np.arange(100) >= 85
    >>> permutation_test(values, worse) < 1e-6
    True
    >>> round(permutation_test(values, np.arange(100) % 2 == 0), 6)
    1.0
    """
    total, chosen = len(values), int(member.sum())
    deviations = values - values.mean() if total else values
    spread = float(np.sqrt((deviations**2).sum() / max(total - 1, 1)))
    scale = float(np.abs(values).max(initial=0.0))
    if not 0 < chosen < total or total < 3 or spread <= 1e-12 * scale:
        return 1.0
    error = spread * np.sqrt((total - chosen) / (total * chosen))
    skewness = (deviations**3).mean() / (deviations**2).mean() ** 1.5
    skewness *= (total - 2 * chosen) * np.sqrt(total - 1)
    skewness /= (total - 2) * np.sqrt(chosen * (total - chosen))
    deviation = deviations[member].mean() / error
    if groups is not None and has_clusters(groups):
        deviation /= np.sqrt(_design_effect(deviations, member, groups))
    tails = pearson3.cdf(deviation, skewness), pearson3.sf(deviation, skewness)
    return float(np.clip(2 * min(tails), _SMALLEST_P, 1.0))


def _design_effect(deviations: Floats, member: Booleans, groups: Strings) -> float:
    """Variance of a difference of means with clusters over that without; at least one."""
    share = np.where(member, 1 / member.sum(), -1 / (~member).sum()) * deviations
    _, of_group = np.unique(groups, return_inverse=True)
    independent = float((share**2).sum())
    if independent == 0:
        return 1.0
    return max(1.0, float((np.bincount(of_group, weights=share) ** 2).sum()) / independent)


def bootstrap_means(
    values: Floats,
    members: NDArray[np.bool_],
    groups: Strings,
    *,
    num_resamples: int,
    seed: int,
) -> Floats:
    """Resample the means of several, possibly overlapping, sets of images.

    All sets see the same resamples, so that differences between sets are resampled too.

    Parameters
    ----------
    values : NDArray of float64, shape (Q, N)
        Q numbers an image.
    members : NDArray of bool, shape (S, N)
        Whose means are taken.
    groups : NDArray of str, shape (N,)
        Where a group repeats, groups are drawn instead of images.
    num_resamples : int
        R.
    seed : int
        Equal seeds give equal resamples.

    Returns
    -------
    NDArray of float64, shape (R, Q, S)
        NaN where a resample holds no member.

    Examples
    --------
    >>> values, everyone = np.array([[1.0, 1.0, 1.0]]), np.ones((1, 3), dtype=bool)
    >>> groups = np.array(["a", "b", "c"])
    >>> bootstrap_means(values, everyone, groups, num_resamples=2, seed=0).ravel().tolist()
    [1.0, 1.0]
    """
    weighted = np.stack([np.ones(values.shape[1]), *values])[:, None, :] * members  # (1+Q, S, N)
    table = weighted.reshape(-1, values.shape[1]).T.astype(np.float32)
    if has_clusters(groups):
        _, units = np.unique(groups, return_inverse=True)
        by_image, table = table, np.zeros((int(units.max()) + 1, table.shape[1]), np.float32)
        np.add.at(table, units, by_image)
    num_units = len(table)
    # The package's generators live beside torch's; evaluation stays importable without torch.
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    parts = []
    step = max(1, 4_000_000 // max(1, num_units))  # bounds the memory of one block of resamples
    for start in range(0, num_resamples, step):
        size = min(step, num_resamples - start)
        drawn = generator.integers(0, num_units, size=(size, num_units))
        drawn += np.arange(size)[:, None] * num_units
        counts = np.bincount(drawn.ravel(), minlength=size * num_units).astype(np.float32)
        sums = (counts.reshape(size, num_units) @ table).astype(np.float64)
        parts.append(sums.reshape(size, len(values) + 1, len(members)))
    together = np.concatenate(parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = together[:, 1:] / together[:, :1]
    return means
