"""Batch normalization while parts of images are erased: whose statistics it keeps.

References
----------
.. [1] Xie et al. 2020, CVPR, arXiv:1911.09665: separate batch statistics for altered images.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _AllSeen(Exception):
    """Every layer of batch normalization has seen the images."""


@contextmanager
def batch_statistics_kept(model: nn.Module) -> Iterator[None]:
    """Let forward passes inside the block leave running batch statistics as they are.

    A released model sees whole images. Erased ones have other statistics: they are normalized by
    their own batch, while training and where a loss on them is measured, but they do not enter
    the running mean that the released model normalizes by [1]_.

    Parameters
    ----------
    model : nn.Module
        With or without batch normalization.

    Yields
    ------
    None
        All is as it was after the block.
    """
    before = [(module, module.training) for module in _tracking(model)]
    for module, training in before:
        module.track_running_stats = False
        # layers that are frozen while the model trains keep to their statistics
        module.training = training or not model.training
    try:
        yield
    finally:
        for module, training in before:
            module.track_running_stats = True
            module.training = training


def update_batch_statistics(model: nn.Module, images: Tensor) -> None:
    """Show whole images to the layers of batch normalization, and to nothing beyond them.

    For objectives whose losses look at erased images alone. In a transformer these layers are
    in the stem, and what stands behind it does not run.

    Parameters
    ----------
    model : nn.Module
        With or without batch normalization.
    images : Tensor, shape (B, C, H, W)
        Whole images.
    """
    left: set[nn.Module] = set(_tracking(model))
    if not left:
        return

    def check_off(module: nn.Module, inputs: Any, output: Any) -> None:
        left.discard(module)
        if not left:
            raise _AllSeen

    hooks = [module.register_forward_hook(check_off) for module in left]
    try:
        with torch.no_grad():
            model(images)
    except _AllSeen:
        pass
    finally:
        for hook in hooks:
            hook.remove()


def _tracking(model: nn.Module) -> list[_BatchNorm]:
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
