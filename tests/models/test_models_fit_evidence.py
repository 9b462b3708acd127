"""The evidence of fits as a model of ten numbers."""

from __future__ import annotations

import pytest
import torch

from darkarcs.errors import ModelError
from darkarcs.fitting import SmoothFit
from darkarcs.models import create_model
from darkarcs.models.fit_evidence import FitEvidence
from darkarcs.scenes import load_scene


def model_of(**options: float) -> FitEvidence:
    model = create_model("fit_evidence", num_classes=2, in_channels=7, image_size=16, **options)
    assert isinstance(model, FitEvidence)
    return model.eval()


def test_before_training_its_odds_are_the_mean_evidence_of_the_strengths() -> None:
    places = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    pixels = places.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    images = torch.cat([torch.randn(5, 4, 16, 16), pixels], dim=1)
    sums = places.sum(dim=(2, 3))
    expected = sums.exp().mean(dim=1).log()
    output = model_of(factor=16.0)(images, capture=("hidden.0",))
    torch.testing.assert_close(output.captured["hidden.0"][:, 0].sinh(), expected)
    torch.testing.assert_close(output.logits.diff()[:, 0].sinh(), expected)


def test_turned_images_have_the_same_evidence() -> None:
    images, model = torch.randn(3, 7, 12, 12), model_of()
    turned = images.rot90(1, (2, 3)).flip(3)
    torch.testing.assert_close(model(images).logits, model(turned).logits)


def test_evidence_of_thousands_stays_finite_with_its_gradient() -> None:
    model = model_of()
    images = torch.full((2, 7, 8, 8), 1e3) * torch.tensor([1.0, -1.0])[:, None, None, None]
    model(images).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_it_is_meant_for_what_fits_write_and_says_so() -> None:
    fit = SmoothFit.of(load_scene("fair-euclid"))
    assert model_of().in_channels == fit.num_channels
    # a band, colours, two bands of version 1, no band, half a band
    for channels in (1, 3, 4, 5, 8):
        with pytest.raises(ModelError, match="darkarcs fit"):
            create_model("fit_evidence", num_classes=2, in_channels=channels)
