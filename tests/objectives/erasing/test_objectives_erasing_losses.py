"""The losses by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from darkarcs.objectives.erasing.losses import (
    classification_loss,
    consistency_loss,
    cut_patches,
    reconstruction_loss,
    remaining_probability,
    visible_attention,
)

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
LABELS = torch.tensor([0, 0, 1])
#: -log softmax of each image's own class.
EACH = torch.tensor([math.log(1 + math.exp(-2)), math.log(1 + math.e), math.log(2)])


def test_cross_entropy_and_image_weights_by_hand() -> None:
    weights = torch.tensor([1.0, 0.0, 0.5])
    assert classification_loss(LOGITS, LABELS) == pytest.approx(float(EACH.mean()))
    weighted = classification_loss(LOGITS, LABELS, image_weights=weights)
    assert weighted == pytest.approx(float((EACH * weights).sum() / 3))


def test_image_weights_of_one_change_nothing_whatever_the_rest() -> None:
    options = {"class_weights": torch.tensor([0.7, 1.9]), "label_smoothing": 0.1}
    plain = classification_loss(LOGITS, LABELS, **options)
    expected = functional.cross_entropy(
        LOGITS, LABELS, weight=options["class_weights"], label_smoothing=0.1
    )
    assert plain == expected
    ones = classification_loss(LOGITS, LABELS, image_weights=torch.ones(3), **options)
    assert ones == pytest.approx(float(plain))


def test_unlabelled_images_are_left_out() -> None:
    labels = torch.tensor([0, -1, 1])
    expected = float((EACH[0] + EACH[2]) / 2)
    assert classification_loss(LOGITS, labels) == pytest.approx(expected)
    weights = torch.tensor([1.0, 100.0, 1.0])
    assert classification_loss(LOGITS, labels, image_weights=weights) == pytest.approx(expected)
    logits = LOGITS.clone().requires_grad_()
    nothing = classification_loss(logits, torch.full((3,), -1))
    nothing.backward()
    assert nothing.item() == 0
    assert not bool(logits.grad.any())


def test_consistency_is_the_divergence_and_stops_the_gradient() -> None:
    whole, erased = LOGITS.clone().requires_grad_(), LOGITS.flip(0).clone().requires_grad_()
    loss = consistency_loss(erased, whole)
    p, q = whole.softmax(1), erased.softmax(1)
    assert loss.item() == pytest.approx((p * (p / q).log()).sum(1).mean().item())
    loss.backward()
    assert whole.grad is None
    assert bool(erased.grad.any())


def test_patches_lie_as_the_models_do() -> None:
    images = torch.randn(2, 3, 8, 12)
    patches = cut_patches(images, 4)
    assert patches.shape == (2, 6, 48)
    assert torch.equal(patches[1, 4], images[1, :, 4:8, 4:8].flatten())


def test_reconstruction_counts_erased_patches_only() -> None:
    target = torch.tensor([[[1.0, 3.0], [5.0, 9.0]], [[0.0, 2.0], [4.0, 4.0]]])
    erased = torch.tensor([[True, False], [False, True]])
    predicted = torch.zeros_like(target).requires_grad_()
    loss = reconstruction_loss(predicted, target, erased, normalize=False)
    assert loss.item() == pytest.approx((1 + 9 + 16 + 16) / 4)
    loss.backward()
    assert not bool(predicted.grad[~erased].any())
    # normalised: (1, 3) becomes (-1, 1), and what has no structure (0, 0)
    normalised = reconstruction_loss(torch.zeros_like(target), target, erased)
    assert float(normalised) == pytest.approx((1 + 1 + 0 + 0) / 4, rel=1e-4)
    perfect = torch.tensor([[[-1.0, 1.0], [9.0, 9.0]], [[9.0, 9.0], [0.0, 0.0]]])
    assert float(reconstruction_loss(perfect, target, erased)) == pytest.approx(0, abs=1e-6)


def test_evidence_left() -> None:
    attention = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    erased = torch.tensor([[True, False, False], [False, False, False]])
    assert visible_attention(attention, erased).tolist() == pytest.approx([0.5, 1.0])
    whole, now = torch.tensor([[0.0, 2.0]] * 3), torch.tensor([[0.0, 0.0]] * 3)
    evidence = remaining_probability(now, whole, torch.tensor([1, 0, -1]))
    expected = 0.5 / (1 / (1 + math.exp(-2)))
    assert evidence.tolist() == pytest.approx([expected, 1.0, 1.0])
