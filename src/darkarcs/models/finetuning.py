"""Which weights a fine-tuning trains: all, the head, the last blocks, or low-rank additions."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.errors import ModelError
from darkarcs.models.interface import ImageClassifier


class FineTuning(Configuration):
    """How much of a model is trained.

    Attributes
    ----------
    mode : {"full", "head", "last_blocks", "lora"}
        Everything; the classifier alone; the last blocks and what follows them; or low-rank
        additions to the attention's linear layers, with the classifier.
    blocks : int
        Layer groups before the head that "last_blocks" trains.
    rank : int
        Of the additions.
    alpha : float
        Gain of the additions, over the rank.
    targets : tuple of str
        Last part of the names of the linear layers that get additions: ours, and those of
        transformers' models.
    """

    mode: Literal["full", "head", "last_blocks", "lora"] = "full"
    blocks: int = Field(2, ge=1)
    rank: int = Field(8, ge=1)
    alpha: float = Field(16.0, gt=0)
    targets: tuple[str, ...] = (
        "qkv",
        "proj",
        "query",
        "key",
        "value",
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
    )


class LowRankLinear(nn.Linear):
    """A frozen linear layer plus a trained product of two thin matrices.

    Parameters
    ----------
    linear : nn.Linear
        Its weights are shared, not copied.
    rank : int
        Of the addition.
    alpha : float
        Gain of the addition, over the rank.

    References
    ----------
    Hu et al. 2021, LoRA, arXiv 2106.09685, equation 3.

    Examples
    --------
    >>> linear = nn.Linear(4, 4)
    >>> x = torch.ones(1, 4)
    >>> bool((LowRankLinear(linear, rank=2, alpha=4.0)(x) == linear(x)).all())
    True
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(1, 1, bias=False)  # replaced at once by the given layer's weights
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.gain = alpha / rank
        self.lora_a = nn.Parameter(linear.weight.new_empty(rank, self.in_features))
        self.lora_b = nn.Parameter(linear.weight.new_zeros(self.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        addition = F.linear(F.linear(input, self.lora_a), self.lora_b)
        return super().forward(input) + self.gain * addition

    def merged(self) -> nn.Linear:
        """Return an ordinary linear layer with the addition folded into its weight.

        Returns
        -------
        torch.nn.Linear
            It gives what this layer gives.
        """
        linear = nn.Linear(1, 1, bias=False)
        linear.in_features, linear.out_features = self.in_features, self.out_features
        with torch.no_grad():
            weight = self.weight + self.gain * (self.lora_b @ self.lora_a)
        linear.weight, linear.bias = nn.Parameter(weight), self.bias
        return linear.train(self.training)


def apply_finetuning(model: ImageClassifier, config: FineTuning) -> None:
    """Set which parameters of a model are trained; insert the additions of LoRA.

    Frozen batch normalizations keep their statistics, also in training mode.

    Parameters
    ----------
    model : ImageClassifier
        Changed in place.
    config : FineTuning
        How much of it is trained.

    Raises
    ------
    ModelError
        If there are fewer blocks than asked for, or no attention for LoRA.
    """
    if config.mode == "full":
        model.requires_grad_(True)
        return
    groups = model.layer_groups()
    if config.mode == "last_blocks" and config.blocks > len(groups) - 1:
        raise ModelError(
            f"finetuning.blocks = {config.blocks}: the model has {len(groups) - 1} before its head"
        )
    model.requires_grad_(False)
    for head in model.heads:
        head.requires_grad_(True)
    if config.mode == "last_blocks":
        for parameter in (p for group in groups[-1 - config.blocks :] for p in group):
            parameter.requires_grad_(True)
    elif config.mode == "lora":
        _insert_lora(model, config)
    _freeze_batch_statistics(model)


def _insert_lora(model: ImageClassifier, config: FineTuning) -> None:
    heads = {id(module) for head in model.heads for module in head.modules()}
    targets = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and not isinstance(module, LowRankLinear)
        and name.rpartition(".")[2] in config.targets
        and id(module) not in heads
    ]
    if not targets:
        raise ModelError(
            f"LoRA finds no linear layer named {', '.join(config.targets)} in "
            f"{type(model).__name__}: use finetuning.mode=last_blocks or head"
        )
    for name, linear in targets:
        _replace(model, name, LowRankLinear(linear, config.rank, config.alpha))


def merge_lora(model: nn.Module) -> nn.Module:
    """Fold all low-rank additions into the weights they were added to.

    Parameters
    ----------
    model : nn.Module
        Changed in place; afterwards its state dict has the plain names.

    Returns
    -------
    nn.Module
        The same model.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, LowRankLinear):
            _replace(model, name, module.merged())
    return model


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _freeze_batch_statistics(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(
            parameter.requires_grad for parameter in module.parameters()
        ):
            # `model.train()` at each epoch would undo a plain `module.eval()`
            module.register_forward_pre_hook(_to_evaluation)


def _to_evaluation(module: nn.Module, inputs: Any) -> None:
    module.eval()
