"""Each distillation loss: zero at equality, a value by hand, and what it must not see."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError, ModelError
from darkarcs.objectives.distillation_losses import (
    aligned_patches,
    choose_num_heads,
    class_attention,
    class_attention_loss,
    feature_loss,
    hard_answers,
    join_heads,
    map_layers,
    mean_log_probabilities,
    relation_loss,
    soft_answers,
)
from darkarcs.objectives.model_shape import grid_of


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_all_losses_are_zero_when_student_equals_teacher(temperature: float) -> None:
    logits, tokens = random(5, 3), random(2, 9, 8)
    attention = random(2, 2, 10, 10).softmax(dim=-1)
    looks = class_attention(attention, 1, class_token=True)
    assert float(soft_answers(logits, logits[None], temperature)) == 0.0
    assert float(hard_answers(1e3 * logits, logits[None])) == 0.0
    assert float(feature_loss(tokens, tokens, "mse")) == 0.0
    assert float(feature_loss(tokens, tokens, "cosine")) == pytest.approx(0.0, abs=1e-6)
    assert float(relation_loss(tokens, tokens, 4)) == 0.0
    assert float(class_attention_loss(looks, looks)) == 0.0


def test_all_losses_are_positive_when_they_differ() -> None:
    logits, other = random(5, 3), random(5, 3, seed=1)
    tokens, others = random(2, 9, 8), random(2, 9, 8, seed=1)
    looks = [random(2, 9, seed=seed).softmax(dim=-1) for seed in (0, 1)]
    losses = [
        soft_answers(logits, other[None], 2.0),
        hard_answers(logits, other[None]),
        feature_loss(tokens, others, "mse"),
        feature_loss(tokens, others, "cosine"),
        relation_loss(tokens, others, 2),
        class_attention_loss(*looks),
    ]
    assert min(map(float, losses)) > 0.01


def test_soft_answers_by_hand() -> None:
    student = torch.tensor([[0.0, 0.0], [2.0 * math.log(3), 0.0]])
    teacher = torch.tensor([[[2.0 * math.log(3), 0.0], [2.0 * math.log(3), 0.0]]])
    # at temperature 2 the teacher says (3/4, 1/4); the first student (1/2, 1/2), the second alike
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(soft_answers(student, teacher, 2.0)) == pytest.approx(4 * divergence / 2)


def test_gradient_of_soft_answers_by_hand() -> None:
    student = random(4, 3).requires_grad_()
    teacher, temperature = random(1, 4, 3, seed=1), 3.0
    soft_answers(student, teacher, temperature).backward()
    difference = (student / temperature).softmax(1) - (teacher[0] / temperature).softmax(1)
    assert student.grad is not None
    assert torch.allclose(student.grad, temperature * difference / 4, atol=1e-6)


def test_ensemble_is_the_mean_of_probabilities() -> None:
    teachers, temperature = random(3, 5, 4), 2.0
    mean = (teachers / temperature).softmax(dim=-1).mean(dim=0)
    assert torch.allclose(mean_log_probabilities(teachers, temperature).exp(), mean, atol=1e-6)
    student = random(5, 4, seed=1)
    log = (student / temperature).log_softmax(dim=-1)
    expected = temperature**2 * (mean * (mean.log() - log)).sum(dim=1).mean()
    assert float(soft_answers(student, teachers, temperature)) == pytest.approx(float(expected))


def test_hard_answers_follow_the_ensembles_mean() -> None:
    # two mild votes for class 0 against one that is certain of class 1: the mean says class 1
    teachers = torch.tensor([[[0.2, 0.0]], [[0.2, 0.0]], [[0.0, 9.0]]])
    assert float(hard_answers(torch.tensor([[0.0, 50.0]]), teachers)) == pytest.approx(0.0)


def test_features_by_hand() -> None:
    teacher = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    student = torch.tensor([[[0.0, 2.0], [0.0, 2.0]]])
    assert float(feature_loss(student, teacher, "cosine")) == pytest.approx(0.5)
    # squares 1, 4, 0, 1 have mean 1.5; the teacher's variance is 1/4
    assert float(feature_loss(student, teacher, "mse")) == pytest.approx(6.0)
    mean = teacher.mean().expand(1, 2, 2)
    assert float(feature_loss(mean, teacher, "mse")) == pytest.approx(1.0)


def test_relations_by_hand_and_across_widths() -> None:
    teacher = math.sqrt(math.log(3)) * torch.eye(2)[None]  # one head of width 2
    student = torch.zeros(1, 2, 6)
    scale = 3 ** (1 / math.sqrt(2))
    share = scale / (scale + 1)  # on the diagonal
    divergence = share * math.log(2 * share) + (1 - share) * math.log(2 * (1 - share))
    assert float(relation_loss(student, teacher, 1)) == pytest.approx(divergence, rel=1e-5)


def test_relations_do_not_change_when_vectors_turn() -> None:
    tokens = random(2, 6, 4)
    turn, _ = torch.linalg.qr(random(4, 4, seed=2))
    assert float(relation_loss(tokens @ turn, tokens, 1)) == pytest.approx(0.0, abs=1e-5)
    assert float(relation_loss(tokens @ turn, tokens, 2)) > 0.01


def test_relation_heads_divide_both_widths() -> None:
    assert choose_num_heads(None, 128, 192, 3) == 2
    assert choose_num_heads(None, 96, 192, 3) == 3
    assert choose_num_heads(16, 64, 192, 3) == 16
    with pytest.raises(ConfigurationError, match=r"num_heads = 5 must divide .* \(64\)"):
        choose_num_heads(5, 64, 192, 3)


def test_heads_are_joined_as_the_model_splits_them() -> None:
    joined = random(2, 5, 12)
    split = joined.reshape(2, 5, 3, 4).transpose(1, 2)  # as attention does
    assert torch.equal(join_heads(split), joined)


def test_class_attention_by_hand() -> None:
    attention = torch.zeros(1, 2, 5, 5)
    attention[:, 0, 0] = torch.tensor([0.5, 0.5, 0.0, 0.0, 0.0])
    attention[:, 1, 0] = torch.tensor([0.5, 0.0, 0.5, 0.0, 0.0])
    assert class_attention(attention, 1, class_token=True).tolist() == [[0.5, 0.5, 0.0, 0.0]]
    uniform = torch.full((1, 4), 0.25)
    target = class_attention(attention, 1, class_token=True)
    assert float(class_attention_loss(uniform, target)) == pytest.approx(math.log(2), rel=1e-5)


def test_without_a_class_token_the_patches_look() -> None:
    attention = random(2, 3, 5, 5).softmax(dim=-1)
    looks = attention.mean(dim=1)[:, 1:, 1:].mean(dim=1)
    expected = looks / looks.sum(dim=1, keepdim=True)
    assert torch.allclose(class_attention(attention, 1, class_token=False), expected)


def test_attention_is_resampled_and_stays_normalised() -> None:
    attention = random(2, 3, 17, 17).softmax(dim=-1)
    coarse = class_attention(attention, 1, class_token=True, grid=(2, 2))
    assert coarse.shape == (2, 4)
    assert torch.allclose(coarse.sum(dim=1), torch.ones(2))


def test_grids_are_resampled_over_the_same_area() -> None:
    ramp = torch.arange(4.0).repeat(4, 1)[None, None]  # (1, 1, 4, 4), a feature map
    coarse = aligned_patches(ramp, 0, (2, 2)).reshape(2, 2)
    assert torch.allclose(coarse[:, 0], coarse[0, 0])
    assert float(coarse.mean()) == 1.5
    tokens = ramp.flatten(2).transpose(1, 2)
    assert torch.equal(aligned_patches(tokens, 0, (2, 2)).reshape(2, 2), coarse)
    assert torch.equal(aligned_patches(tokens, 0, (4, 4)), tokens)


def test_erased_patches_are_left_out_in_order() -> None:
    tokens = torch.arange(5.0)[None, :, None].repeat(2, 1, 1)
    erased = torch.tensor([[True, False, False, True], [False, True, True, False]])
    kept = aligned_patches(tokens, 1, (2, 2), erased)[..., 0]
    assert kept.tolist() == [[2.0, 3.0], [1.0, 4.0]]


def test_tokens_that_form_no_square_are_refused() -> None:
    with pytest.raises(ModelError, match="6 patch tokens form no square"):
        grid_of(torch.zeros(1, 7, 4), 1)


@pytest.mark.parametrize(
    ("layers", "student", "teacher", "pairs"),
    [
        ("last", 4, 12, [(3, 11)]),
        ("early", 4, 12, [(0, 0), (1, 1)]),
        ("early", 1, 12, [(0, 0)]),
        ("all", 3, 12, [(0, 3), (1, 7), (2, 11)]),
        ("all", 12, 12, [(i, i) for i in range(12)]),
        ("all", 5, 4, [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3)]),
        (((0, 5), (-1, -1)), 4, 12, [(0, 5), (3, 11)]),
    ],
)
def test_layers_map(
    layers: object, student: int, teacher: int, pairs: list[tuple[int, int]]
) -> None:
    assert map_layers(layers, student, teacher, "key") == pairs  # type: ignore[arg-type]


def test_layers_that_do_not_exist_are_named() -> None:
    with pytest.raises(ConfigurationError, match="key: the teacher has layers 0 to 11, not 12"):
        map_layers(((0, 12),), 4, 12, "key")
