"""How far each image moves an AUC: the variance of means of AUCs, of clusters, of differences.

References
----------
.. [1] DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837.
.. [2] Obuchowski 1997, Biometrics 53, 567: the variance for clustered images.
.. [3] Kish 1965, Survey Sampling, section 11.7: the effective number of unequal weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from darkarcs.evaluation.delong import placements

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Strings = NDArray[np.str_]


def influence(scores: Floats, labels: Integers, classes: Sequence[int]) -> Floats:
    r"""How far each image moves the mean one-vs-rest AUC.

    .. math:: \psi_i = \frac{1}{K} \sum_c \frac{V_c(i) - A_c}{n_c(i)}

    with :math:`V_c(i)` the placement of image `i` for class `c` and :math:`n_c(i)` the number
    of images on its own side of that class. Sums of :math:`\psi^2` give DeLong's variance for
    one class, and its extension to means of classes and to clusters.

    Parameters
    ----------
    scores : NDArray of float64, shape (N, K)
        One-vs-rest scores.
    labels : NDArray of int64, shape (N,)
        The truth.
    classes : sequence of int
        Whose AUCs are averaged.

    Returns
    -------
    NDArray of float64, shape (N,)
        Sums to zero.

    Examples
    --------
    >>> scores = np.array([[-1.0, 1.0], [-2.0, 2.0], [-2.0, 2.0], [-3.0, 3.0]])
    >>> influence(scores, np.array([0, 1, 0, 1]), [1]).tolist()
    [0.0625, -0.0625, -0.0625, 0.0625]
    """
    psi = np.zeros(len(labels))
    for index in classes:
        positive = labels == index
        share = placements(scores[:, index], positive)
        side = np.where(positive, positive.sum(), (~positive).sum())
        psi += (share - share[positive].mean()) / side / len(classes)
    return psi


def influence_variance(psi: Floats, strata: Integers, groups: Strings | None = None) -> float:
    """Variance of the estimate that an influence function belongs to.

    Parameters
    ----------
    psi : NDArray of float64, shape (N,)
        From `influence`, or a difference of two.
    strata : NDArray of int64, shape (N,)
        Within which images are exchangeable: the sides of a class, or the classes.
    groups : NDArray of str, shape (N,), optional
        Images that are not independent share a group.

    Returns
    -------
    float
        Without repeated groups, DeLong's [1]_; with them, Obuchowski's [2]_.

    References
    ----------
    .. [1] DeLong et al. 1988, Biometrics 44, 837.
    .. [2] Obuchowski 1997, Biometrics 53, 567.
    """
    if groups is not None and has_clusters(groups):
        sums = sum_by_group(psi, groups)
        return float((sums**2).sum() * len(sums) / (len(sums) - 1))
    total = 0.0
    for stratum in np.unique(strata):
        own = psi[strata == stratum]
        if len(own) > 1:  # a single image says nothing about its spread
            total += float(own.var(ddof=1)) * len(own)
    return total


def effective_errors(
    scores: Floats, labels: Integers, classes: Sequence[int], groups: Strings
) -> float:
    """How many images, in effect, the distance of a mean AUC from 1 rests on.

    Parameters
    ----------
    scores : NDArray of float64, shape (N, K)
        One-vs-rest scores.
    labels : NDArray of int64, shape (N,)
        The truth.
    classes : sequence of int
        Whose AUCs are averaged.
    groups : NDArray of str, shape (N,)
        Images that are not independent share a group and count as one.

    Returns
    -------
    float
        Kish's number [3]_ of the images' shares in the error, for the side (positives or
        negatives) where it is smaller: 1 if a single image makes it all. For an AUC below one
        half, of the shares in the distance from 0. Zero where there is no error.

    References
    ----------
    .. [3] Kish 1965, Survey Sampling, section 11.7.

    Examples
    --------
    >>> scores = np.array([[-1.0, 1.0], [-4.0, 4.0], [-2.0, 2.0], [-3.0, 3.0]])
    >>> effective_errors(scores, np.array([0, 0, 1, 1]), [1], np.array(list("abcd")))
    1.0
    """
    sides = {True: np.zeros(len(labels)), False: np.zeros(len(labels))}
    for index in classes:
        positive = labels == index
        share = placements(scores[:, index], positive)
        lost = 1 - share if share[positive].mean() >= 0.5 else share
        for side, member in ((True, positive), (False, ~positive)):
            sides[side][member] += lost[member] / member.sum()
    return min(kish_number(sum_by_group(lost, groups)) for lost in sides.values())


def kish_number(weights: Floats) -> float:
    """Effective number of unequal weights: squared sum over sum of squares [3]_.

    Parameters
    ----------
    weights : NDArray of float64, shape (N,)
        Not negative.

    Returns
    -------
    float
        N for equal weights, 1 for a single one, 0 for none.

    References
    ----------
    .. [3] Kish 1965, Survey Sampling, section 11.7.

    Examples
    --------
    >>> kish_number(np.array([2.0, 2.0, 0.0])), kish_number(np.zeros(3))
    (2.0, 0.0)
    """
    peak = float(np.max(weights, initial=0.0))
    if peak == 0:
        return 0.0
    scaled = weights / peak  # squares of tiny shares would underflow
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def sum_by_group(values: Floats, groups: Strings) -> Floats:
    """Add what belongs to the same group.

    Parameters
    ----------
    values : NDArray of float64, shape (N,)
        One an image.
    groups : NDArray of str, shape (N,)
        One an image.

    Returns
    -------
    NDArray of float64, shape (G,)
        In the order of the sorted groups; the values themselves if no group repeats.
    """
    if not has_clusters(groups):
        return values
    _, members = np.unique(groups, return_inverse=True)
    return np.bincount(members, weights=values).astype(np.float64)


def has_clusters(groups: Strings) -> bool:
    """Tell whether any group holds two images or more.

    Parameters
    ----------
    groups : NDArray of str, shape (N,)
        One an image.

    Returns
    -------
    bool
        True if images are to be resampled by group; a single group of everything is taken for
        a missing one.

    Examples
    --------
    >>> has_clusters(np.array(["a", "b", "b"])), has_clusters(np.array(["a", "b"]))
    (True, False)
    """
    count = len(np.unique(groups))
    return 1 < count < len(groups)


def independent_tuples(labels: Integers, groups: Strings) -> int:
    """How many sets of one image a class can surely be formed of different groups.

    Parameters
    ----------
    labels : NDArray of int64, shape (N,)
        Two or more different values.
    groups : NDArray of str, shape (N,)
        A group is used at most once.

    Returns
    -------
    int
        Without repeated groups, the size of the smallest class.

    Examples
    --------
    >>> independent_tuples(np.array([0, 1, 0, 1]), np.array(["a", "a", "b", "b"]))
    1
    """
    values, classes = np.unique(labels, return_inverse=True)
    if not has_clusters(groups):
        return int(np.bincount(classes).min())
    _, members = np.unique(groups, return_inverse=True)
    holds = np.zeros((int(members.max()) + 1, len(values)), dtype=bool)
    holds[members, classes] = True
    smallest = int(holds.sum(axis=0).min())
    # Each set takes a group away from every class that its other groups hold.
    return smallest // len(values) if (holds.sum(axis=1) > 1).any() else smallest
