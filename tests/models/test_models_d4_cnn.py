"""The D4-equivariant CNN: the group's algebra, equivariance of layers, invariance of logits."""

from __future__ import annotations

import pytest
import torch

from darkarcs.errors import ModelError
from darkarcs.models import create_model
from darkarcs.models.group_convolution import (
    FieldNormalization,
    GroupConvolution,
    LiftingConvolution,
    compose,
    inverse,
    symmetric_pooling,
    transform,
)

GROUP = range(8)


def transform_fields(fields: torch.Tensor, element: int) -> torch.Tensor:
    """Act on fields (B, 8 * C, H, W): move the pixels and permute the poses."""
    poses = fields.unflatten(1, (8, -1))
    order = [compose(inverse(element), pose) for pose in GROUP]
    return transform(poses[:, order], element).flatten(1, 2)


def test_composition_and_inverse_are_those_of_the_transformations() -> None:
    picture = torch.arange(9).view(3, 3)
    for left in GROUP:
        assert torch.equal(transform(transform(picture, left), inverse(left)), picture)
        for right in GROUP:
            both = transform(transform(picture, right), left)
            assert torch.equal(transform(picture, compose(left, right)), both)
    assert len({tuple(transform(picture, g).flatten().tolist()) for g in GROUP}) == 8


@pytest.mark.parametrize("element", GROUP)
def test_each_layer_is_equivariant(element: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 2, 12, 12, dtype=torch.float64)
    lift = LiftingConvolution(2, 3, kernel_size=6).double()
    fields = lift(images)
    torch.testing.assert_close(lift(transform(images, element)), transform_fields(fields, element))
    norm = FieldNormalization(3).double()
    for layer in (GroupConvolution(3, 4).double(), norm, symmetric_pooling):
        expected = transform_fields(layer(fields), element)
        torch.testing.assert_close(layer(transform_fields(fields, element)), expected)


@pytest.mark.parametrize("size", [16, 31, 45, 64, 75, 96])
@pytest.mark.parametrize("training", [False, True])
def test_logits_are_invariant(size: int, training: bool) -> None:
    torch.manual_seed(size)
    model = create_model("d4_cnn", num_classes=3).train(training)
    images = torch.randn(2, 1, size, size)
    with torch.no_grad():
        model(torch.randn(8, 1, size, size))  # moves the running statistics
        expected = model(images).logits
        assert expected.std() > 1e-3
        for element in GROUP:
            logits = model(transform(images, element)).logits
            assert (logits - expected).abs().max() < 1e-5


def test_normalization_uses_one_mean_a_field() -> None:
    norm = FieldNormalization(2)
    fields = torch.randn(4, 16, 5, 5) * 3 + 2
    normalized = norm(fields).unflatten(1, (8, 2))
    assert normalized.mean(dim=(0, 1, 3, 4)).abs().max() < 1e-5
    expected = fields.unflatten(1, (8, 2)).mean(dim=(0, 1, 3, 4))
    torch.testing.assert_close(norm.norm.running_mean, 0.1 * expected)


def test_oblong_and_tiny_images_are_refused() -> None:
    model = create_model("d4_cnn", num_classes=2)
    for shape in ((2, 1, 32, 40), (2, 1, 6, 6)):
        with pytest.raises(ModelError, match="square"):
            model(torch.zeros(shape))
