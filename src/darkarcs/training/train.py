"""Train a recipe on labelled images and write a model folder."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, RichProgressBar
from safetensors.torch import load_file

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.data.streams import open_stream
from darkarcs.devices import choose_device, choose_precision
from darkarcs.errors import ConfigurationError, require_new
from darkarcs.models import ImageClassifier, merge_lora
from darkarcs.training.batches import OrderedBatches, TrainingBatches
from darkarcs.training.building import build_model, build_objective, make_batches
from darkarcs.training.callbacks import Patience, Selection, weight_averaging
from darkarcs.training.giveaways import warn_of_giveaways
from darkarcs.training.loggers import make_loggers, quiet_lightning
from darkarcs.training.module import TrainingModule
from darkarcs.training.preparation import (
    TrainingData,
    prepare,
    prepare_stream,
    refuse_with_stream,
)
from darkarcs.training.recipe import Recipe
from darkarcs.training.release import write_trained_model
from darkarcs.training.run_files import describe_run, open_run, record_run
from darkarcs.training.streaming import StreamBatches
from darkarcs.training.target_maker import make_target_maker
from darkarcs.training.teachers import describe_teachers
from darkarcs.training.teaching_plan import AnswerStore, TeachingPlan, plan_teaching
from darkarcs.training.unlabelled import as_one_class, learns_without_labels

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
        Validation AUC of the weights that were kept; NaN where there is one class.
    best_epoch : int
        The epoch they are from.
    images_seen : int
        Images that went through the model in training.
    wall_time : float
        Seconds.
    best_skill : float, optional
        Validation skill of an objective that measures.
    best_loss : float, optional
        Validation loss, where it chose the epoch because no label is used.
    """

    directory: Path
    model: Path
    best_auc: float
    best_epoch: int
    images_seen: int
    wall_time: float
    best_skill: float | None = None
    best_loss: float | None = None


def train(
    recipe: Recipe,
    data_uri: str,
    out: Path,
    *,
    unlabelled_uri: str | None = None,
    resume: bool = False,
    skip_bad: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> TrainedRun:
    """Train a model by a recipe.

    Writes into ``out``: ``recipe.yaml`` (resolved), ``run.json`` (command, data hash),
    ``history.csv`` (one line an epoch), ``checkpoints/`` (to resume),
    ``best-epoch=N.safetensors``, ``validation_predictions.csv``, a file of stored teachers'
    answers if the recipe asks for one and names none, and, when done, ``model/``.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    data_uri : str
        Labelled images: anything that `darkarcs.data.open` reads; or a ``scene:`` without
        ``num``, whose lenses are simulated while the model trains and never shown twice. Where
        the objective uses no label, images without labels too.
    out : pathlib.Path
        A new folder; with ``resume`` that of a run that was cut off.
    unlabelled_uri : str, optional
        Further images for an objective that learns without labels; labels that they have are
        thrown away.
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
        recipe, data or teachers changed.
    """
    out = Path(out)
    chosen = choose_device(device)
    checkpoint = open_run(recipe, out) if resume else None
    if not resume:
        if (out / "recipe.yaml").is_file() and not (out / "model").exists():
            raise ConfigurationError(
                f"{out}: holds a run that was cut off: go on by --resume, or choose another --out"
            )
        require_new(out)
    if recipe.training.threads is not None:
        torch.set_num_threads(recipe.training.threads)
    images, further, prepared = _open(recipe, data_uri, unlabelled_uri, skip_bad)
    plan = plan_teaching(recipe, prepared, images.class_names)
    module, training, validation = _build(recipe, prepared, plan, images.class_names, chosen)
    # before the training, for these may warn
    warn_of_giveaways(images, data_uri)
    told = () if plan is None else describe_teachers(plan.teachers, images, prepared.splits)
    store = None
    if plan is not None and not plan.in_loop:
        store = AnswerStore(plan, recipe, prepared, images.class_names, out)
    selection = Selection(out)
    with quiet_lightning():
        trainer = _trainer(recipe, module, out, chosen, selection, progress)
        # last, so that nothing is left behind by what cannot be trained
        made_from = describe_run(data_uri, images, unlabelled_uri, further, plan)
        record_run(recipe, out, made_from, resume)
        if store is not None:
            module.teach(store.open(chosen, progress))
        try:
            trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    model = module.model
    assert isinstance(model, ImageClassifier)
    model.load_state_dict(load_file(selection.best_path))
    if module.objective.released is not None:
        module.objective.released.load_state_dict(load_file(selection.released_path))
    merge_lora(model)
    write_trained_model(out, model, recipe, images, prepared, selection, module, str(chosen), told)
    return TrainedRun(
        directory=out,
        model=out / "model",
        best_auc=selection.best_auc,
        best_epoch=selection.best_epoch,
        images_seen=module.images_seen,
        wall_time=selection.wall_time,
        best_skill=selection.best_skill,
        best_loss=selection.best_loss if module.objective.is_self_supervised else None,
    )


def _open(
    recipe: Recipe, data_uri: str, unlabelled_uri: str | None, skip_bad: bool
) -> tuple[LensImages, LensImages | None, TrainingData]:
    """Open labelled images (of a stream: those of validation), unlabelled ones, and prepare."""
    further = None
    if unlabelled_uri is not None:
        further = data.open(unlabelled_uri, skip_bad=skip_bad, labelled=False)
    stream = open_stream(data_uri)
    if stream is None:
        images = data.open(data_uri, skip_bad=skip_bad)
        if learns_without_labels(recipe):
            images = as_one_class(images)
        return images, further, prepare(images, recipe, further)
    refuse_with_stream(recipe, further)
    prepared = prepare_stream(stream, recipe)
    return prepared.validation, further, prepared


def _build(
    recipe: Recipe,
    prepared: TrainingData,
    plan: TeachingPlan | None,
    class_names: tuple[str, ...],
    device: torch.device,
) -> tuple[TrainingModule, TrainingBatches | StreamBatches, OrderedBatches]:
    model = build_model(recipe, prepared, len(class_names))
    further = plan.further if plan is not None and plan.in_loop else ()
    maker = make_target_maker(recipe, prepared.preprocessing, model)
    training, validation = make_batches(recipe, prepared, device, further, maker)
    num_steps = recipe.training.epochs * len(training)
    described = None if plan is None else plan.describe()
    targets = None if maker is None else maker.describe(prepared.train)
    objective = build_objective(recipe, prepared, model, num_steps, described, targets)
    module = TrainingModule(
        model,
        objective,
        recipe.augmentation,
        recipe.training,
        num_steps=num_steps,
        seed=recipe.seed,
    )
    if plan is not None and plan.in_loop:
        module.teach(plan.teach(objective.teacher_captures, recipe.seed, device))
    return module, training, validation


def _trainer(
    recipe: Recipe,
    module: TrainingModule,
    out: Path,
    device: torch.device,
    selection: Selection,
    progress: bool,
) -> pl.Trainer:
    settings = recipe.training
    callbacks: list[Callback] = [selection]
    horizon = settings.ema_share * module.num_steps
    if horizon > 1:
        callbacks.append(weight_averaging(1 - 1 / horizon))
    if settings.early_stopping is not None:
        callbacks.append(Patience(settings.early_stopping, module.selected_by))
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
