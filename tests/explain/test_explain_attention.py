"""Attention maps against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from darkarcs.errors import ModelError
from darkarcs.explain import (
    attention_rollout,
    capture_attention,
    class_attention,
    explain_images,
    gradient_weighted_attention,
    iterative_erasing_prediction,
    reading_tokens,
)
from darkarcs.explain.erasing import darken
from darkarcs.explain.explanation import ExplainSettings
from darkarcs.models import create_model


def random_attention(layers: int, tokens: int, heads: int = 2, batch: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    drawn = rng.random((layers, batch, heads, tokens, tokens))
    return list(drawn / drawn.sum(axis=-1, keepdims=True))


def test_class_attention_reads_the_row_of_the_class_token() -> None:
    attention = random_attention(1, 11)[0]  # two prefix tokens, 3 x 3 patches
    maps = class_attention(attention, 2)
    assert maps.shape == (3, 3, 3)
    np.testing.assert_allclose(maps[1, 2, 0], attention[1, :, 0, 2 + 6].mean())
    each = class_attention(attention, 2, heads="each")
    np.testing.assert_allclose(each.max(axis=1), class_attention(attention, 2, heads="max"))
    np.testing.assert_allclose(each.mean(axis=1), maps)


def test_a_tensor_will_do() -> None:
    attention = random_attention(1, 5)[0]
    maps = class_attention(torch.from_numpy(attention), 1)
    np.testing.assert_array_equal(maps, class_attention(attention, 1))


def test_without_a_class_token_patches_are_averaged() -> None:
    attention = random_attention(1, 4)[0]
    maps = class_attention(attention, 0)
    np.testing.assert_allclose(maps.reshape(3, 4), attention.mean(axis=(1, 2)))
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1)


def test_rollout_of_one_layer_is_half_its_attention() -> None:
    attention = random_attention(1, 5)
    np.testing.assert_allclose(
        attention_rollout(attention, 1), 0.5 * class_attention(attention[0], 1)
    )
    np.testing.assert_allclose(
        attention_rollout(attention, 1, residual=0), class_attention(attention[0], 1)
    )


def test_rollout_follows_a_known_path() -> None:
    # The class token looks at patch 3 in the last layer, and patch 3 at patch 2 in the first.
    first, last = np.eye(5)[None, None].copy(), np.eye(5)[None, None].copy()
    first[0, 0, 4] = np.eye(5)[3]
    last[0, 0, 0] = np.eye(5)[4]
    rolled = attention_rollout([first, last], 1, residual=0)
    np.testing.assert_array_equal(rolled[0], [[0, 0], [1, 0]])


def test_rollout_is_the_product_of_the_layers_from_the_left() -> None:
    layers = random_attention(3, 5)
    mixed = [0.5 * layer.mean(axis=1) + 0.5 * np.eye(5) for layer in layers]
    expected = (mixed[2] @ mixed[1] @ mixed[0])[:, 0, 1:].reshape(3, 2, 2)
    np.testing.assert_allclose(attention_rollout(layers, 1), expected)


@pytest.mark.parametrize(
    ("shape", "prefix", "message"),
    [
        ((2, 5, 5), 1, "not \\(B, heads, N, N\\)"),
        ((2, 3, 5, 4), 1, "not \\(B, heads, N, N\\)"),
        ((2, 3, 6, 6), 1, "no square of patches"),
        ((2, 3, 1, 1), 1, "no square of patches"),
    ],
)
def test_what_is_no_attention_is_refused(shape: tuple, prefix: int, message: str) -> None:
    for function in (class_attention, lambda a, n: attention_rollout([a], n)):
        with pytest.raises(ModelError, match=message):
            function(np.ones(shape), prefix)


def test_rollout_needs_layers_that_fit() -> None:
    with pytest.raises(ModelError, match="at least one layer"):
        attention_rollout([], 1)
    with pytest.raises(ModelError, match="same number of tokens"):
        attention_rollout([np.ones((1, 1, 5, 5)), np.ones((1, 1, 10, 10))], 1)
    with pytest.raises(ModelError, match="residual"):
        attention_rollout([np.ones((1, 1, 5, 5))], 1, residual=1)
    with pytest.raises(ModelError, match="heads"):
        class_attention(np.ones((1, 1, 5, 5)), 1, heads="median")


def test_readers_choose_the_rows() -> None:
    attention = random_attention(1, 5)[0]
    patches = class_attention(attention, 1, readers=slice(1, None))
    np.testing.assert_allclose(patches.reshape(3, 4), attention[:, :, 1:, 1:].mean(axis=(1, 2)))
    layers = random_attention(2, 5)
    mixed = [0.5 * layer.mean(axis=1) + 0.5 * np.eye(5) for layer in layers]
    expected = (mixed[1] @ mixed[0])[:, 1:, 1:].mean(axis=1).reshape(3, 2, 2)
    np.testing.assert_allclose(attention_rollout(layers, 1, readers=slice(1, None)), expected)


def pooled(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    options = {"patch_size": 8, "width": 32, "depth": 2, "num_heads": 2, "pool": "mean"}
    model = create_model("vit_ti16", num_classes=2, in_channels=1, image_size=32, **options)
    with torch.no_grad():  # a fresh model hardly looks at anything
        for parameter in model.blocks.parameters():
            parameter *= 8.0 if parameter.ndim == 2 else 1.0
    return model.eval()


def test_maps_of_a_pooled_model_do_not_depend_on_its_class_token() -> None:
    """Its last layer's row is not trained: no map may show it."""
    model, images = pooled(), torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    assert reading_tokens(model, images) == slice(1, None)
    _, layers = capture_attention(model, images)
    (explained, _) = explain_images(model, images, ExplainSettings())
    assert explained.attention is not None
    assert explained.rollout is not None
    expected = layers[-1][0, :, 1:, 1:].mean(axis=1).reshape(2, 4, 4)
    np.testing.assert_allclose(explained.attention[-1], expected, rtol=1e-5)
    first = 0.5 * layers[0][0, :, 1:, 1:].mean(axis=(0, 1)) + 0.5 / 16
    np.testing.assert_allclose(explained.rollout[0].ravel(), first, rtol=1e-5)
    # what the class token of the last layer gives is no part of the relevance for the class
    relevance = gradient_weighted_attention(model, images)
    assert (relevance > 0).all()
    assert not np.allclose(relevance, class_attention(layers[-1], 1))


def test_erasing_darkens_what_the_head_does_not_read() -> None:
    model, images = pooled(), torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    found = iterative_erasing_prediction(
        model, images, rounds=1, confidence=1.0, kind="darken", keep_sequence=True
    )
    _, layers = capture_attention(model, images)
    seen = torch.from_numpy(class_attention(layers[-1], 1, readers=slice(1, None)))
    assert found.sequence is not None
    torch.testing.assert_close(found.sequence[1], darken(images, seen))
