"""Out-of-fold predictions: every image is predicted by a model that has not seen it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkarcs.configuration import read_yaml
from darkarcs.errors import ConfigurationError, require_new
from darkarcs.evaluation import (
    evaluate_predictions,
    join_predictions,
    read_predictions,
    write_predictions,
)
from darkarcs.evaluation.evaluate import require_labels
from darkarcs.evaluation.provenance import command_line
from darkarcs.evaluation.roc import macro_auc
from darkarcs.inference import Filing, evaluate
from darkarcs.inference.filing import file_result
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
    filing: Filing | None = None,
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
    filing : Filing, optional
        Keep a result file and a line in the log of test evaluations.
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
    if not (resume and out.is_dir()):
        require_new(out)
    parts, folds, models = [], [], []
    for fold in range(num_folds):
        run = out / f"fold-{fold}"
        _train_fold(recipe, fold, num_folds, data_uri, run, resume, skip_bad, device, progress)
        held_out = run / "held_out"
        if not (held_out / "evaluation.json").exists():
            shutil.rmtree(held_out, ignore_errors=True)  # half of an evaluation that was cut off
            evaluate(
                run / "model", data_uri, held_out, split="test", skip_bad=skip_bad, device="cpu"
            )
        parts.append(read_predictions(held_out / "predictions.csv"))
        models.append(read_description(run / "model"))
        folds.append(macro_auc(parts[-1].logits, require_labels(parts[-1])))
    joined = join_predictions(parts)
    folder = out / "out_of_fold"
    folder.mkdir(exist_ok=True)
    if not (folder / "predictions.csv").exists():
        write_predictions(joined, folder / "predictions.csv")
    evaluation = evaluate_predictions(joined)
    report = {**evaluation, "folds": folds, "command": command_line()}
    text = json.dumps(report, indent=2) + "\n"
    (folder / "evaluation.json").write_text(text, encoding="utf-8")
    if filing is not None:
        shown = ", ".join(f"{area:.5f}" for area in folds)
        notes = f"AUC by fold: {shown}; the learning curve is that of fold 0. {filing.notes}"
        named = filing.name or f"{recipe.name}-out-of-fold"
        file_result(replace(filing, name=named, notes=notes.strip()), evaluation, joined, models)
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
    values = recipe.model_dump(mode="json")
    values["name"] = f"{recipe.name}-fold-{fold}"
    values["split"] = {**values["split"], "fold": fold, "num_folds": num_folds}
    begun = (run / "recipe.yaml").exists()
    if begun and read_yaml(run / "recipe.yaml") != values:
        raise ConfigurationError(f"{run}: was begun with another recipe; choose another --out")
    if (run / "model" / "model.json").exists():
        return
    train(
        Recipe.parse(values, recipe.name),
        data_uri,
        run,
        resume=resume and begun,
        skip_bad=skip_bad,
        device=device,
        progress=progress,
    )
