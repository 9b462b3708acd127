"""Quantiles of every form of distribution against scipy, and the forms YAML may take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats as st

from darkarcs.errors import ConfigurationError
from darkarcs.scenes.distributions import Choice, LogUniform, Normal, Uniform, quantile
from darkarcs.scenes.priors import LensPrior, draw_columns
from darkarcs.scenes.streams import Streams
from small_scenes import scene

SHARE = np.linspace(0, 1, 41)[1:-1]


@pytest.mark.parametrize(
    ("distribution", "reference"),
    [
        (Uniform(uniform=(-2.0, 3.0)), st.uniform(-2, 5)),
        (LogUniform(log_uniform=(0.1, 20.0)), st.loguniform(0.1, 20)),
        (Normal(normal=(1.5, 0.3)), st.norm(1.5, 0.3)),
        (Normal(normal=(0.0, 0.5), between=(-0.2, 1.0)), st.truncnorm(-0.4, 2.0, 0, 0.5)),
        (Normal(normal=(0.0, 1.0), between=(-9.0, 0.3)), st.truncnorm(-9, 0.3)),
    ],
)
def test_quantiles_are_those_of_scipy(distribution: Any, reference: Any) -> None:
    np.testing.assert_allclose(quantile(distribution, SHARE), reference.ppf(SHARE), rtol=1e-9)


def test_ends_of_the_range_stay_inside() -> None:
    ends = np.array([0.0, np.nextafter(1.0, 0.0)])
    cut = quantile(Normal(normal=(0.0, 1.0), between=(-0.5, 0.5)), ends)
    assert cut[0] == pytest.approx(-0.5)
    assert abs(cut).max() <= 0.5
    assert np.isfinite(quantile(Normal(normal=(0.0, 1.0)), ends)).all()
    assert quantile(Choice(choice=(3.0, 4.0)), ends).tolist() == [3.0, 4.0]


def test_choices_are_alike_likely() -> None:
    numbers = quantile(Choice(choice=(1.0, 2.0, 5.0)), (np.arange(300) + 0.5) / 300)
    assert np.unique(numbers, return_counts=True)[1].tolist() == [100, 100, 100]


def test_draws_follow_their_distribution() -> None:
    prior = LensPrior.parse({"einstein_radius": {"log_uniform": [0.5, 2.0]}}, "test")
    streams = Streams(11, ("test",))
    drawn = draw_columns(prior, "lens", streams, np.arange(4000))["lens.einstein_radius"]
    assert st.kstest(drawn, st.loguniform(0.5, 2.0).cdf).pvalue > 1e-3
    # neighbours and equal places in neighbouring blocks are unrelated
    for step in (1, 64):
        assert abs(np.corrcoef(drawn[:-step], drawn[step:])[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"uniform": [2.0, 1.0]}, "must not exceed"),
        ({"log_uniform": [0.0, 1.0]}, "greater than 0"),
        ({"normal": [0.0, 0.0]}, "greater than 0"),
        ({"normal": [0.0, 1.0], "between": [1.0, -1.0]}, "must not exceed"),
        ({"choice": []}, "at least 1"),
        ({"gaussian": [0.0, 1.0]}, "must be a number, {uniform: [a, b]}"),
        ({"uniform": [0.0, 1.0], "normal": [0.0, 1.0]}, "lens.shear"),
        ("a lot", "must be a number"),
        (None, "must be a number"),
        (True, "must be a number"),
        ([0.0, 1.0], "lens.shear"),
        (float("nan"), "finite"),
        ({"uniform": [0.0, float("inf")]}, "finite"),
    ],
)
def test_a_wrong_form_is_one_line_that_names_the_key(value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        scene(lens={"einstein_radius": 1.0, "shear": value})
    message = str(error.value)
    assert "lens.shear" in message
    assert says in message
    assert "\n" not in message


def test_whole_numbers_are_numbers() -> None:
    whole = scene(lens={"einstein_radius": 1, "shear": 0, "slope": 2}, z_lens=1, z_source=2)
    exact = scene(lens={"einstein_radius": 1.0, "shear": 0.0, "slope": 2.0}, z_lens=1.0, z_source=2)
    assert whole.identity == exact.identity
    assert whole.draw(0, 0, 3).content_hash() == exact.draw(0, 0, 3).content_hash()


def test_a_far_cut_keeps_its_shape() -> None:
    """Draws beyond eight deviations, where 1 - cdf is lost to rounding."""
    for low, high in ((9.0, 30.0), (-30.0, -9.0)):
        far = Normal(normal=(0.0, 1.0), between=(low, high))
        expected = st.truncnorm(low, high).ppf(SHARE)
        np.testing.assert_allclose(quantile(far, SHARE), expected, rtol=1e-9)
