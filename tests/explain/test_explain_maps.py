"""Maps of evidence and gradients on a model that looks at one known patch and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darkarcs.errors import DataError, ModelError
from darkarcs.explain import (
    ExplainSettings,
    evidence_map,
    explain_images,
    gradient_weighted_attention,
    input_gradient,
    to_pixels,
)
from darkarcs.explain.evidence import window_starts
from darkarcs.explain.explanation import read_explanation, to_npz
from darkarcs.explain.filling import background, filling
from darkarcs.models import create_model
from darkarcs.models.interface import ImageClassifier, ModelOutput

SIZE, PATCH = 16, 4


class OnePatchModel(ImageClassifier):
    """Says class 1 by the mean brightness of the patch in row 1, column 2; no attention."""

    def __init__(self) -> None:
        super().__init__(num_classes=2, in_channels=1)
        self.calls = 0

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: str = "mask_token",
    ) -> ModelOutput:
        self.calls += 1
        seen = images[:, 0, 4:8, 8:12].mean(dim=(1, 2))
        return ModelOutput(torch.stack([torch.zeros_like(seen), seen], dim=1))


def planted(count: int = 2) -> Tensor:
    """Make empty images with a bright patch where the model looks."""
    images = torch.zeros(count, 1, SIZE, SIZE)
    images[:, :, 4:8, 8:12] = 3.0
    images[:, :, 12:, :4] = 5.0  # brighter, and of no matter
    return images


def small_transformer() -> nn.Module:
    torch.manual_seed(0)
    model = create_model(
        "compact_vit_100k", num_classes=2, in_channels=1, image_size=SIZE, patch_size=PATCH, depth=2
    )
    return model.eval()


def test_evidence_map_finds_the_planted_patch() -> None:
    maps = evidence_map(OnePatchModel(), planted(), PATCH)
    assert maps.shape == (2, SIZE, SIZE)
    expected = torch.zeros(SIZE, SIZE)
    expected[4:8, 8:12] = 3.0  # the log-odds are the brightness itself
    torch.testing.assert_close(maps, expected.expand(2, -1, -1))


def test_sliding_windows_share_their_drops() -> None:
    maps = evidence_map(OnePatchModel(), planted(1), PATCH, stride=2)
    row, column = divmod(int(maps[0].argmax()), SIZE)
    assert 4 <= row < 8
    assert 8 <= column < 12
    # the four middle pixels lie in four windows, which hide a whole, two halves and a quarter
    # of the patch in every arrangement: 3 * (4/4 + 2 * 2/4 + 1/4) / 4
    assert maps[0, 5, 9] == pytest.approx(3 * (1 + 0.5 + 0.5 + 0.25) / 4)
    assert maps[0, 0, 0] == 0


def test_the_measure_and_the_class_decide_what_drops() -> None:
    model, images = OnePatchModel(), planted(1)
    probability = evidence_map(model, images, PATCH, measure="probability")
    assert probability.max() == pytest.approx(float(torch.tensor(3.0).sigmoid()) - 0.5)
    against = evidence_map(model, images, PATCH, class_index=0)
    torch.testing.assert_close(against, -evidence_map(model, images, PATCH))


def test_a_batch_is_as_its_images_one_by_one() -> None:
    images = torch.randn(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    model = small_transformer()
    together = evidence_map(model, images, PATCH, class_index=torch.tensor([0, 1, 0]), batch_size=7)
    alone = [evidence_map(model, images[k : k + 1], PATCH, class_index=k % 2)[0] for k in range(3)]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("patch", "stride"), [(17, None), (4, 5), (4, 0), (0, None)])
def test_windows_that_do_not_fit(patch: int, stride: int | None) -> None:
    with pytest.raises(ModelError, match="stride"):
        evidence_map(OnePatchModel(), planted(), patch, stride)


@pytest.mark.parametrize(("window", "stride"), [(4, 9), (17, 4)])
def test_settings_of_windows_are_named_as_options(window: int, stride: int) -> None:
    settings = ExplainSettings(window=window, stride=stride)
    with pytest.raises(ModelError, match="--stride at most --window, and --window at most 16"):
        explain_images(OnePatchModel(), planted(), settings)


def test_every_pixel_lies_in_a_window() -> None:
    for length, window, stride in [(10, 4, 4), (16, 4, 2), (7, 7, 7), (9, 2, 1)]:
        covered = np.zeros(length, dtype=int)
        for start in window_starts(length, window, stride):
            covered[start : start + window] += 1
        assert covered.min() >= 1


def test_no_class_beyond_the_last() -> None:
    with pytest.raises(ModelError, match=r"0\.\.1"):
        evidence_map(OnePatchModel(), planted(), PATCH, class_index=2)
    with pytest.raises(ModelError, match="shape"):
        evidence_map(OnePatchModel(), planted(), PATCH, class_index=torch.tensor([0, 1, 1]))


def test_filling_is_the_sky_of_the_image_itself() -> None:
    generator = torch.Generator().manual_seed(2)
    sky = torch.tensor([1.0, 10.0])[:, None, None, None]
    images = sky * (5 + torch.randn(2, 1, 64, 64, generator=generator))
    images[:, :, 20:40, 20:40] += 1000.0
    images[:, :, 0, 0] = 1e4  # a neighbour at the border
    level, noise = background(images)
    np.testing.assert_allclose(level.flatten(), [5, 50], rtol=0.1)
    np.testing.assert_allclose(noise.flatten(), [1, 10], rtol=0.1)
    filled = filling(images)
    np.testing.assert_allclose(filled.mean(dim=(1, 2, 3)), [5, 50], rtol=0.1)
    np.testing.assert_allclose(filled.std(dim=(1, 2, 3)), [1, 10], rtol=0.1)
    torch.testing.assert_close(filled[1:], filling(images[1:]))
    assert (filling(images, "level") == level).all()
    torch.testing.assert_close(filling(images, "mean")[:, 0, 0, 0], images.mean(dim=(1, 2, 3)))
    with pytest.raises(ModelError, match="fill = 'black'"):
        filling(images, "black")  # type: ignore[arg-type]


def test_input_gradient_of_a_linear_model() -> None:
    gradient = input_gradient(OnePatchModel(), planted())
    expected = torch.zeros(SIZE, SIZE)
    expected[4:8, 8:12] = 1 / 16
    torch.testing.assert_close(gradient, expected.expand(2, -1, -1))


def test_gradients_leave_the_model_alone() -> None:
    model = small_transformer()
    relevance = gradient_weighted_attention(model, torch.randn(2, 1, SIZE, SIZE))
    assert relevance.shape == (2, 4, 4)
    assert (relevance >= 0).all()
    assert relevance.max() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gradient_weighted_attention_of_one_layer_by_hand() -> None:
    torch.manual_seed(0)
    model = create_model(
        "compact_vit_100k", num_classes=2, in_channels=1, image_size=8, patch_size=4, depth=1
    ).eval()
    images = torch.randn(1, 1, 8, 8)
    found = gradient_weighted_attention(model, images, class_index=1)
    output = model(images, capture=("attention.0",))
    attention = output.captured["attention.0"]
    score = output.logits[0, 1] - output.logits[0, 0]
    (gradient,) = torch.autograd.grad(score, attention)
    prefix = model.num_prefix_tokens  # the head reads the mean of the patches
    row = (gradient * attention).clamp(min=0).mean(dim=1)[0, prefix:, prefix:].mean(dim=0)
    np.testing.assert_allclose(found.ravel(), row.detach(), rtol=1e-5)


def test_a_model_without_attention_says_so() -> None:
    with pytest.raises(ModelError, match="has no attention"):
        gradient_weighted_attention(OnePatchModel(), planted())


def test_interpolation_keeps_the_centres_of_patches() -> None:
    maps = torch.arange(4.0).reshape(1, 2, 2)
    pixels = to_pixels(maps, 6, 6)
    assert pixels[0, 1, 1] == pytest.approx(0, abs=1e-6)
    assert pixels[0, 4, 4] == pytest.approx(3)


def test_everything_of_a_transformer_and_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = ExplainSettings.parse({"erasing": {"rounds": 2, "confidence": 1.0}}, "test")
    images = torch.randn(2, 1, SIZE, SIZE)
    first, second = explain_images(small_transformer(), images, settings)
    assert first.attention is not None
    assert first.attention.shape == (2, first.attention.shape[1], 4, 4)
    assert first.rollout is not None
    assert first.rollout.shape == (2, 4, 4)
    assert first.erasing_images is not None
    assert first.erasing_images.shape == (3, 1, SIZE, SIZE)
    np.testing.assert_array_equal(first.erasing_images[0], images[0])
    assert not np.array_equal(first.evidence, second.evidence)
    path = tmp_path / "maps.npz"
    path.write_bytes(to_npz(first))
    again = read_explanation(path)
    for name, value in vars(first).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="is no file of an explanation"):
        read_explanation(path)
    with pytest.raises(DataError, match="does not exist"):
        read_explanation(tmp_path / "none.npz")


def test_a_cnn_is_explained_without_attention() -> None:
    [explanation] = explain_images(OnePatchModel(), planted(1), ExplainSettings(window=4))
    assert explanation.attention is None
    assert explanation.erasing_images is None
    assert explanation.evidence.argmax() in np.flatnonzero(planted(1)[0, 0].numpy() == 3)
