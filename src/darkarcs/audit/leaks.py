"""How well plain features alone tell the classes apart, out of fold, with intervals and a verdict.

Gradient-boosted trees are trained on the features of four folds and score the fifth; folds are
those of `darkarcs.data.folds`, so that no group (a pair, a source galaxy) and no exact duplicate
is cut. Intervals are those of `darkarcs.evaluation.intervals`, at a level that makes all the
families of a table hold together (Bonferroni). They know of the scatter of the images, not of
what trees of different folds share by having seen the same images: on sets without any leak
out-of-fold AUCs were measured to scatter 1.2 times as far. Therefore `LEVEL` is 0.99 in name;
a table then flags a clean set in less than one of twenty cases.

=========== =======================================================================================
verdict     in plain words
=========== =======================================================================================
``leaks``   a shortcut: noise or files tell the class at all (the interval lies above 0.5), which
            no physics can explain; or light alone nearly solves the set (an AUC above
            `SHORTCUT_AUC`), so that a high score says little about substructure
``carries`` the light carries class information (the interval lies above 0.5); it may be physics
            or the simulator's habit: report it beside every result
``clean``   the interval reaches down to 0.5: nothing was found, with this many images
=========== =======================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.stats import rankdata

from darkarcs.audit.boosted_trees import out_of_fold_logits
from darkarcs.audit.feature_table import FeatureTable, join_columns
from darkarcs.data import LensImages, folds
from darkarcs.errors import DataError
from darkarcs.evaluation.intervals import AucInterval, auc_interval
from darkarcs.evaluation.roc import one_vs_rest_scores

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Verdict = Literal["leaks", "carries", "clean"]
Kind = Literal["content", "artefact"]

#: From this AUC on, light alone "nearly solves the set".
SHORTCUT_AUC = 0.9

NUM_FOLDS = 5

#: Level in name at which the intervals of all families of a set hold together.
LEVEL = 0.99


@dataclass(frozen=True)
class Leak:
    """What one family of features tells of the classes.

    Parameters
    ----------
    family : str
        Name of the family; ``"all together"`` for the union.
    kind : {"content", "artefact"}
        As of the family.
    num_features : int
        Columns.
    measured : AucInterval
        Out-of-fold, one-vs-rest, averaged over the classes.
    pairs : dict of str to AucInterval
        The same scores on the images of two classes only, under ``"first | second"``; empty
        where there are but two.
    best_feature : str
        The single column that ranks the classes best.
    best_feature_auc : float
        Its AUC by itself, in the direction and for the pair of classes where it is largest.
    verdict : {"leaks", "carries", "clean"}
        See the module's text.
    """

    family: str
    kind: Kind
    num_features: int
    measured: AucInterval
    pairs: dict[str, AucInterval]
    best_feature: str
    best_feature_auc: float
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """Write as what JSON holds.

        Returns
        -------
        dict
            ``family``, ``kind``, ``num_features``, ``auc``, ``interval``, ``standard_error``,
            ``pairs``, ``best_feature``, ``best_feature_auc``, ``verdict``.
        """
        return {
            "family": self.family,
            "kind": self.kind,
            "num_features": self.num_features,
            **_as_json(self.measured),
            "pairs": {name: _as_json(pair) for name, pair in self.pairs.items()},
            "best_feature": self.best_feature,
            "best_feature_auc": self.best_feature_auc,
            "verdict": self.verdict,
        }


def _as_json(measured: AucInterval) -> dict[str, Any]:
    return {
        "auc": measured.auc,
        "interval": list(measured.interval),
        "standard_error": measured.standard_error,
    }


def choose_folds(lens_images: LensImages, seed: int = 0) -> Integers:
    """Assign images to folds, fewer than five where a class is small.

    Parameters
    ----------
    lens_images : LensImages
        Labelled.
    seed : int, default 0
        Another seed, another division.

    Returns
    -------
    ndarray of int64, shape (N,)
        From `darkarcs.data.folds`.

    Raises
    ------
    DataError
        If there is no second class, or a class has fewer than two independent images.
    """
    counts = lens_images.class_counts()
    present = {name: count for name, count in counts.items() if count}
    if len(present) < 2:
        raise DataError("leaks are looked for between classes: labelled images of two are needed")
    groups = lens_images.metadata["group"]
    identities = lens_images.metadata["identity"]
    smallest = min(
        min(len(np.unique(column[lens_images.label_names == name])) for name in present)
        for column in (groups, identities)
    )
    if smallest < 2:
        raise DataError("leaks cannot be looked for: a class has fewer than two separate images")
    return folds(lens_images, min(NUM_FOLDS, smallest), seed)


def measure_auc(
    logits: Floats, labels: Integers, groups: NDArray[np.str_], level: float = 0.95
) -> AucInterval:
    """Measure the macro one-vs-rest AUC of logits.

    Parameters
    ----------
    logits : ndarray of float64, shape (N, K)
        From `out_of_fold_logits`.
    labels : ndarray of int64, shape (N,)
        The truth; classes without images are left out.
    groups : ndarray of str, shape (N,)
        Images that are not independent share a group.
    level : float, default 0.95
        Of the interval.

    Returns
    -------
    AucInterval
        For two classes, of the second.
    """
    present = np.unique(labels).tolist()
    classes = present[-1:] if len(present) == 2 else present
    return auc_interval(one_vs_rest_scores(logits), labels, classes, groups, level)


def judge(kind: Kind, measured: AucInterval) -> Verdict:
    """Say what an AUC means for a family of features.

    Parameters
    ----------
    kind : {"content", "artefact"}
        As of the family.
    measured : AucInterval
        Out-of-fold.

    Returns
    -------
    {"leaks", "carries", "clean"}
        See the module's text.

    Examples
    --------
    >>> measured = AucInterval(0.6, (0.55, 0.65), 0.02, "delong_logit_t", 90.0, (0.5, 0.7))
    >>> judge("content", measured), judge("artefact", measured)
    ('carries', 'leaks')
    """
    if measured.interval[0] <= 0.5:
        return "clean"
    if kind == "artefact" or measured.auc > SHORTCUT_AUC:
        return "leaks"
    return "carries"


def best_feature(table: FeatureTable, labels: Integers) -> tuple[str, float]:
    """Find the single feature that ranks two classes best.

    Parameters
    ----------
    table : FeatureTable
        N rows.
    labels : ndarray of int64, shape (N,)
        Two classes or more.

    Returns
    -------
    name : str
        Of the column; with more than two classes, of the pair told best. ``"nothing varies"``
        where all images are equal in all columns.
    auc : float
        At least one half: in whichever direction it ranks.
    """
    if not table.varies():
        return "nothing varies", 0.5
    best = (table.names[0], 0.5)
    for first, second in combinations(np.unique(labels).tolist(), 2):
        member = (labels == first) | (labels == second)
        positive = labels[member] == second
        values = table.values[member]
        filled = np.where(np.isnan(values), -np.inf, values)
        ranks = rankdata(filled, axis=0)[positive].sum(axis=0)
        num_positive, num_negative = int(positive.sum()), int((~positive).sum())
        areas = (ranks - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)
        areas = np.maximum(areas, 1 - areas)
        column = int(areas.argmax())
        if areas[column] > best[1]:
            best = (table.names[column], float(areas[column]))
    return best


def find_leaks(
    lens_images: LensImages,
    tables: Mapping[str, tuple[Kind, FeatureTable]],
    *,
    seed: int = 0,
    level: float = LEVEL,
    progress: bool = False,
) -> list[Leak]:
    """Measure how well each family, and all together, tells the classes.

    Parameters
    ----------
    lens_images : LensImages
        Labelled; only labels, groups and identities are looked at.
    tables : mapping of str to (kind, FeatureTable)
        The features under the names of their families.
    seed : int, default 0
        Of the folds and of the trees.
    level : float, default `LEVEL`
        That the intervals of all rows hold together; each is as much wider as it needs to be.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    list of Leak
        One a family, in order, then ``"all together"``.

    Raises
    ------
    DataError
        As `choose_folds`.
    """
    fold = choose_folds(lens_images, seed)
    labels = lens_images.labels
    assert labels is not None
    _, labels = np.unique(labels, return_inverse=True)
    groups = lens_images.metadata["group"].astype(str)
    names = [name for name, count in lens_images.class_counts().items() if count]
    together: tuple[Kind, FeatureTable] = (
        "content",
        join_columns([table for _, table in tables.values()]),
    )
    rows = {**tables, "all together": together}
    each = 1 - (1 - level) / len(rows)
    leaks = []
    console = Console(stderr=True)
    for name in track(rows, "Growing trees", console=console, disable=not progress, transient=True):
        kind, table = rows[name]
        if table.varies():
            logits = out_of_fold_logits(table.values, labels, fold, seed)
        else:
            logits = np.zeros((len(labels), len(names)))
        measured = measure_auc(logits, labels, groups, each)
        pairs = _pairs(logits, labels, groups, names, each) if len(names) > 2 else {}
        column, alone = best_feature(table, labels)
        leaks.append(
            Leak(
                name, kind, len(table.names), measured, pairs, column, alone,
                judge(kind, measured),
            )
        )  # fmt: skip
    return leaks


def _pairs(
    logits: Floats, labels: Integers, groups: NDArray[np.str_], names: list[str], level: float
) -> dict[str, AucInterval]:
    found = {}
    for first, second in combinations(range(len(names)), 2):
        member = (labels == first) | (labels == second)
        of_two = logits[member][:, [first, second]]
        truth = (labels[member] == second).astype(np.int64)
        found[f"{names[first]} | {names[second]}"] = measure_auc(
            of_two, truth, groups[member], level
        )
    return found
