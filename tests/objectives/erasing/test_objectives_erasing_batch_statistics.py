"""Batch statistics are those of whole images, whatever the losses look at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from darkarcs.objectives.erasing.batch_statistics import (
    batch_statistics_kept,
    update_batch_statistics,
)


def test_erased_images_leave_batch_statistics_as_they_are() -> None:
    norm = nn.BatchNorm2d(1).train()
    images = 3 + torch.randn(4, 1, 8, 8)
    with batch_statistics_kept(norm):
        seen = norm(images)
    assert norm.running_mean is not None
    assert norm.running_mean.item() == 0
    assert norm.num_batches_tracked == 0
    # normalized by its own batch nevertheless
    assert seen.mean().item() == pytest.approx(0, abs=1e-5)
    norm(images)
    assert norm.running_mean.item() != 0


def test_a_loss_on_erased_images_is_measured_as_it_is_trained() -> None:
    norm, images = nn.BatchNorm2d(1), 3 + torch.randn(4, 1, 8, 8)
    with batch_statistics_kept(norm.eval()):
        seen = norm(images)
    assert seen.mean().item() == pytest.approx(0, abs=1e-5)
    assert not norm.training
    assert norm(images).mean().item() == pytest.approx(3, abs=0.5)  # by the running mean of 0


def test_frozen_layers_keep_to_their_statistics() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1)).train()
    model[0].eval()
    with batch_statistics_kept(model):
        assert model(torch.full((2, 1, 4, 4), 3.0)).mean().item() == pytest.approx(3, abs=1e-3)


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        seen = self.second(self.first(images))
        self.calls += 1
        return seen


def test_statistics_are_updated_and_nothing_else_runs() -> None:
    model, images = Counted().train(), 3 + torch.randn(4, 1, 8, 8)
    update_batch_statistics(model, images)
    assert model.calls == 0
    expected = nn.BatchNorm2d(1).train()
    expected(images)
    assert torch.equal(model.first.running_mean, expected.running_mean)
    assert model.second.num_batches_tracked == 1
    model(images)  # no hook is left behind
    assert model.calls == 1
    update_batch_statistics(nn.Linear(2, 2), torch.zeros(1, 2))
