"""The classification loss."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from darkarcs.errors import ConfigurationError
from darkarcs.objectives import Batch, Classification, ClassificationObjective
from darkarcs.objectives.classification import class_weights


class Fixed(nn.Module):
    """A model that always answers the same."""

    def __init__(self, logits: Tensor, distillation: Tensor | None = None) -> None:
        super().__init__()
        self.logits, self.distillation = logits, distillation

    def forward(self, images: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits, distillation_logits=self.distillation)

    def num_tokens(self, height: int, width: int) -> int:
        return height * width // 16 + 1


LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
BATCH = Batch(torch.zeros(2, 1, 8, 8), torch.tensor([0, 0]))


def run(configuration: Classification, model: Fixed, counts: tuple[int, int] = (1, 1)) -> float:
    objective = ClassificationObjective(configuration, counts)
    output = objective(model, BATCH, 0, torch.Generator())
    assert output.token_forwards == 2 * 5
    assert output.parts["classification"] == output.loss
    return float(output.loss)


def test_cross_entropy_by_hand() -> None:
    expected = float(-(LOGITS.log_softmax(1)[:, 0]).mean())
    assert run(Classification(), Fixed(LOGITS)) == pytest.approx(expected)


def test_label_smoothing_by_hand() -> None:
    log = LOGITS.log_softmax(1)
    expected = float(-(0.9 * log[:, 0] + 0.1 * log.mean(1)).mean())
    assert run(Classification(label_smoothing=0.1), Fixed(LOGITS)) == pytest.approx(expected)


def test_both_heads_are_trained() -> None:
    zero = torch.zeros(2, 2)
    both = run(Classification(), Fixed(LOGITS, zero))
    alone = [run(Classification(), Fixed(logits)) for logits in (LOGITS, zero)]
    assert both == pytest.approx(sum(alone) / 2)


def test_balanced_weights_make_classes_count_alike() -> None:
    weights = class_weights("balanced", (10, 30))
    assert weights is not None
    assert float(weights[0] * 10) == pytest.approx(float(weights[1] * 30))
    with pytest.raises(ConfigurationError, match="3 weights for 2 classes"):
        class_weights((1.0, 1.0, 1.0), (10, 30))
