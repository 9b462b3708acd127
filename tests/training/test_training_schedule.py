"""Layer-wise decay, warm-up and cosine, convergence, batches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from darkarcs.errors import DataError
from darkarcs.training.batches import OrderedBatches, TrainingBatches
from darkarcs.training.callbacks import ema_with_warmup
from darkarcs.training.convergence import has_converged
from darkarcs.training.schedule import parameter_groups, warmup_cosine


def test_schedule_rises_then_falls_to_the_final_rate() -> None:
    factors = [warmup_cosine(step, 100, 0.1, 0.01) for step in range(101)]
    assert factors[9] == 1.0
    assert all(a < b for a, b in pairwise(factors[:10]))
    assert all(a >= b for a, b in pairwise(factors[10:]))
    assert factors[100] == pytest.approx(0.01)


def test_layer_decay_and_weight_decay() -> None:
    first, second, frozen = (nn.Parameter(torch.zeros(2, 2)) for _ in range(3))
    bias, token = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, 1, 2))
    frozen.requires_grad_(False)
    groups = parameter_groups(
        [[first, frozen], [second, bias, token]],
        [],
        learning_rate=1.0,
        weight_decay=0.05,
        layer_decay=0.5,
        no_decay={id(token)},
    )
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert found == {
        id(first): (0.5, 0.05),
        id(second): (1.0, 0.05),
        id(bias): (1.0, 0.0),
        id(token): (1.0, 0.0),
    }


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    images = torch.arange(10.0).reshape(10, 1, 1, 1)
    batches = TrainingBatches(images, torch.arange(10), 4, seed=3)

    def labels(epoch: int) -> list[int]:
        batches.set_epoch(epoch)
        return [int(x) for batch in batches for x in batch.labels]

    assert len(batches) == 2
    later = labels(5)
    assert labels(0) != later
    assert labels(5) == later
    assert len(set(later)) == 8
    assert sorted(batches.order()) == list(range(10))


def test_batches_carry_images_with_their_labels() -> None:
    images = torch.arange(10.0).reshape(10, 1, 1, 1)
    few = TrainingBatches(images, torch.arange(10), 4, seed=3, images_per_epoch=5)
    seen = set()
    for epoch in range(20):
        few.set_epoch(epoch)
        (batch,) = few
        assert len(batch.labels) == 4
        seen |= set(batch.labels.tolist())
    assert seen == set(range(10))  # drawn anew
    for batch in TrainingBatches(images, torch.arange(10), 100, seed=0):
        assert len(batch.labels) == 10
        assert torch.equal(batch.images.flatten().long(), batch.labels)
    ordered = list(OrderedBatches(images, torch.arange(10), 4))
    assert [len(batch.labels) for batch in ordered] == [4, 4, 2]
    assert torch.cat([batch.labels for batch in ordered]).tolist() == list(range(10))


def test_no_images() -> None:
    with pytest.raises(DataError, match="no training images"):
        TrainingBatches(torch.zeros(0, 1, 2, 2), torch.zeros(0), 4, 0)


def test_average_follows_early_and_lags_late() -> None:
    update = ema_with_warmup(0.9)
    mean, count = [torch.zeros(1), torch.tensor(3)], 0
    update(mean, [torch.ones(1), torch.tensor(7)], count)
    assert float(mean[0]) == pytest.approx(0.9)
    assert int(mean[1]) == 7
    late = [torch.zeros(1)]
    update(late, [torch.ones(1)], torch.tensor(10_000))
    assert float(late[0]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.9] * 3, False),
        ([0.6, 0.7, 0.8, 0.9], False),
        ([0.7, 0.95, 0.99, 0.992, 0.9922, 0.9921, 0.9922, 0.9922], True),
        ([0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99], False),
        (list(np.linspace(0.9, 0.9, 10)), True),
    ],
)
def test_convergence(curve: list[float], expected: bool) -> None:
    assert has_converged(curve) is expected
