"""Noise: exact where counts are few, normal where they are many, within the stated bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest, norm, poisson

from darkarcs.errors import DataError
from darkarcs.instrument import NORMAL_ABOVE, draw_counts, draw_read_noise, normal_error_bound
from darkarcs.seeding import torch_generator


@pytest.mark.parametrize("mean", [NORMAL_ABOVE, 3e3, 1e5])
def test_rounded_normal_keeps_the_bound(mean: float) -> None:
    counts = np.arange(int(mean - 8 * mean**0.5), int(mean + 8 * mean**0.5))
    rounded = norm.cdf((counts + 0.5 - mean) / np.sqrt(mean))
    distance = np.abs(poisson.cdf(counts, mean) - rounded).max()
    assert distance < normal_error_bound(mean)
    # the docstring's figure for rounded counts
    assert distance * np.sqrt(mean) == pytest.approx(0.067, abs=0.002)


@pytest.mark.parametrize("mean", [0.3, 5.0, 40.0])
def test_few_counts_are_poisson(mean: float) -> None:
    expected = torch.full((40_000,), mean)
    # an image with many counts too takes the other branch
    expected[0] = 1e6
    counts = draw_counts(expected, torch_generator(1, "few"))[1:].numpy()
    edges = np.unique(poisson.ppf(np.linspace(0.02, 0.98, 12), mean))
    cumulative = np.append(poisson.cdf(edges, mean), 1.0)
    share = np.diff(np.append(0.0, cumulative))
    bins = np.searchsorted(edges, counts, side="left")
    observed = np.bincount(bins, minlength=len(share))
    assert chisquare(observed, share * len(counts)).pvalue > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_many_counts_are_normal_and_whole(dtype: torch.dtype) -> None:
    expected = torch.full((20_000,), 5e4, dtype=dtype)
    counts = draw_counts(expected, torch_generator(2, "many"))
    assert counts.dtype == dtype
    assert torch.equal(counts, counts.round())
    standard = (counts.double().numpy() - 5e4) / np.sqrt(5e4)
    assert kstest(standard, "norm").pvalue > 0.01


def test_both_sides_of_the_threshold_have_mean_and_variance() -> None:
    expected = torch.tensor([999.0, 1001.0], dtype=torch.float64).repeat(20_000, 1)
    counts = draw_counts(expected, torch_generator(3, "threshold"))
    for column, mean in enumerate((999.0, 1001.0)):
        drawn = counts[:, column]
        assert drawn.mean().item() == pytest.approx(mean, abs=4 * (mean / 20_000) ** 0.5)
        assert drawn.var().item() == pytest.approx(mean, rel=4 * (2 / 20_000) ** 0.5)


def test_the_generator_decides() -> None:
    expected = torch.logspace(-2, 5, 50)
    first, again, other = (draw_counts(expected, torch_generator(s, "counts")) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    exact = draw_counts(expected, torch_generator(1, "counts"), normal_above=float("inf"))
    assert torch.equal(exact, torch.poisson(expected, torch_generator(1, "counts")))


def test_zero_stays_zero_and_bad_means_are_refused() -> None:
    generator = torch_generator(4)
    assert draw_counts(torch.zeros(3), generator).tolist() == [0.0, 0.0, 0.0]
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match="finite and not negative"):
            draw_counts(torch.tensor([bad]), generator)


def test_read_noise() -> None:
    noise = draw_read_noise(torch.zeros(20_000, dtype=torch.float64), 4.2, torch_generator(5))
    assert kstest(noise.numpy() / 4.2, "norm").pvalue > 0.01
