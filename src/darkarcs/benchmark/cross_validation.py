"""Out-of-fold predictions: every image is predicted by a model that has not seen it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkarcs.configuration import read_yaml
from darkarcs.errors import ConfigurationError, OutputExistsError
from darkarcs.evaluation import (
    evaluate_predictions,
    join_predictions,
    read_predictions,
    write_predictions,
)
from darkarcs.evaluation.provenance import command_line
from darkarcs.evaluation.results import LearningPoint, Result, append_test_log, write_result
from darkarcs.inference.evaluate import SELECTION, TEST_LOG, evaluate
from darkarcs.model_folder import read_description
from darkarcs.training import Recipe, train


def cross_validate(
    recipe: Recipe,
    data_uri: str,
    out: Path,
    *,
    num_folds: int = 5,
    resume: bool = False,
    skip_bad: bool = False,
    device: str = "auto",
    results: Path | None = None,
    name: str | None = None,
    tables: Sequence[str] = (),
    notes: str = "",
    progress: bool = False,
) -> dict[str, Any]:
    """Train one model a fold and evaluate the joined predictions of all held-out folds.

    Parameters
    ----------
    recipe : Recipe
        Its ``split.fold`` is set here; in each fold its own validation part selects.
    data_uri : str
        Labelled images.
    out : pathlib.Path
        A new folder; gets ``fold-0`` ... and ``out_of_fold``.
    num_folds : int, default 5
        At least 2.
    resume : bool, default False
        Go on where an earlier call was cut off: finished folds are kept.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    device : str, default "auto"
        Where to train.
    results : pathlib.Path, optional
        Folder of result files; also gets a line in ``test_log.csv``.
    name : str, optional
        Name of the result file.
    tables : sequence of str
        Generated tables in which the result has a row.
    notes : str
        Kept with the result.
    progress : bool, default False
        Show progress on standard error.

    Returns
    -------
    dict
        As `darkarcs.evaluation.evaluate_predictions`, with ``folds``: the AUC of each.

    Raises
    ------
    DarkarcsError
        As `darkarcs.training.train` and `darkarcs.inference.evaluate`.
    """
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not resume:
        raise OutputExistsError(out)
    parts, folds, curves = [], [], []
    for fold in range(num_folds):
        run = out / f"fold-{fold}"
        _train_fold(recipe, fold, num_folds, data_uri, run, resume, skip_bad, device, progress)
        held_out = run / "held_out"
        if not (held_out / "evaluation.json").exists():
            evaluate(
                run / "model",
                data_uri,
                held_out,
                split="test",
                skip_bad=skip_bad,
                device="cpu" if device == "auto" else device,
                progress=progress,
            )
        parts.append(read_predictions(held_out / "predictions.csv"))
        report = json.loads((held_out / "evaluation.json").read_text(encoding="utf-8"))
        folds.append(report["auc"]["macro"])
        curves.append(read_description(run / "model"))
    joined = join_predictions(parts)
    folder = out / "out_of_fold"
    folder.mkdir(exist_ok=True)
    if not (folder / "predictions.csv").exists():
        write_predictions(joined, folder / "predictions.csv")
    evaluation = evaluate_predictions(joined)
    report = {**evaluation, "folds": folds, "command": command_line()}
    text = json.dumps(report, indent=2) + "\n"
    (folder / "evaluation.json").write_text(text, encoding="utf-8")
    if results is not None:
        provenance = [description.provenance for description in curves]
        data_hash = str(curves[0].data["content_hash"])
        label = name or f"{recipe.name}-out-of-fold"
        append_test_log(
            results / TEST_LOG,
            {
                "model": label,
                "model_hash": joined.model_hash,
                "data_hash": data_hash,
                "split": "out_of_fold",
                "n": len(joined),
                "auc_macro": evaluation["auc"]["macro"],
            },
        )
        keys = tuple(LearningPoint.model_fields)
        write_result(
            Result(
                name=label,
                tables=tuple(tables),
                model=recipe.model.name,
                parameters=provenance[0]["num_parameters"],
                evaluation=evaluation,
                data=f"{curves[0].task}, {len(joined)} images, {num_folds} folds",
                data_hash=data_hash,
                split="out_of_fold",
                selection=SELECTION,
                configuration=recipe.model_dump(mode="json"),
                seed=recipe.seed,
                images_seen=sum(p["images_seen"] for p in provenance),
                token_forwards=sum(p["token_forwards"] for p in provenance),
                wall_time_seconds=sum(p["wall_time"] for p in provenance),
                learning_curve=tuple(
                    LearningPoint(**{key: row[key] for key in keys})
                    for row in provenance[0]["learning_curve"]
                ),
                converged=all(p["converged"] for p in provenance),
                model_hash=joined.model_hash,
                notes=notes
                or f"AUC by fold: {', '.join(f'{a:.5f}' for a in folds)}; mean "
                f"{statistics.mean(folds):.5f}; the learning curve is that of fold 0",
            ),
            results,
        )
    return report


def _train_fold(
    recipe: Recipe,
    fold: int,
    num_folds: int,
    data_uri: str,
    run: Path,
    resume: bool,
    skip_bad: bool,
    device: str,
    progress: bool,
) -> None:
    if (run / "model" / "model.json").exists():
        return
    values = recipe.model_dump(mode="json")
    values["name"] = f"{recipe.name}-fold-{fold}"
    values["split"] = {**values["split"], "fold": fold, "num_folds": num_folds}
    begun = (run / "recipe.yaml").exists()
    if begun and read_yaml(run / "recipe.yaml") != values:
        raise ConfigurationError(f"{run}: was begun with another recipe; choose another --out")
    train(
        Recipe.parse(values, recipe.name),
        data_uri,
        run,
        resume=resume and begun,
        skip_bad=skip_bad,
        device=device,
        progress=progress,
    )
