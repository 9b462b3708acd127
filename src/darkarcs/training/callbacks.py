"""Callbacks: averaged weights, selection on validation AUC, the history file."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, WeightAveraging
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from darkarcs.errors import ConfigurationError
from darkarcs.evaluation.roc import macro_auc
from darkarcs.training.module import TrainingModule

logger = logging.getLogger(__name__)

HISTORY_COLUMNS = (
    "epoch",
    "step",
    "images_seen",
    "token_forwards",
    "train_loss",
    "validation_loss",
    "validation_auc",
    "learning_rate",
    "validation_time",
    "wall_time",
)


def ema_with_warmup(
    decay: float,
) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    """Make the update of an exponential moving average whose decay warms up.

    Parameters
    ----------
    decay : float
        Decay a step once warm; at update ``n`` it is ``min(decay, (1 + n) / (10 + n))``, so
        that short runs are not dominated by their initial weights.

    Returns
    -------
    callable
        A ``multi_avg_fn`` of `torch.optim.swa_utils.AveragedModel`.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor | int) -> None:
        count = int(num_averaged)
        weight = 1 - min(decay, (1 + count) / (10 + count))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, weight)
            else:  # counters such as BatchNorm's
                mean.copy_(value)

    return update


def weight_averaging(decay: float) -> WeightAveraging:
    """Make the callback that trains one set of weights and validates their moving average.

    Parameters
    ----------
    decay : float
        See `ema_with_warmup`.

    Returns
    -------
    pytorch_lightning.callbacks.WeightAveraging
        Buffers are averaged as well.
    """
    return WeightAveraging(use_buffers=True, multi_avg_fn=ema_with_warmup(decay))


class Patience(EarlyStopping):
    """Early stopping that a resumed run remembers.

    Parameters
    ----------
    patience : int
        Epochs without a better one.
    selected_by : {"validation_auc", "validation_loss"}
        What to look at.
    """

    def __init__(self, patience: int, selected_by: str = "validation_auc") -> None:
        mode = "min" if selected_by == "validation_loss" else "max"
        super().__init__(selected_by, mode=mode, patience=patience)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once if the run that is resumed had come to its end."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class Selection(Callback):
    """Measures validation AUC, keeps the best weights, writes the history.

    It must stand before `weight_averaging` in the list of callbacks, so that it sees the
    averaged weights in place.

    Parameters
    ----------
    directory : pathlib.Path
        Gets ``best-epoch=N.safetensors`` and ``history.csv``: `HISTORY_COLUMNS` and, as
        ``train_NAME``, the mean of each part of the objective's loss, empty for an epoch that
        has none.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.best_auc = -1.0
        self.best_loss = math.inf
        self.best_skill: float | None = None
        self.best_epoch = -1
        self.history: list[dict[str, float | None]] = []
        self.elapsed = 0.0
        self._started = self._validation_started = time.monotonic()

    @property
    def best_path(self) -> Path:
        """The weights of the best epoch so far."""
        return self.directory / f"best-epoch={self.best_epoch}.safetensors"

    @property
    def released_path(self) -> Path:
        """The objective's own module of the best epoch so far, if it has one to release."""
        return self.directory / f"best-epoch={self.best_epoch}.objective.safetensors"

    @property
    def wall_time(self) -> float:
        """Seconds of training, earlier parts of a resumed run included."""
        return self.elapsed + time.monotonic() - self._started

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove weights that are no longer the best; the last checkpoint needs them no more."""
        for path in self.directory.glob("best-epoch=*.safetensors"):
            if path not in (self.best_path, self.released_path):
                path.unlink()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the validation, once the device is done with training."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self._validation_started = time.monotonic()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log, and keep the weights if they are the best so far."""
        assert isinstance(pl_module, TrainingModule)
        if trainer.sanity_checking:
            return
        validation_time = time.monotonic() - self._validation_started
        logits = torch.cat(pl_module.validation_logits)
        labels = torch.cat(pl_module.validation_labels)
        if not torch.isfinite(logits).all():
            raise ConfigurationError(
                f"training diverged in epoch {trainer.current_epoch + 1}: its logits are not "
                "finite; lower training.learning_rate or set training.gradient_clip"
            )
        one_class = logits.shape[1] < 2
        auc = math.nan if one_class else macro_auc(logits.double().numpy(), labels.numpy())
        losses, skills = pl_module.validation_losses, pl_module.validation_skills
        # of an objective that does not select by AUC: its head is untrained, or one of several
        loss = _mean(losses) if losses else float(functional.cross_entropy(logits, labels))
        pl_module.log("validation_auc", auc, prog_bar=True, batch_size=len(labels))
        pl_module.log("validation_loss", loss, batch_size=len(labels))
        self._remember(
            {
                "epoch": trainer.current_epoch,
                "step": trainer.global_step,
                "images_seen": pl_module.images_seen,
                "token_forwards": pl_module.token_forwards,
                "train_loss": float(torch.stack(pl_module.epoch_losses).mean()),
                "validation_loss": loss,
                "validation_auc": None if one_class else auc,
                **({"validation_skill": _mean(skills)} if skills else {}),
                "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
                "validation_time": round(validation_time, 3),
                "wall_time": round(self.wall_time, 3),
                **{
                    name: float(torch.stack(values).float().mean())
                    for name, values in pl_module.epoch_parts.items()
                },
            }
        )
        # a saturated AUC ties between epochs: then the smaller loss wins
        better = (auc, -loss) > (self.best_auc, -self.best_loss)
        if loss < self.best_loss if losses else better:
            self.best_auc, self.best_loss = auc, loss
            self.best_skill = _mean(skills) if skills else None
            self.best_epoch = trainer.current_epoch
            save_weights(pl_module.model, self.best_path)
            if pl_module.objective.released is not None:
                save_weights(pl_module.objective.released, self.released_path)
        self._write_history()
        logger.info(
            "epoch %d of %s: train loss %.4f, validation loss %.4f%s (%.0f s)",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            self.history[-1]["train_loss"],
            loss,
            f", skill {_mean(skills):.5f}" if skills else "" if one_class else f", AUC {auc:.5f}",
            self.wall_time,
        )

    def _remember(self, row: dict[str, float | None]) -> None:
        """Add a line; all lines have the columns of any, for some losses begin or end midway."""
        rows = [*self.history, row]
        names = list(dict.fromkeys(name for each in rows for name in each))
        self.history = [{name: each.get(name) for name in names} for each in rows]

    def _write_history(self) -> None:
        temporary = self.directory / "history.csv.part"
        with temporary.open("w", newline="", encoding="utf-8") as file:
            further = tuple(name for name in self.history[0] if name not in HISTORY_COLUMNS)
            writer = csv.DictWriter(file, (*HISTORY_COLUMNS, *further))
            writer.writeheader()
            writer.writerows(self.history)
        temporary.replace(self.directory / "history.csv")

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run needs."""
        return {
            "best_auc": self.best_auc,
            "best_loss": self.best_loss,
            "best_skill": self.best_skill,
            "best_epoch": self.best_epoch,
            "history": self.history,
            "wall_time": self.wall_time,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the checkpoint was written."""
        self.best_auc = state_dict["best_auc"]
        self.best_loss = state_dict["best_loss"]
        self.best_skill = state_dict.get("best_skill")
        self.best_epoch = state_dict["best_epoch"]
        self.history = state_dict["history"]
        self.elapsed = state_dict["wall_time"]


def _mean(pairs: list[tuple[float, int]]) -> float:
    """Mean of values over the images that each stands for."""
    return sum(value * count for value, count in pairs) / sum(count for _, count in pairs)


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Write a state dict as safetensors, in one step that cannot be half done.

    Parameters
    ----------
    model : torch.nn.Module
        Its state dict is written, on the CPU and contiguous.
    path : pathlib.Path
        Replaced if there.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    temporary = path.with_suffix(".part")
    save_file(state, temporary)
    temporary.replace(path)
