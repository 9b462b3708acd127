"""Prediction by iterative erasing: when it stops, what it erases, what it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError, ModelError
from darkarcs.explain import ErasingSettings, iterative_erasing_prediction
from darkarcs.explain.erasing import darken, erase_least
from darkarcs.models import create_model
from darkarcs.models.interface import ImageClassifier, ModelOutput

SIZE = 8


class Doubter(ImageClassifier):
    """Attends to the top left of 2 x 2 patches, and believes in class 1 as the rest goes dark."""

    def __init__(self) -> None:
        super().__init__(num_classes=2, in_channels=1)
        self.supports_attention = True
        self.num_prefix_tokens = 1
        self.batches: list[int] = []

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: str = "mask_token",
    ) -> ModelOutput:
        if "hidden.-1" in capture:  # asked what its head reads, which is the class token
            tokens = images.flatten(1)[:, :5, None]
            return ModelOutput(tokens[:, 0].expand(-1, 2), captured={"hidden.-1": tokens})
        self.batches.append(len(images))
        outside = images[:, 0, :, SIZE // 2 :].mean(dim=(1, 2))
        attention = torch.zeros(len(images), 1, 5, 5)
        attention[..., 0, :] = torch.tensor([0.1, 0.6, 0.1, 0.1, 0.1])
        logits = torch.stack([torch.zeros_like(outside), 3 - 4 * outside], dim=1)
        return ModelOutput(logits, captured=dict.fromkeys(capture, attention))


def images() -> Tensor:
    """Two images in a dark frame: one with nothing outside the attended patch, one with much."""
    pixels = torch.zeros(2, 1, SIZE, SIZE)
    pixels[0, :, 1:4, 1:4] = 1.0
    pixels[1, :, 1:7, 1:7] = 1.0
    return pixels


def transformer() -> ImageClassifier:
    torch.manual_seed(0)
    return create_model(
        "compact_vit_100k", num_classes=2, in_channels=1, image_size=16, patch_size=4, depth=2
    ).eval()


def test_without_rounds_it_is_the_plain_prediction_bit_for_bit() -> None:
    model, pixels = transformer(), torch.randn(5, 1, 16, 16)
    plain = model(pixels).logits
    for combine in ("last", "mean"):
        prediction = iterative_erasing_prediction(model, pixels, 0, 0.9, combine)
        assert torch.equal(prediction.logits, plain)
        assert prediction.rounds_used.tolist() == [0] * 5


def test_confident_images_stop_being_computed() -> None:
    model = Doubter()
    prediction = iterative_erasing_prediction(model, images(), 5, confidence=0.9)
    assert prediction.rounds_used[0] == 0
    assert 0 < prediction.rounds_used[1] < 5
    assert prediction.confident.all()
    assert model.batches == [2] + [1] * int(prediction.rounds_used[1])
    said = prediction.sequence_logits.softmax(dim=2).amax(dim=2)
    assert said[0, 1] < 0.9 <= said[prediction.rounds_used[1], 1]
    assert said[1:, 0].isnan().all()


def test_the_rounds_end_where_nobody_is_confident() -> None:
    model = Doubter()
    prediction = iterative_erasing_prediction(model, images(), 2, confidence=1.0)
    assert prediction.rounds_used.tolist() == [2, 2]
    assert not prediction.confident.any()
    assert model.batches == [2, 2, 2]


def test_the_temperature_decides_who_is_confident() -> None:
    hot = iterative_erasing_prediction(Doubter(), images(), 3, 0.9, temperature=10.0)
    assert hot.rounds_used.tolist() == [3, 3]


def test_last_and_mean() -> None:
    last = iterative_erasing_prediction(Doubter(), images(), 3, 1.0, "last")
    mean = iterative_erasing_prediction(Doubter(), images(), 3, 1.0, "mean")
    torch.testing.assert_close(last.logits, last.sequence_logits[-1])
    expected = last.sequence_logits.log_softmax(dim=2).mean(dim=0)
    torch.testing.assert_close(mean.logits, expected)


def test_darkening_fades_to_the_sky_where_nobody_looks() -> None:
    pixels = 7 + images()
    attention = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]).expand(2, -1, -1)
    dark = darken(pixels, attention)
    torch.testing.assert_close(dark[:, :, :2, :2], pixels[:, :, :2, :2])
    torch.testing.assert_close(dark[:, :, 6:, 6:], torch.full((2, 1, 2, 2), 7.0))
    assert (dark <= pixels + 1e-6).all()


def test_patches_go_one_after_another_and_one_stays() -> None:
    attention = torch.tensor([[[0.4, 0.1], [0.3, 0.2]]])
    erased = torch.zeros(1, 4, dtype=torch.bool)
    order = []
    for _ in range(5):
        grown = erase_least(attention, erased, 0.25)
        order.append((grown & ~erased).nonzero()[:, 1].tolist())
        erased = grown
    assert order == [[1], [3], [2], [], []]


def test_an_image_is_done_when_one_patch_is_left() -> None:
    model = Doubter()  # 2 x 2 patches, a quarter a round: three rounds, and no fourth
    options = {"kind": "patches", "share": 0.25, "keep_sequence": True}
    long = iterative_erasing_prediction(model, images(), 500, 1.0, "mean", **options)
    assert long.rounds_used.tolist() == [3, 3]
    assert model.batches == [2, 2, 2, 2]
    assert long.sequence is not None
    assert len(long.sequence) == len(long.sequence_logits) == 4
    short = iterative_erasing_prediction(Doubter(), images(), 3, 1.0, "mean", **options)
    assert torch.equal(long.logits, short.logits)


def test_an_image_that_darkening_leaves_as_it_is_is_done() -> None:
    model, pixels = Doubter(), images()
    pixels[0] = 0.0  # nothing above the sky
    prediction = iterative_erasing_prediction(model, pixels, 4, confidence=1.0)
    assert prediction.rounds_used.tolist() == [0, 4]
    assert model.batches == [2, 1, 1, 1, 1]


def test_erased_patches_hold_the_filling() -> None:
    prediction = iterative_erasing_prediction(
        Doubter(), images(), 1, 1.0, kind="patches", share=0.75, fill="level", keep_sequence=True
    )
    assert prediction.sequence is not None
    before, after = prediction.sequence
    torch.testing.assert_close(after[:, :, :4, :4], before[:, :, :4, :4])
    assert (after[:, :, 4:] == 0).all()
    assert (after[:, :, :, 4:] == 0).all()


def test_the_callers_images_are_not_touched() -> None:
    pixels = images()
    iterative_erasing_prediction(Doubter(), pixels, 3, 1.0)
    assert torch.equal(pixels, images())


def test_a_batch_is_as_its_images_one_by_one() -> None:
    model, pixels = transformer(), torch.randn(4, 1, 16, 16)
    for kind in ("darken", "patches"):
        together = iterative_erasing_prediction(model, pixels, 2, 0.53, kind=kind)
        for k in range(4):
            alone = iterative_erasing_prediction(model, pixels[k : k + 1], 2, 0.53, kind=kind)
            np.testing.assert_allclose(together.logits[k], alone.logits[0], atol=1e-5)
            assert together.rounds_used[k] == alone.rounds_used[0]


@pytest.mark.parametrize(
    ("rounds", "options"),
    [
        (-1, {}),
        (1, {"confidence": 0.0}),
        (1, {"combine": "first"}),
        (1, {"kind": "burn"}),
        (1, {"share": 1.0}),
    ],
)
def test_settings_out_of_range(rounds: int, options: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        iterative_erasing_prediction(Doubter(), images(), rounds, **options)  # type: ignore[arg-type]


def test_a_cnn_is_refused_only_if_something_is_to_be_erased() -> None:
    torch.manual_seed(0)
    model = create_model("d4_cnn", num_classes=2, in_channels=1, image_size=16).eval()
    pixels = torch.randn(2, 1, 16, 16)
    plain = iterative_erasing_prediction(model, pixels, 0)
    assert torch.equal(plain.logits, model(pixels).logits)
    with pytest.raises(ModelError, match=r"has no attention.*leave --erase out"):
        iterative_erasing_prediction(model, pixels, 1)


def test_strict_settings_and_their_label() -> None:
    settings = ErasingSettings.parse({"rounds": 2, "kind": "patches"}, "test")
    assert settings.label().startswith("erase=2&by=patches&share=0.2&fill=background")
    with pytest.raises(ConfigurationError, match="combine"):
        ErasingSettings.parse({"rounds": 2, "combine": "first"}, "test")
