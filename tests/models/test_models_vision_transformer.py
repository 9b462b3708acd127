"""The vision transformer: masks, captures, sizes, tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from darkarcs.errors import ConfigurationError, ModelError
from darkarcs.models import TransformerArchitecture, VisionTransformer
from darkarcs.models.position_embedding import resize_position_embedding
from darkarcs.models.transformer_block import StochasticDepth


def tiny(image_size: int = 32, **fields: Any) -> VisionTransformer:
    torch.manual_seed(1)
    shape = {"patch_size": 8, "width": 16, "depth": 3, "num_heads": 2, **fields}
    architecture = TransformerArchitecture.parse(shape, "test")
    return VisionTransformer(architecture, num_classes=3, image_size=image_size).eval()


def images(size: int = 32, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(5))


def test_one_model_at_two_sizes_and_oblong() -> None:
    model = tiny()
    smooth = torch.nn.functional.interpolate(images(8), (64, 64), mode="bicubic")
    small = torch.nn.functional.interpolate(smooth, (32, 32), mode="area")
    assert model(small, capture="patch_tokens").captured["patch_tokens"].shape[1] == 16
    assert model(smooth, capture="patch_tokens").captured["patch_tokens"].shape[1] == 64
    assert model(smooth[..., :40]).logits.shape == (2, 3)


def test_position_embeddings_keep_a_linear_ramp() -> None:
    ramp = torch.linspace(0, 1, 8).repeat(8, 1)  # (8, 8), grows with the column
    positions = torch.cat([torch.full((1, 1, 1), 7.0), ramp.reshape(1, 64, 1)], dim=1)
    resized = resize_position_embedding(positions, (8, 8), (16, 16), num_prefix=1)
    assert resized[0, 0, 0] == 7.0
    grid = resized[0, 1:, 0].reshape(16, 16)
    assert torch.allclose(grid, grid[:1].expand(16, 16), atol=1e-6)
    assert (grid[0, 1:] > grid[0, :-1] - 0.02).all()
    assert resize_position_embedding(positions, (8, 8), (8, 8), num_prefix=1) is positions


@pytest.mark.parametrize("stem", ["plain", "convolutional"])
@pytest.mark.parametrize("erased", ["mask_token", "skip"])
def test_erased_patches_have_no_influence(stem: str, erased: Any) -> None:
    model = tiny(stem=stem, pool="mean")
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[0, [0, 5]] = True
    mask[1, [3, 15]] = True
    clean = images()
    pixels = mask.view(2, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    spoilt = torch.where(pixels, torch.full_like(clean, 9.0), clean)
    expected = model(clean, patch_mask=mask, erased=erased).logits
    assert torch.equal(model(spoilt, patch_mask=mask, erased=erased).logits, expected)
    assert not torch.allclose(model(clean).logits, expected)


def test_mask_token_stands_at_the_erased_positions() -> None:
    model = tiny(depth=1)
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[:, 6] = True
    plain, masked = model.embed(images()), model.embed(images(), mask)
    changed = (plain != masked).any(dim=-1)
    assert changed.nonzero()[:, 1].tolist() == [7, 7]  # one class token comes first
    torch.testing.assert_close(masked[0, 7], (model.mask_token + model.pos_embed[:, 7])[0, 0])
    nothing = torch.zeros_like(mask)
    assert torch.equal(model.embed(images(), nothing), plain)


def test_skipping_shortens_the_sequence_and_keeps_the_order() -> None:
    model = tiny(num_registers=2)
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[0, [0, 5]] = True
    mask[1, [3, 15]] = True
    whole, kept = model.embed(images()), model.embed(images(), mask, "skip")
    assert kept.shape == (2, 3 + 14, 16)
    for row in range(2):
        assert torch.equal(kept[row, 3:], whole[row, 3:][~mask[row]])
    attention = model(images(), mask, ("attention.0",), erased="skip").captured["attention.0"]
    assert attention.shape == (2, 2, 17, 17)
    mask[0, 1] = True
    with pytest.raises(ModelError, match="same number"):
        model(images(), mask, erased="skip")
    with pytest.raises(ModelError, match="at least one"):
        model(images(), torch.ones_like(mask), erased="skip")


@pytest.mark.parametrize(
    "mask",
    [torch.zeros(2, 15, dtype=torch.bool), torch.zeros(2, 16), torch.zeros(16, dtype=torch.bool)],
)
def test_a_mask_that_does_not_fit_is_refused(mask: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"bool of shape \(2, 16\)"):
        tiny()(images(), patch_mask=mask)


def test_captures_are_what_the_layers_compute() -> None:
    model = tiny()
    names = ("hidden", "query.1", "key.1", "value.1", "attention.1", "attention.-2", "patch_tokens")
    captured = model(images(), capture=names).captured
    assert set(captured) == {"hidden.0", "hidden.1", "hidden.2", *names[1:]}
    assert captured["attention.1"] is captured["attention.-2"]
    assert captured["hidden.0"].shape == (2, 17, 16)
    assert captured["query.1"].shape == (2, 2, 17, 8)
    block = model.blocks[1]
    qkv = block.attn.qkv(block.norm1(captured["hidden.0"])).view(2, 17, 3, 2, 8)
    for index, kind in enumerate(("query", "key", "value")):
        torch.testing.assert_close(captured[f"{kind}.1"], qkv[:, :, index].transpose(1, 2))
    scores = captured["query.1"] @ captured["key.1"].transpose(-2, -1) / 8**0.5
    torch.testing.assert_close(captured["attention.1"], scores.softmax(-1))
    torch.testing.assert_close(captured["patch_tokens"], model.norm(captured["hidden.2"])[:, 1:])


def test_gradients_reach_captured_attention() -> None:
    output = tiny()(images(), capture=("attention.-1",))
    attention = output.captured["attention.-1"]
    (gradient,) = torch.autograd.grad(output.logits[:, 0].sum(), attention)
    assert gradient.shape == attention.shape
    assert gradient[:, :, 0].abs().sum() > 0  # the row of the class token


@pytest.mark.parametrize("name", ["hidden.3", "hidden.-4", "hidden.x", "attn.0", "patch_tokens.0"])
def test_unknown_captures_list_what_exists(name: str) -> None:
    with pytest.raises(ModelError, match=r"hidden\.0\.\.2.*patch_tokens"):
        tiny()(images(), capture=(name,))


def test_prefix_tokens_and_both_heads() -> None:
    model = tiny(distillation_token=True, num_registers=4)
    assert model.num_prefix_tokens == 6
    assert model.pos_embed.shape == (1, 22, 16)
    with torch.no_grad():
        model.head_dist.weight.normal_()
    trained, evaluated = model.train()(images()), model.eval()(images())
    assert trained.distillation_logits is not None
    mean = (trained.logits + trained.distillation_logits) / 2
    torch.testing.assert_close(evaluated.logits, mean)
    assert len(model.heads) == 2


def test_tokens_without_positions() -> None:
    model = tiny(prefix_positions=False)
    assert model.pos_embed.shape == (1, 16, 16)
    embedded = model.embed(images())
    assert torch.equal(embedded[0, 0], model.cls_token[0, 0])


def test_a_model_without_class_token() -> None:
    model = tiny(class_token=False, pool="mean")
    assert model.num_prefix_tokens == 0
    assert model(images()).logits.shape == (2, 3)
    with pytest.raises(ConfigurationError, match="needs class_token"):
        tiny(class_token=False)


def test_stochastic_depth_keeps_the_mean_and_rests_in_evaluation() -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    kept = layer(torch.ones(4000, 2, 3))
    assert kept.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert abs(kept.mean().item() - 1) < 0.05
    assert torch.equal(layer.eval()(torch.ones(4, 2, 3)), torch.ones(4, 2, 3))
    rates = [block.drop_path.rate for block in tiny(stochastic_depth=0.2).blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2])


def test_layer_scale_starts_at_its_value() -> None:
    model = tiny(layer_scale=1e-4)
    assert model.blocks[2].ls1.gamma.tolist() == pytest.approx([1e-4] * 16)


@pytest.mark.parametrize("patch_size", [8, 12, 15, 16])
def test_stems_of_any_stride_keep_the_grid(patch_size: int) -> None:
    model = tiny(image_size=4 * patch_size, patch_size=patch_size, stem="convolutional")
    assert model.num_patches == 16
    assert model(images(4 * patch_size)).logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch_size": 7}, "cannot be cut into patches of 7"),
        ({"patch_size": 11, "image_size": 33, "stem": "convolutional"}, "product of 2, 3, 5 and 7"),
        ({"image_size": 4}, "cannot be cut"),
    ],
)
def test_sizes_that_do_not_fit(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tiny(**fields)


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigurationError, match="not a multiple of num_heads"):
        tiny(num_heads=3)
    with pytest.raises(ConfigurationError, match="did you mean 'num_heads'"):
        tiny(num_head=3)
