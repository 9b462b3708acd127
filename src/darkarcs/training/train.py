"""Train a recipe on labelled images and write a model folder."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, RichProgressBar
from safetensors.torch import load_file

from darkarcs import data
from darkarcs.devices import choose_device, choose_precision
from darkarcs.errors import ConfigurationError, OutputExistsError, require_new
from darkarcs.evaluation.provenance import command_line
from darkarcs.model_folder import DESCRIPTION
from darkarcs.models import merge_lora
from darkarcs.training.building import build_model, build_objective, make_batches
from darkarcs.training.callbacks import Patience, Selection, weight_averaging
from darkarcs.training.loggers import make_loggers, quiet_lightning
from darkarcs.training.module import TrainingModule
from darkarcs.training.preparation import prepare
from darkarcs.training.recipe import Recipe
from darkarcs.training.release import write_trained_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """What `train` made.

    Attributes
    ----------
    directory : pathlib.Path
        The run's folder.
    model : pathlib.Path
        The model folder in it.
    best_auc : float
        Validation AUC of the weights that were kept.
    best_epoch : int
        The epoch they are from.
    images_seen : int
        Images that went through the model in training.
    wall_time : float
        Seconds.
    """

    directory: Path
    model: Path
    best_auc: float
    best_epoch: int
    images_seen: int
    wall_time: float


def train(
    recipe: Recipe,
    data_uri: str,
    out: Path,
    *,
    resume: bool = False,
    skip_bad: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> TrainedRun:
    """Train a model by a recipe.

    Writes into ``out``: ``recipe.yaml`` (resolved), ``run.json`` (command, data hash),
    ``history.csv`` (one line an epoch), ``checkpoints/`` (to resume),
    ``best-epoch=N.safetensors``, ``validation_predictions.csv`` and, when done, ``model/``.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    data_uri : str
        Labelled images: anything that `darkarcs.data.open` reads.
    out : pathlib.Path
        A new folder; with ``resume`` that of a run that was cut off.
    resume : bool, default False
        Go on from the last checkpoint. On a CPU with a fixed number of threads the result is
        that of an uninterrupted run, bit for bit.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    device : str, default "auto"
        Where to train.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    TrainedRun
        Where everything is.

    Raises
    ------
    DarkarcsError
        Bad data, a recipe that does not fit them, output that exists, or a resumed run whose
        recipe or data changed.
    """
    out = Path(out)
    chosen = choose_device(device)
    checkpoint = _open_run(recipe, out) if resume else None
    if not resume:
        require_new(out)
    if recipe.training.threads is not None:
        torch.set_num_threads(recipe.training.threads)
    images = data.open(data_uri, skip_bad=skip_bad)
    prepared = prepare(images, recipe)
    model = build_model(recipe, prepared, len(images.class_names))
    training, validation = make_batches(recipe, prepared, chosen)
    num_steps = recipe.training.epochs * len(training)
    module = TrainingModule(
        model,
        build_objective(recipe, prepared, model, num_steps),
        recipe.augmentation,
        recipe.training,
        num_steps=num_steps,
        seed=recipe.seed,
    )
    selection = Selection(out)
    with quiet_lightning():
        trainer = _trainer(recipe, module.num_steps, out, chosen, selection, progress)
        # last, so that nothing is left behind by what cannot be trained
        _record(recipe, out, data_uri, images.content_hash, resume)
        try:
            trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    model.load_state_dict(load_file(selection.best_path))
    merge_lora(model)
    write_trained_model(out, model, recipe, images, prepared, selection, module, str(chosen))
    return TrainedRun(
        directory=out,
        model=out / "model",
        best_auc=selection.best_auc,
        best_epoch=selection.best_epoch,
        images_seen=module.images_seen,
        wall_time=selection.wall_time,
    )


def _trainer(
    recipe: Recipe,
    num_steps: int,
    out: Path,
    device: torch.device,
    selection: Selection,
    progress: bool,
) -> pl.Trainer:
    settings = recipe.training
    callbacks: list[Callback] = [selection]
    horizon = settings.ema_share * num_steps
    if horizon > 1:
        callbacks.append(weight_averaging(1 - 1 / horizon))
    if settings.early_stopping is not None:
        callbacks.append(Patience(settings.early_stopping))
    if progress:
        callbacks.append(RichProgressBar(refresh_rate=5))
    callbacks.append(
        ModelCheckpoint(
            dirpath=out / "checkpoints",
            filename="{epoch}",
            save_top_k=1,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
        )
    )
    return pl.Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=1 if device.index is None else [device.index],
        precision=choose_precision(settings.precision, device),
        max_epochs=settings.epochs,
        callbacks=callbacks,
        logger=make_loggers(settings.loggers, out) or False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        default_root_dir=out,
    )


def _open_run(recipe: Recipe, out: Path) -> Path | None:
    """Check that a run can go on, and find its last checkpoint (None: before the first)."""
    file = out / "recipe.yaml"
    if not file.is_file() or not (out / "run.json").is_file():
        raise ConfigurationError(f"{out}: there is no run to resume; leave --resume away")
    if (out / "model" / DESCRIPTION).exists():
        raise OutputExistsError(out / "model")
    if Recipe.parse(yaml.safe_load(file.read_text(encoding="utf-8")), str(file)) != recipe:
        raise ConfigurationError(
            f"{out}: was begun with another recipe; resume with {file} and without --set"
        )
    checkpoints = sorted((out / "checkpoints").glob("epoch=*.ckpt"), key=_epoch, reverse=True)
    return next((path for path in checkpoints if _is_whole(path)), None)


def _is_whole(checkpoint: Path) -> bool:
    """Tell whether a kill cut the file short: checkpoints are zip archives with checksums."""
    try:
        with ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (BadZipFile, OSError):
        return False


def _epoch(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("epoch="))


def _record(recipe: Recipe, out: Path, uri: str, content_hash: str, resume: bool) -> None:
    file = out / "run.json"
    if resume:
        recorded = json.loads(file.read_text(encoding="utf-8"))["data_hash"]
        if recorded != content_hash:
            raise ConfigurationError(
                f"{uri}: holds other images than the run in {out} began with; "
                "resume with the same data or start anew"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (out / "recipe.yaml").write_text(text, encoding="utf-8")
    record = {"command": command_line(), "data": uri, "data_hash": content_hash}
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
