"""Which images a model flags: few of its own distribution, nearly all of any other."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from darkarcs import data
from darkarcs.benchmark.strange_images import OTHER_SCENES, made_sets, real_sets, scene_sets
from darkarcs.data import LensImages
from darkarcs.errors import DarkarcsError, OutputExistsError, require_new
from darkarcs.evaluation.conformal import coverage_summary
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.intervals import wilson_interval
from darkarcs.evaluation.provenance import (
    command_line,
    describe_machine,
    git_commit,
    package_version,
)
from darkarcs.evaluation.roc import auc
from darkarcs.inference import Predictor
from darkarcs.inference.evaluate import select_split
from darkarcs.inference.examining import Examination, examine, prediction_sets, required_trust
from darkarcs.seeding import numpy_generator

#: What sets of classes are asked for.
COVERAGES: tuple[float, ...] = (0.8, 0.9, 0.95)
#: Images of the model's distribution that look different: whether to flag them is a matter of
#: taste, so no goal is set.
WITHOUT_GOAL = ("turned 45",)
#: Own images that prediction sets are measured on at most: they need the model's test-time
#: augmentation, eightfold the work.
MAX_IN_SETS = 1000
#: The goals: share of own images flagged at most, share of strange ones at least.
OWN_GOAL, STRANGE_GOAL = 0.01, 0.95


def familiarity(
    model: Path,
    data_uri: str,
    *,
    split: str = "test",
    shared: Path | None = None,
    further: Mapping[str, str] | None = None,
    num: int = 300,
    seed: int = 0,
    out: Path | None = None,
    results: Path | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:
    """Measure the share of images that a model flags, by set and by score.

    Parameters
    ----------
    model : pathlib.Path
        A model folder that ships ``trust.safetensors``.
    data_uri : str
        Labelled images of the distribution that it was trained on.
    split : {"test", "all"}
        Part of a set that the model was trained on; ``all`` for fresh images.
    shared : pathlib.Path, optional
        Folder with real galaxies and lenses; their sets are left out without it.
    further : mapping of str to str, optional
        More images by the name of their set, anything that `darkarcs.data.open` reads: how many of
        them are flagged is told, and no goal is set.
    num : int, default 300
        Images a strange set; of a further one at most.
    seed : int, default 0
        Root of all strange images.
    out : pathlib.Path, optional
        A new folder for ``familiarity.json``.
    results : pathlib.Path, optional
        Folder of result files: the same as ``benchmarks/familiarity-NAME.json``.
    device : str, default "cpu"
        Where the model runs.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict
        Ready for JSON: ``own`` and, by name, ``sets`` with ``flagged``, ``interval``
        (Wilson), ``n``, ``by_score`` (share flagged by each score if it were alone at the same
        rank, and its AUROC against own images) and ``reasons``; ``own_by_class``;
        ``prediction_sets`` by coverage; ``goals``; provenance.

    Raises
    ------
    DarkarcsError
        If the model ships no trust, a split cannot be repeated, or output exists.
    """
    targets = _targets(Path(model).name, out, results)
    predictor = Predictor(model, device)
    trust = required_trust(predictor)
    own_images = select_split(data.open(data_uri), predictor.folder.description, split)
    own = examine(predictor, own_images, "none", progress)  # the check looks at one view
    own_scenes = {_scene(data_uri), _scene(str(predictor.folder.description.data.get("uri", "")))}
    found = {
        **made_sets(own_images, num, seed),
        **scene_sets(OTHER_SCENES, own_scenes, num, seed + 1),
        **({} if shared is None else real_sets(Path(shared), own_images, num)),
        **_further(further or {}, num),
    }
    sets, left_out = _examined(predictor, found, own, progress)
    without_goal = (*WITHOUT_GOAL, *(further or {}))
    report = {
        "schema_version": 1,
        "model": predictor.folder.description.name,
        "model_hash": predictor.folder.model_hash,
        "data": data_uri,
        "split": split,
        "data_hash": own_images.content_hash,
        "calibration": {
            "num_training": trust.num_training,
            "num_validation": len(trust.labels),
            "threshold": trust.familiarity.threshold,
            "guaranteed_rate": trust.familiarity.guaranteed_rate,
        },
        "own": _row(own, None),
        "own_by_class": _by_class(own, own_images),
        "sets": sets,
        "left_out": left_out,
        "prediction_sets": _coverages(predictor, own_images, seed, progress),
        "goals": _goals(_row(own, None), sets, without_goal),
        "further": dict(further or {}),
        "num": num,
        "seed": seed,
        "command": command_line(),
        "version": package_version(),
        "git_commit": git_commit(),
        "machine": describe_machine(device=device),
    }
    for target in targets:
        write_new(target, (json.dumps(report, indent=2) + "\n").encode())
    return report


def _targets(name: str, out: Path | None, results: Path | None) -> list[Path]:
    """Name the files to write, none of which may exist."""
    targets = [] if out is None else [require_new(Path(out)) / "familiarity.json"]
    if results is not None:
        targets.append(Path(results) / "benchmarks" / f"familiarity-{name}.json")
    for target in targets:
        if target.exists():
            raise OutputExistsError(target)
    return targets


def _scene(uri: str) -> str:
    """Name the scene that images come from; 'deeplense-test5' imitates 'deeplense-test5.tgz'."""
    return uri.removeprefix("scene:").partition("?")[0].partition(".")[0]


def _further(uris: Mapping[str, str], num: int) -> dict[str, LensImages]:
    opened = {name: data.open(uri, labelled=False) for name, uri in uris.items()}
    return {
        name: images.select(np.arange(min(num, len(images)))) for name, images in opened.items()
    }


def _goals(
    own: dict[str, Any], sets: dict[str, Any], without_goal: Collection[str]
) -> dict[str, Any]:
    with_goal = {key: row for key, row in sets.items() if key not in without_goal}
    return {
        "own_at_most": OWN_GOAL,
        "strange_at_least": STRANGE_GOAL,
        "own_met": own["flagged"] <= OWN_GOAL,
        "below": [key for key, row in with_goal.items() if row["flagged"] < STRANGE_GOAL],
        "without_goal": [key for key in sets if key in without_goal],
    }


def _examined(
    predictor: Predictor, found: Mapping[str, LensImages], own: Examination, progress: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Examine every strange set; those that the model refuses are left out, with the reason."""
    rows: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    shown = track(
        found.items(), "Flagging", console=Console(stderr=True), disable=not progress,
        transient=True,
    )  # fmt: skip
    for name, images in shown:
        try:
            # one view: the check looks at no other
            rows[name] = _row(examine(predictor, images, "none"), own)
        except DarkarcsError as error:  # refused outright: safer than a flag
            left_out[name] = str(error)
    return rows, left_out


def _row(found: Examination, own: Examination | None) -> dict[str, Any]:
    assessment = found.assessment
    assert assessment is not None
    flagged, total = int(assessment.flagged.sum()), len(assessment.flagged)
    reasons = np.array(assessment.strangest())[assessment.flagged]
    names, counts = np.unique(reasons, return_counts=True)
    row: dict[str, Any] = {
        "flagged": flagged / total,
        "interval": list(wilson_interval(flagged, total)),
        "n": total,
        "reasons": {str(name): int(count) for name, count in zip(names, counts, strict=True)},
    }
    if own is not None and own.assessment is not None:
        row["by_score"] = {
            score: _alone(values, own.assessment.surprises[score])
            for score, values in assessment.surprises.items()
        }
    return row


def _alone(strange: NDArray[np.float64], own: NDArray[np.float64]) -> dict[str, float]:
    """Judge one score by itself: AUROC, and the share above all but 1 % of own images."""
    scores = np.concatenate([own, strange])
    positive = np.arange(len(scores)) >= len(own)
    return {
        "auroc": auc(scores, positive),
        "above_own_99_percent": float((strange > np.quantile(own, 0.99)).mean()),
    }


def _by_class(own: Examination, images: LensImages) -> dict[str, Any]:
    assert own.assessment is not None
    if images.labels is None:
        return {}
    rows = {}
    for index, name in enumerate(images.class_names):
        chosen = own.assessment.flagged[images.labels == index]
        if len(chosen):
            rows[name] = {
                "flagged": float(chosen.mean()),
                "interval": list(wilson_interval(int(chosen.sum()), len(chosen))),
                "n": len(chosen),
            }
    return rows


def _coverages(
    predictor: Predictor, images: LensImages, seed: int, progress: bool
) -> list[dict[str, Any]]:
    """Measure prediction sets on own images: both scores, marginal and by class."""
    if images.labels is None or images.class_names != predictor.class_names:
        return []
    # drawn, for sets are often sorted by class
    drawn = numpy_generator(seed, "prediction_sets").permutation(len(images))[:MAX_IN_SETS]
    images = images.select(np.sort(drawn))
    assert images.labels is not None
    logits = predictor.logits(images, progress=progress) / predictor.folder.description.temperature
    rows = []
    for coverage in COVERAGES:
        for score in ("lac", "aps"):
            for by_class in (False, True):
                sets = prediction_sets(predictor, coverage, score=score, by_class=by_class)
                measured = coverage_summary(
                    sets.apply(logits), images.labels, predictor.class_names
                )
                rows.append(
                    {"asked": coverage, "score": score, "fitted_by_class": by_class, **measured}
                )
    return rows
