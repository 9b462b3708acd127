r"""Null tests of a scene: without substructure nothing may tell the classes apart.

A scene that gives its classes different nuisance parameters, noise, solver steps or rounding
leaks, whatever substructure is in it. So its images are drawn through the very same code path
with the substructure's mass scaled to nearly zero (``massless``) and with the same mass smoothed
out (``smooth``), still labelled, and classifiers try to tell the labels:

* **all families together** (primary): gradient-boosted trees on all plain features of
  `darkarcs.audit.features`;
* each family by itself, and **random convolutions** (`darkarcs.audit.random_convolutions`),
  which see artefacts at the level of pixels that no plain feature holds (secondary).

Each is trained on one half of the images and measured on the other; pairs (same lens, other
class) lie in one half and count as one. Halves, not folds: on images that no part of the training
has seen DeLong's standard error is that of the AUC under the null, while AUCs joined over five
folds were measured to scatter 1.2 to 1.4 times as far. A scene can draw as many images as it
takes. The primary AUC must lie within 0.50 +- 2 standard errors: a fair scene fails so
by chance in 4.6 % of tests. The secondary ones must not lie above 0.50 by more than the normal
quantile at which all of them together fail a fair scene in `FAMILY_WISE_RATE` of tests at most
(Bonferroni; one-sided, since on images held out only an AUC above 0.5 speaks of a leak). The
rates that a report states are for one null. Were the two nulls independent, a fair scene would
fail one of them in 11 % of tests; drawn from one seed they share lenses and often agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from darkarcs.audit.boosted_trees import tree_logits
from darkarcs.audit.feature_table import join_columns
from darkarcs.audit.features import FAMILIES, measure
from darkarcs.audit.leaks import choose_folds, measure_auc
from darkarcs.audit.random_convolutions import random_features, ridge_logits
from darkarcs.data import LensImages, folds

Null = Literal["massless", "smooth"]

#: Standard errors that the primary AUC may lie off 0.5.
PRIMARY_BOUND = 2.0

#: How often the secondary AUCs, together, fail a fair scene.
FAMILY_WISE_RATE = 0.01


#: What a scene offers, ``sample(null, seed, num)``: so many images through its own code path,
#: labelled as if the substructure were there, whose mass is nearly zero or smoothed out.
NullSample = Callable[[Null, int, int], LensImages]


@dataclass(frozen=True)
class NullRow:
    """One classifier's AUC on a null sample.

    Parameters
    ----------
    name : str
        Of the features it sees.
    auc : float
        On the half held out; macro one-vs-rest where there are more than two classes.
    standard_error : float
        Of the AUC; pairs counted as one.
    bound : float
        How many standard errors it may lie off 0.5.
    two_sided : bool, default False
        Whether the bound holds below 0.5 too.
    """

    name: str
    auc: float
    standard_error: float
    bound: float
    two_sided: bool = False

    @property
    def deviation(self) -> float:
        """Distance from 0.5 in standard errors; infinite where it errs without scatter."""
        off = self.auc - 0.5
        if self.standard_error == 0:
            return 0.0 if off == 0 else float(np.copysign(np.inf, off))
        return off / self.standard_error

    @property
    def passed(self) -> bool:
        """Whether it lies within its bound."""
        off = abs(self.deviation) if self.two_sided else self.deviation
        return off <= self.bound


@dataclass(frozen=True)
class NullResult:
    """All classifiers on one null sample.

    Parameters
    ----------
    null : {"massless", "smooth"}
        Which.
    num_images : int
        Drawn; half of them were held out.
    num_groups : int
        Independent ones.
    primary : NullRow
        All plain features together.
    secondary : tuple of NullRow
        Each family, and random convolutions.
    """

    null: Null
    num_images: int
    num_groups: int
    primary: NullRow
    secondary: tuple[NullRow, ...]

    @property
    def passed(self) -> bool:
        """Whether the primary and every secondary row lies within its bound."""
        return self.primary.passed and all(row.passed for row in self.secondary)


@dataclass(frozen=True)
class NullTestReport:
    """The null tests of a scene.

    Parameters
    ----------
    results : tuple of NullResult
        One a null.
    seed : int
        Of the draws, folds and classifiers.
    """

    results: tuple[NullResult, ...]
    seed: int

    @property
    def passed(self) -> bool:
        """Whether the scene passed all; if not, it leaks."""
        return all(result.passed for result in self.results)

    def as_json(self) -> dict[str, Any]:
        """Write as what JSON holds.

        Returns
        -------
        dict
            ``passed``, ``seed``, ``primary_rate``, ``family_wise_rate`` and ``results``.
        """
        return {
            "passed": self.passed,
            "seed": self.seed,
            "primary_rate": float(2 * norm.sf(PRIMARY_BOUND)),
            "family_wise_rate": FAMILY_WISE_RATE,
            "results": [
                {
                    "null": result.null,
                    "num_images": result.num_images,
                    "num_groups": result.num_groups,
                    "passed": result.passed,
                    "primary": _as_json(result.primary),
                    "secondary": [_as_json(row) for row in result.secondary],
                }
                for result in self.results
            ],
        }


def _as_json(row: NullRow) -> dict[str, Any]:
    deviation = row.deviation
    return {
        "name": row.name,
        "auc": row.auc,
        "standard_error": row.standard_error,
        "deviation": deviation if np.isfinite(deviation) else None,
        "bound": row.bound,
        "two_sided": row.two_sided,
        "passed": row.passed,
    }


def null_test(
    sample: NullSample, seed: int = 0, num: int = 2000, progress: bool = False
) -> NullTestReport:
    """Put a scene to both null tests.

    Parameters
    ----------
    sample : NullSample
        Draws the scene's images without their signal.
    seed : int, default 0
        Of the draws, folds and classifiers.
    num : int, default 2000
        Images of each null; half of them measure. Without pairs an AUC's standard error is
        about ``0.82 / sqrt(num)``, with pairs less.
    progress : bool, default False
        Show progress bars on standard error.

    Returns
    -------
    NullTestReport
        With `passed`.

    Raises
    ------
    DataError
        If the sample has no second class, or too few images.
    """
    results = tuple(
        examine_null(null, sample(null, seed, num), seed, progress) for null in get_args(Null)
    )
    return NullTestReport(results, seed)


def examine_null(
    null: Null, lens_images: LensImages, seed: int = 0, progress: bool = False
) -> NullResult:
    """Try to tell the labels of one null sample.

    Parameters
    ----------
    null : {"massless", "smooth"}
        Which null it is.
    lens_images : LensImages
        Labelled, without signal.
    seed : int, default 0
        Of folds and classifiers.
    progress : bool, default False
        Show progress bars on standard error.

    Returns
    -------
    NullResult
        All rows.

    Raises
    ------
    DataError
        If there is no second class, or too few images.
    """
    choose_folds(lens_images, seed)  # its complaints about classes and numbers are due here too
    inside = folds(lens_images, 2, seed) == 0
    _, labels = np.unique(np.asarray(lens_images.labels), return_inverse=True)
    groups = lens_images.metadata["group"].astype(str)
    tables = measure(lens_images.images, progress=progress)
    convolved = random_features(lens_images.images, seed, progress)
    logits = {
        FAMILIES[name].name: tree_logits(table.values, labels, inside, seed)
        for name, table in tables.items()
    }
    logits["random convolutions"] = ridge_logits(convolved.values, labels, inside)
    joined = join_columns(list(tables.values()))
    together = tree_logits(joined.values, labels, inside, seed)
    truth, held_out = labels[~inside], groups[~inside]
    bound = float(norm.isf(FAMILY_WISE_RATE / len(logits)))
    return NullResult(
        null,
        len(lens_images),
        len(np.unique(groups)),
        NullRow(
            "all families together", *_measured(together, truth, held_out), PRIMARY_BOUND, True
        ),
        tuple(
            NullRow(name, *_measured(scores, truth, held_out), bound)
            for name, scores in logits.items()
        ),
    )


def _measured(
    logits: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.str_]
) -> tuple[float, float]:
    measured = measure_auc(logits, labels, groups)
    return measured.auc, measured.standard_error
