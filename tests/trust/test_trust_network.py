"""Listening at the classifier of every kind of model."""

from __future__ import annotations

import pytest
import torch

from darkarcs.data.augmentation import apply_dihedral
from darkarcs.models import create_model
from darkarcs.trust import ClassifierTap
from darkarcs.trust.network import view_images

MODELS = [
    ("d4_cnn", {}),
    ("resnet18", {}),
    ("compact_vit_100k", {"patch_size": 4, "depth": 1}),
    ("compact_vit_100k", {"patch_size": 4, "depth": 1, "distillation_token": True}),
]


@pytest.mark.parametrize(("name", "options"), MODELS)
def test_features_give_the_logits(name: str, options: dict[str, object]) -> None:
    model = create_model(name, num_classes=3, in_channels=1, image_size=16, **options).eval()
    images = torch.rand(5, 1, 16, 16)
    view = view_images(model, images, batch_size=2)
    assert view.features.shape[0] == 5
    assert view.features.ndim == 2
    with torch.inference_mode():
        assert torch.allclose(model.classifier(view.features), view.logits, atol=1e-5)


def test_only_the_first_view_is_kept_and_the_tap_closes() -> None:
    model = create_model("d4_cnn", num_classes=2, in_channels=1, image_size=16).eval()
    images = torch.rand(2, 1, 16, 16)
    with torch.inference_mode(), ClassifierTap(model) as tap:
        first = model(images).logits
        model(apply_dihedral(images, torch.tensor([3, 3])) * 2)
        assert torch.equal(tap.take().logits, first)
        second = model(2 * images).logits
        assert torch.equal(tap.take().logits, second)
    assert not model.classifier._forward_hooks
    with pytest.raises(RuntimeError):
        tap.take()
