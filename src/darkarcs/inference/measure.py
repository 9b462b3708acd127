"""Measure lens images by a model folder, write what was measured, and compare with the truth."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import OutputExistsError, require_new
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.measurements import Measurements, write_measurements
from darkarcs.evaluation.provenance import (
    command_line,
    describe_machine,
    git_commit,
    package_version,
)
from darkarcs.evaluation.regression import evaluate_regression
from darkarcs.evaluation.results import append_test_log
from darkarcs.evaluation.substructure_maps import evaluate_map
from darkarcs.inference.evaluate import seen_warnings, select_split
from darkarcs.inference.examining import examine
from darkarcs.inference.measuring import Measurer
from darkarcs.model_folder import ModelDescription, TestTimeAugmentation
from darkarcs.trust import Assessment

TABLE, MAPS, REPORT = "measurements.csv", "maps.npz", "measurement.json"
FAMILIARITY = "familiarity.csv"
#: Folder of reports within the folder of results.
KEPT = "measurements"


def measure(
    model: Path,
    data_uri: str,
    out: Path,
    *,
    split: str = "all",
    test_time_augmentation: TestTimeAugmentation | None = None,
    skip_bad: bool = False,
    num_bootstrap: int = 1000,
    results: Path | None = None,
    name: str | None = None,
    test_log: Path | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:
    """Measure the substructure of lens images.

    Writes ``measurements.csv`` (a line a lens: median and bounds of each number), ``maps.npz``
    (``probability`` of shape (N, G, G), and where known ``counts``), ``familiarity.csv`` (how much
    like the training images each is, of models that ship what tells) and ``measurement.json``:
    where the images tell their truth, how far the measurements are from it.

    Parameters
    ----------
    model : pathlib.Path
        A model folder trained with ``objective.kind=regression``.
    data_uri : str
        Lens images, with or without truth.
    out : pathlib.Path
        A new folder.
    split : {"all", "train", "validation", "test"}, default "all"
        See `darkarcs.inference.evaluate`.
    test_time_augmentation : {"none", "dihedral"}, optional
        The model folder's choice by default, for which its intervals are calibrated.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    num_bootstrap : int, default 1000
        Resamples of the intervals of the figures.
    results : pathlib.Path, optional
        Folder of results, which keeps a copy of the report as ``measurements/NAME.json``.
    name : str, optional
        Of the result file; the model's by default.
    test_log : pathlib.Path, optional
        The log of test evaluations, which gets a line unless training used the split.
    device : str, default "cpu"
        Where the model runs.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict
        Content of ``measurement.json``: ``numbers`` by column (see
        `darkarcs.evaluation.regression.evaluate_regression`; None where no truth is known),
        ``map`` (see `darkarcs.evaluation.substructure_maps.evaluate_map`, or None), and what was
        measured, on what, by which command.

    Raises
    ------
    DarkarcsError
        A model that does not measure, bad data, output that exists.
    """
    out = require_new(Path(out))
    measurer = Measurer(model, device)
    described = measurer.predictor.folder.description
    kept = None if results is None else results / KEPT / f"{name or described.name}.json"
    if kept is not None and kept.exists():
        raise OutputExistsError(kept)
    images = data.open(data_uri, skip_bad=skip_bad)
    chosen = select_split(images, described, split)
    # smooth lenses are fitted once for both looks
    taken = measurer.predictor.as_taken(chosen, progress=progress)
    measured, maps = measurer.measure(taken, split, test_time_augmentation, progress)
    trusted = measurer.predictor.trust is not None
    assessment = examine(measurer.predictor, taken, "none").assessment if trusted else None
    out.mkdir(parents=True, exist_ok=True)
    write_measurements(measured, out / TABLE)
    _write_familiarity(out / FAMILIARITY, measured, assessment)
    truth = measurer.true_map(chosen)
    if maps is not None:
        _write_maps(out / MAPS, measured, maps, truth)
    report = {
        "schema_version": 1,
        "model": described.name,
        "model_hash": measured.model_hash,
        "n": len(chosen),
        "split": split,
        "numbers": _evaluate_numbers(measured, num_bootstrap),
        "map": None
        if maps is None or truth is None
        else _evaluate_map(measurer, chosen, maps, truth, num_bootstrap),
        "calibration": measurer.description.model_dump(mode="json", exclude={"shape"}),
        "data": _describe(chosen),
        "warnings": [*seen_warnings(chosen, measurer.predictor), *_strange(assessment)],
        "test_time_augmentation": test_time_augmentation or described.test_time_augmentation,
        **_provenance(described, device),
    }
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    (out / REPORT).write_text(text, encoding="utf-8")
    if test_log is not None and split not in ("train", "validation"):
        _log(test_log, name or described.name, measured, chosen)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_new(kept, text.encode())
    return report


def _describe(images: LensImages) -> dict[str, Any]:
    return {
        "content_hash": images.content_hash,
        "scene": images.manifest.get("scene_identity"),
        "request": images.manifest.get("request"),
    }


def _log(test_log: Path, name: str, measured: Measurements, images: LensImages) -> None:
    """No AUC was looked at, but the lenses were."""
    seen = {"data_hash": images.content_hash, "split": measured.split, "n": len(images)}
    who = {"model": name, "model_hash": measured.model_hash}
    append_test_log(test_log, {**who, **seen, "auc_macro": "nan"})


def _write_familiarity(path: Path, measured: Measurements, assessment: Assessment | None) -> None:
    if assessment is None:
        return
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("name", "identity", "p_in_distribution", "unfamiliar", "because"))
    rows = zip(
        *(measured.names, measured.identities, assessment.p_values, assessment.flagged),
        assessment.strangest(),
        strict=True,
    )
    for name, identity, p_value, flagged, because in rows:
        reason = because if flagged else ""
        writer.writerow((name, identity, f"{p_value:.6g}", "yes" if flagged else "no", reason))
    write_new(path, stream.getvalue().encode())


def _strange(assessment: Assessment | None) -> list[str]:
    if assessment is None or not assessment.flagged.any():
        return []
    count, total = int(assessment.flagged.sum()), len(assessment.flagged)
    return [
        f"{count} of {total} images are unlike those that the model was trained on, and what is "
        f"measured on them means little: {FAMILIARITY} names them"
    ]


def _provenance(described: ModelDescription, device: str) -> dict[str, Any]:
    return {
        "command": command_line(),
        "version": package_version(),
        "git_commit": git_commit(),
        "machine": describe_machine(device=device),
        "training": {k: v for k, v in described.provenance.items() if k != "learning_curve"},
    }


def _evaluate_numbers(measured: Measurements, num_bootstrap: int) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for name, number in measured.numbers.items():
        report[name] = None
        if np.isfinite(number.truth).sum() >= 3:
            report[name] = {
                "unit": "dex" if number.transform == "log10" else "",
                **evaluate_regression(
                    number.truth,
                    number.median,
                    number.lower,
                    number.upper,
                    number.levels,
                    num_bootstrap=num_bootstrap,
                ),
            }
    return report


def _evaluate_map(
    measurer: Measurer,
    images: LensImages,
    maps: NDArray[np.float32],
    counts: NDArray[np.float32],
    num_bootstrap: int,
) -> dict[str, Any] | None:
    known = counts[np.isfinite(counts)]
    if not (known > 0).any() or (known > 0).all():
        return None
    # an average precision sorts all cells at each resample
    resamples = min(num_bootstrap, 200)
    return evaluate_map(maps, counts, measurer.cell_radius(images), num_bootstrap=resamples)


def _write_maps(
    path: Path,
    measured: Measurements,
    maps: NDArray[np.float32],
    counts: NDArray[np.float32] | None,
) -> None:
    arrays = {"identity": measured.identities, "probability": maps}
    if counts is not None:
        arrays["counts"] = counts
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    write_new(path, stream.getvalue())
