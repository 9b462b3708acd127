"""Which patches go, how many, and which stay as hints."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from darkarcs.objectives.erasing.schedule import erased_counts, merged_weights
from darkarcs.objectives.erasing.selection import (
    draw_directions,
    draw_hints,
    grow_mask,
    order_scores,
)
from darkarcs.seeding import torch_generator

EVEN = (1.0, 1.0, 1.0)


def attention(num_images: int = 3, num_patches: int = 16) -> Tensor:
    return torch.rand(num_images, num_patches, generator=torch_generator(1)).softmax(dim=1)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.9])
@pytest.mark.parametrize("cap", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.3, 1.0])
def test_counts_grow_and_keep_the_cap(share: float, cap: float, progress: float) -> None:
    counts = erased_counts(
        64, 4, erased_share=share, max_erased=cap, anneal_in=0.2, progress=progress
    )
    assert len(counts) == 4
    assert counts[0] >= 1
    assert counts[-1] <= cap * 64
    assert list(counts) == sorted(counts)


def test_one_pass_stands_for_rounds_that_erase_the_same() -> None:
    counts = erased_counts(64, 3, erased_share=0.2, max_erased=0.5, anneal_in=0.2, progress=0.0)
    assert merged_weights([2.0, 0.0, 0.0, 1.0], counts) == [2.0, 1.0]
    assert merged_weights([1.0, 3.0, 5.0], (4, 9)) == [1.0, 3.0, 5.0]
    assert merged_weights([1.0], ()) == [1.0]


def test_area_anneals_in_linearly() -> None:
    def last(progress: float) -> int:
        setting = {"erased_share": 0.25, "max_erased": 0.75, "anneal_in": 0.5}
        return erased_counts(100, 2, progress=progress, **setting)[-1]

    assert [last(p) for p in (0.0, 0.1, 0.25, 0.5, 1.0)] == [1, 10, 25, 50, 50]
    assert erased_counts(64, 0, erased_share=0.2, max_erased=0.5) == ()


@pytest.mark.parametrize("strategy", ["most_attended", "least_attended"])
def test_without_noise_the_order_is_that_of_attention(strategy: str) -> None:
    generator = torch_generator(0)
    directions = draw_directions(strategy, EVEN, 3, generator)
    scores = order_scores(attention(), directions, 16, 0.0, generator)
    expected = attention().argsort(dim=1, descending=strategy == "most_attended")
    assert torch.equal(scores.argsort(dim=1, descending=True), expected)


def test_noise_of_one_draws_with_odds_of_the_attention() -> None:
    odds = torch.tensor([0.5, 0.3, 0.2])
    many, generator = odds.expand(20_000, 3), torch_generator(3)
    scores = order_scores(many, torch.ones(len(many)), 3, 1.0, generator)
    first = torch.bincount(scores.argmax(dim=1), minlength=3) / len(many)
    assert torch.allclose(first, odds, atol=4 * (0.25 / len(many)) ** 0.5)


def test_random_order_knows_nothing_of_attention() -> None:
    many = torch.tensor([0.9, 0.1]).expand(20_000, 2)
    scores = order_scores(many, torch.zeros(len(many)), 2, 0.0, torch_generator(3))
    assert float((scores.argmax(dim=1) == 0).float().mean()) == pytest.approx(0.5, abs=0.015)


def test_mixture_draws_each_direction_by_its_odds() -> None:
    directions = draw_directions("mixed", (2.0, 1.0, 1.0), 20_000, torch_generator(0))
    shares = [float((directions == value).float().mean()) for value in (0, 1, -1)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.015)
    assert set(draw_directions("mixed", (0, 0, 1), 50, torch_generator(0)).tolist()) == {-1.0}


def test_ties_are_broken_at_random_and_not_by_position() -> None:
    flat = torch.full((2000, 4), 0.25)
    scores = order_scores(flat, torch.ones(2000), 4, 0.0, torch_generator(0))
    counts = torch.bincount(scores.argmax(dim=1), minlength=4)
    assert counts.min() > 400


def test_masks_grow_and_have_equal_counts() -> None:
    generator = torch_generator(0)
    erased = torch.zeros(3, 16, dtype=torch.bool)
    for count in (2, 5, 11):
        scores = torch.rand(3, 16, generator=generator)
        grown = grow_mask(erased, scores, torch.zeros_like(erased), count)
        assert bool((grown | ~erased).all())
        assert grown.sum(dim=1).tolist() == [count] * 3
        erased = grown


def test_hints_are_among_the_most_attended_and_never_go() -> None:
    directions = torch.tensor([1.0, -1.0, 0.0])
    hints = draw_hints(attention(), directions, 16, 8, 0.25, torch_generator(0))
    assert hints.sum(dim=1).tolist() == [2, 0, 0]
    top = attention()[0].topk(8).indices.tolist()
    assert set(hints[0].nonzero().flatten().tolist()) <= set(top)
    nothing = torch.zeros(3, 16, dtype=torch.bool)
    scores = order_scores(attention(), directions, 16, 0.0, torch_generator(1))
    erased = grow_mask(nothing, scores, hints, 8)
    assert not bool((erased & hints).any())
    assert erased.sum(dim=1).tolist() == [8] * 3


def test_draws_are_a_function_of_the_generator() -> None:
    def draw(seed: int) -> Tensor:
        generator = torch_generator(seed)
        directions = draw_directions("mixed", EVEN, 3, generator)
        hints = draw_hints(attention(), directions, 16, 8, 0.5, generator)
        return order_scores(attention(), directions, 16, 0.5, generator) + 100 * hints

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
