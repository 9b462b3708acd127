"""The Lightning module: one model, one objective, one schedule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from darkarcs.data import Augmentation
from darkarcs.objectives import Batch, Objective, ObjectiveOutput
from darkarcs.seeding import derive_seed, torch_generator
from darkarcs.training.batches import TrainingBatch, augmentation_generator, move_batch
from darkarcs.training.recipe import TrainingSettings
from darkarcs.training.schedule import parameter_groups, warmup_cosine
from darkarcs.training.target_maker import follow
from darkarcs.training.teaching import Teaching


class TrainingModule(pl.LightningModule):
    """Trains a model by an objective.

    All randomness of step ``s`` (augmentation, dropout, stochastic depth, what an objective
    draws) is seeded by ``(seed, s)``; together with the batch order this makes a resumed run
    equal to an uninterrupted one.

    Parameters
    ----------
    model : torch.nn.Module
        From the model registry.
    objective : Objective
        The loss.
    augmentation : Augmentation
        Applied to each training batch on the device.
    settings : TrainingSettings
        Optimizer and schedule.
    num_steps : int
        Optimizer steps in the whole run.
    seed : int
        Root seed.

    Attributes
    ----------
    teaching : Teaching or None
        Where the teachers' answers come from, if there are teachers.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        augmentation: Augmentation,
        settings: TrainingSettings,
        num_steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.augmentation = augmentation
        self.settings = settings
        self.num_steps = num_steps
        self.seed = seed
        self.teaching: Teaching | None = None
        self.images_seen = 0
        self.token_forwards = 0
        self.epoch_losses: list[Tensor] = []
        self.epoch_parts: dict[str, list[Tensor]] = {}
        self.validation_logits: list[Tensor] = []
        self.validation_labels: list[Tensor] = []
        self.validation_losses: list[tuple[float, int]] = []
        self.validation_skills: list[tuple[float, int]] = []

    def on_train_epoch_start(self) -> None:
        """Forget the losses of the last epoch, and choose the order of this one."""
        self.epoch_losses = []
        self.epoch_parts = {}
        batches: Any = self.trainer.train_dataloader
        batches.set_epoch(self.current_epoch)

    def teach(self, teaching: Teaching) -> None:
        """Set where the teachers' answers come from, and count what they cost so far.

        Parameters
        ----------
        teaching : Teaching
            In the loop, or stored.
        """
        self.teaching = teaching
        self.token_forwards += teaching.token_forwards_before

    @property
    def selected_by(self) -> str:
        """What chooses the best epoch: ``validation_loss``, or ``validation_auc``."""
        by_loss = self.objective.is_self_supervised or self.objective.selects_by_loss
        return "validation_loss" if by_loss else "validation_auc"

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> TrainingBatch:
        """Move a batch; it is there already unless the images do not fit the device."""
        return move_batch(batch, device)

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Seed what draws from the global generator (dropout, stochastic depth)."""
        torch.manual_seed(derive_seed(self.seed, "step", self.global_step))

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Augment, ask the teachers, compute the objective, count what it cost."""
        step = self.global_step
        images = self.augmentation.apply(batch.images, augmentation_generator(self.seed, step))
        teacher = None if self.teaching is None else self.teaching.answer(batch, images, step)
        targets = follow(batch.targets, self.augmentation, augmentation_generator(self.seed, step))
        output: ObjectiveOutput = self.objective(
            self.model,
            Batch(images, batch.labels, batch.indices, teacher, targets),
            step,
            torch_generator(self.seed, "objective", step),
        )
        self.images_seen += len(images)
        self.token_forwards += output.token_forwards
        self.epoch_losses.append(output.loss.detach())
        values = {f"train_{name}": value.detach() for name, value in output.parts.items()}
        for name, value in values.items():
            self.epoch_parts.setdefault(name, []).append(value)
        self.log_dict(
            {"train_loss": output.loss.detach(), **values},
            on_step=False,
            on_epoch=True,
            batch_size=len(images),
        )
        return output.loss

    def on_validation_epoch_start(self) -> None:
        """Forget what the last validation kept."""
        self.validation_logits = []
        self.validation_labels = []
        self.validation_losses = []
        self.validation_skills = []

    def validation_step(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Keep the logits, which become an AUC; or the loss where no label is used."""
        if self.selected_by == "validation_loss":
            # the same draws at each validation, so that losses compare
            generator = torch_generator(self.seed, "validation", batch_idx)
            measured = self.objective(self.model, batch, self.num_steps, generator)
            self.validation_losses.append((float(measured.loss), len(batch.labels)))
            if measured.skill is not None:
                self.validation_skills.append((float(measured.skill), len(batch.labels)))
        output = self.model(batch.images)
        self.validation_logits.append(output.logits.float().cpu())
        self.validation_labels.append(batch.labels.cpu())

    def configure_optimizers(self) -> Any:
        """Make AdamW over layer-wise groups, with warm-up and cosine a step."""
        settings = self.settings
        model: Any = self.model
        names = ("pos_embed", "cls_token", "dist_token", "reg_token", "mask_token")
        no_decay = {
            id(parameter)
            for module in (self.model, self.objective)
            for name, parameter in module.named_parameters()
            if name.rsplit(".", 1)[-1] in names
        }
        groups = parameter_groups(
            model.layer_groups(),
            [p for p in self.objective.parameters() if p.requires_grad],
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            layer_decay=settings.layer_decay,
            no_decay=no_decay,
        )
        # fused: one kernel a step, on the CPU too
        optimizer = torch.optim.AdamW(groups, betas=settings.betas, fused=True)
        factor = partial(
            warmup_cosine,
            num_steps=self.num_steps,
            warmup=settings.warmup,
            final=settings.final_learning_rate,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm; bfloat16 needs no loss scaling, so there is nothing to undo before."""
        if self.settings.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(self.parameters(), self.settings.gradient_clip)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counters."""
        checkpoint["images_seen"] = self.images_seen
        checkpoint["token_forwards"] = self.token_forwards

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Read the counters back."""
        self.images_seen = int(checkpoint["images_seen"])
        self.token_forwards = int(checkpoint["token_forwards"])
