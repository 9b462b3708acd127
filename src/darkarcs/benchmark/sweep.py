"""Sweeps: arms of a comparison trained at equal cost, each with its own learning rate."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darkarcs import data
from darkarcs.benchmark.sweep_earlier import EarlierRows, changed_keys, read_earlier
from darkarcs.benchmark.sweep_rows import SweepRow, TriedRate, write_sweep
from darkarcs.benchmark.sweep_settings import DEVELOPMENT, Sweep, SweepRun
from darkarcs.configuration import read_yaml
from darkarcs.data import LensImages, SplitSettings, divide
from darkarcs.errors import ConfigurationError, require_new
from darkarcs.evaluation import Predictions, evaluate_predictions
from darkarcs.evaluation.compare import difference_interval
from darkarcs.inference import Predictor
from darkarcs.inference.filing import TEST_LOG, log_evaluation
from darkarcs.model_folder import read_description
from darkarcs.training import Recipe, train
from darkarcs.training.cost import token_forwards_per_image
from darkarcs.training.preparation import prepare

logger = logging.getLogger(__name__)

#: Within this share of its budget an arm is trained in whole epochs.
_WHOLE_EPOCHS = 0.01


def run_sweep(
    sweep: Sweep,
    data_uri: str,
    out: Path,
    *,
    overrides: tuple[str, ...] = (),
    results: Path | None = None,
    measured: Path | None = None,
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> list[SweepRow]:
    """Train and measure every arm; what is finished in ``out`` is not trained again.

    Parameters
    ----------
    sweep : Sweep
        What to compare.
    data_uri : str
        Labelled images.
    out : pathlib.Path
        Folder of the runs; may hold the beginning of the same sweep.
    overrides : tuple of str
        More overrides of every arm, for paths and threads of this machine.
    results : pathlib.Path, optional
        Folder of results: gets ``sweeps/NAME.json`` and lines in the log of test evaluations.
    measured : pathlib.Path, optional
        An earlier result of the same comparison: its runs are not trained again.
    device : str, default "auto"
        Where to train.
    progress : callable, optional
        Told what comes next.

    Returns
    -------
    list of SweepRow
        One for each arm, number of labels and seed.

    Raises
    ------
    DarkarcsError
        As `darkarcs.training.train`; also where the result exists.
    """
    target = None if results is None else results / "sweeps" / f"{sweep.name}.json"
    if target is not None:
        require_new(target)
    images = data.open(data_uri)
    earlier = EarlierRows((), ())
    if measured is not None:
        earlier = read_earlier(measured, sweep, images.content_hash)
    if target is None and sweep.measured_on == "test":
        raise ConfigurationError(
            f"{sweep.name}: is measured on test images, and each look is logged: give --results"
        )
    rows = []
    for labels in sweep.num_per_class or (None,):
        lengths: dict[str, tuple[str, ...]] = {}
        tuned: dict[str, float] = {}
        for seed in sweep.seeds:
            models: dict[str, Path] = {}
            plain: Predictions | None = None
            for arm in sweep.arms:
                if progress is not None:
                    progress(f"{arm}, {labels or 'all'} labels, seed {seed}")
                folder = out / arm / f"labels-{labels or 'all'}-seed-{seed}"
                run = SweepRun(sweep, arm, labels, seed, overrides, models)
                if arm not in lengths:
                    lengths[arm] = _epochs(run, images)
                recipe = run.recipe(lengths[arm])
                rates = sweep.learning_rates or (recipe.training.learning_rate,)
                if arm in tuned:
                    rates = (tuned[arm],)
                row = earlier.find(arm, labels, recipe, rates)
                if row is None:
                    source = (data_uri, images.content_hash)
                    tried = _train_rates(rates, recipe, source, folder, device)
                    models[arm] = max(tried, key=lambda one: one.rate.order).model
                    row, predictions = _measure(run, models[arm], images, results)
                    row = _beside(row, predictions, plain, tried)
                    plain = predictions if arm == next(iter(sweep.arms)) else plain
                    logger.info("%s: AUC %.4f on %s", folder, row.auc, sweep.measured_on)
                if sweep.tuned_with == "first seed":
                    tuned[arm] = row.learning_rate
                rows.append(row)
    if target is not None:
        configuration = sweep.model_dump(mode="json")
        origins = earlier.origins if any(row.earlier for row in rows) else ()
        write_sweep(rows, configuration, images.content_hash, target, origins)
    return rows


def _epochs(run: SweepRun, images: LensImages) -> tuple[str, ...]:
    """Epochs with which an arm spends what the plain one does."""
    cost, _, _ = _cost_and_length(run.first().recipe(), images)
    budget = cost * run.sweep.budget_images
    more: tuple[str, ...] = ()
    for _ in range(2):  # the share of stored answers depends on the length
        cost, length, size = _cost_and_length(run.recipe(more), images)
        # models without tokens: as many images
        seen = budget / cost if cost else run.sweep.budget_images
        more = epochs_of(seen, length, size)
    return more


def epochs_of(seen: float, length: int, batch_size: int) -> tuple[str, ...]:
    """Divide a number of images into epochs, shorter ones where whole ones would miss it.

    Parameters
    ----------
    seen : float
        Images of the whole training.
    length : int
        Images of a whole epoch.
    batch_size : int
        Images a step.

    Returns
    -------
    tuple of str
        Overrides of a recipe.

    Examples
    --------
    >>> epochs_of(1000, 100, 10)
    ('training.epochs=10',)
    >>> epochs_of(630, 100, 10)
    ('training.epochs=7', 'training.images_per_epoch=90')
    """
    epochs = max(1, round(seen / length))
    if abs(epochs * length / seen - 1) < _WHOLE_EPOCHS:
        return (f"training.epochs={epochs}",)
    most = length // batch_size
    choices = [
        (number, min(most, max(1, round(seen / number / batch_size))))
        for number in range(max(1, int(seen / length)), math.ceil(seen / length) + 3)
    ]
    epochs, steps = min(choices, key=lambda one: abs(one[0] * one[1] * batch_size - seen))
    if steps == most:
        return (f"training.epochs={epochs}",)
    return f"training.epochs={epochs}", f"training.images_per_epoch={steps * batch_size}"


def _cost_and_length(recipe: Recipe, images: LensImages) -> tuple[float, int, int]:
    prepared = prepare(images, recipe)
    size = min(recipe.training.batch_size, len(prepared.train_images))
    length = len(prepared.train_images) // size * size
    return token_forwards_per_image(recipe, prepared), length, size


@dataclass(frozen=True)
class _Trained:
    """One learning rate's run."""

    rate: TriedRate
    model: Path


def _train_rates(
    rates: tuple[float, ...], recipe: Recipe, source: tuple[str, str], folder: Path, device: str
) -> list[_Trained]:
    """Train with each learning rate; the run's own validation images will choose."""
    data_uri, data_hash = source
    runs = []
    for rate in rates:
        run = folder / f"rate-{rate:g}"
        values = recipe.model_dump(mode="json")
        values["training"] = {**values["training"], "learning_rate": rate}
        wanted = Recipe.parse(values, recipe.name)
        if (run / "model" / "model.json").exists():
            _require_same(run, wanted, data_hash)
        else:
            begun = (run / "recipe.yaml").exists()
            train(wanted, data_uri, run, resume=begun, device=device)
        runs.append(
            _Trained(_best_epoch(read_description(run / "model").provenance, rate), run / "model")
        )
    return runs


def _best_epoch(provenance: dict[str, Any], rate: float) -> TriedRate:
    epochs = [
        TriedRate(
            learning_rate=rate,
            validation_auc=one["validation_auc"],
            validation_loss=one["validation_loss"],
            selected_by=provenance.get("selected_by", "validation_auc"),
        )
        for one in provenance["learning_curve"]
    ]
    return max(epochs, key=lambda one: one.order)


def _require_same(run: Path, wanted: Recipe, data_hash: str) -> None:
    """Refuse a finished run of another recipe or of other images: its number is not this one."""
    trained = Recipe.parse(read_yaml(run / "recipe.yaml"), str(run / "recipe.yaml"))
    before = json.loads((run / "run.json").read_text(encoding="utf-8"))["data_hash"]
    other = changed_keys(trained.model_dump(mode="json"), wanted.model_dump(mode="json"))
    if other or before != data_hash:
        what = f"another {other[0]}" if other else "other images"
        raise ConfigurationError(
            f"{run}: is finished, but with {what}: give a new --out (rows of a result are kept by "
            "--measured)"
        )


def _beside(
    row: SweepRow, own: Predictions, plain: Predictions | None, tried: list[_Trained]
) -> SweepRow:
    """Add what a row alone does not know: the rates of its arm, and the first arm's predictions."""
    interval = None if plain is None else difference_interval(own, plain)
    rates = tuple(one.rate for one in tried)
    return row.model_copy(update={"tried": rates, "difference_interval": interval})


def _measure(
    run: SweepRun, model: Path, images: LensImages, results: Path | None
) -> tuple[SweepRow, Predictions]:
    sweep = run.sweep
    description = read_description(model)
    settings = SplitSettings.parse(description.split["settings"], "split")
    splits = divide(images, settings)
    if sweep.measured_on == DEVELOPMENT:
        whole = divide(images, settings.model_copy(update={"num_per_class": None}))["validation"]
        chosen = np.setdiff1d(whole, np.concatenate([splits["train"], splits["validation"]]))
        if not len(chosen):  # all labels: what selects is all there is
            chosen = whole
    else:
        chosen = splits["test"]
    if not len(chosen):
        raise ConfigurationError(f"{sweep.name}: no images are left to measure on")
    predictor, seen = Predictor(model), images.select(chosen)
    evaluations, kept = [], []
    for erasing in (None,) if sweep.erasing is None else (None, sweep.erasing):
        predictions = predictor.predict(seen, sweep.measured_on, erasing=erasing)
        evaluations.append(evaluate_predictions(predictions))
        kept.append(predictions)
        if sweep.measured_on == "test" and results is not None:
            name = f"{description.name}-{run.seed}"
            log_evaluation(results / TEST_LOG, name, evaluations[-1], predictions)
    evaluation, provenance = evaluations[0], description.provenance
    row = SweepRow(
        arm=run.arm,
        num_per_class=run.labels,
        seed=run.seed,
        learning_rate=provenance["recipe"]["training"]["learning_rate"],
        auc=evaluation["auc"]["macro"],
        auc_interval=tuple(evaluation["auc"]["interval"]),
        auc_erasing=evaluations[-1]["auc"]["macro"] if sweep.erasing is not None else None,
        num_images=len(chosen),
        images_seen=provenance["images_seen"],
        token_forwards=provenance["token_forwards"],
        optimizer_steps=int(provenance["learning_curve"][-1]["step"]),
        wall_time=provenance["wall_time"],
        converged=provenance.get("converged", True),
        model_hash=predictor.folder.model_hash,
        recipe=provenance["recipe"],
        learning_curve=[
            {key: point[key] for key in ("images_seen", "validation_auc", "validation_loss")}
            for point in provenance["learning_curve"]
        ],
    )
    return row, kept[0]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a sweep's result.

    Parameters
    ----------
    path : pathlib.Path
        ``results/sweeps/NAME.json``.

    Returns
    -------
    list of dict
        As `SweepRow`.
    """
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows
