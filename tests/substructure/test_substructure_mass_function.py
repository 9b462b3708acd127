"""Mass functions: integrals against quadrature, draws against the analytic distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from darkarcs.errors import ConfigurationError
from darkarcs.seeding import numpy_generator
from darkarcs.substructure import SubhaloMassFunction, WarmDarkMatter, half_mode_mass

SLOPES = [-1.9, -0.9, -1.0, -2.0, -1.999999]


def _integral(function: SubhaloMassFunction, power: int, low: float, high: float) -> float:
    value, _ = quad(
        lambda log: np.exp(log * (power + 1)) * float(function.number_density(np.exp(log))),
        np.log(low) + 1e-12,
        np.log(high) - 1e-12,
        epsrel=1e-10,
    )
    return float(value)


@pytest.mark.parametrize("slope", SLOPES)
def test_number_and_mass_are_the_integrals(slope: float) -> None:
    function = SubhaloMassFunction(normalization=3.0, slope=slope, pivot_mass=3e7)
    assert function.expected_number() == pytest.approx(_integral(function, 0, 1e6, 1e10), rel=1e-8)
    assert function.expected_mass() == pytest.approx(_integral(function, 1, 1e6, 1e10), rel=1e-8)
    assert function.expected_mass(1e8, 1e9) == pytest.approx(_integral(function, 1, 1e8, 1e9))
    parts = function.expected_number(high=1e8) + function.expected_number(low=1e8)
    assert parts == pytest.approx(function.expected_number())


def test_normalization_is_the_number_per_unit_of_log_mass_at_the_pivot() -> None:
    function = SubhaloMassFunction(normalization=3.0, pivot_mass=1e8)
    assert float(1e8 * function.number_density(1e8)) == pytest.approx(3.0)
    assert function.number_density([1e5, 1e11]).tolist() == [0.0, 0.0]
    assert function.expected_number(1e11, 1e12) == 0.0


@pytest.mark.parametrize("slope", SLOPES)
def test_masses_follow_the_distribution(slope: float) -> None:
    function = SubhaloMassFunction(normalization=1.0, slope=slope)
    mass = function.draw_masses(20_000, numpy_generator(1, "mass"))
    assert kstest(mass, function.cumulative).pvalue > 0.01
    assert mass.min() >= function.min_mass
    assert mass.max() <= function.max_mass
    share = np.linspace(0, 1, 11)
    np.testing.assert_allclose(function.cumulative(function.quantile(share)), share, atol=1e-12)


def test_numbers_are_poisson() -> None:
    function = SubhaloMassFunction(normalization=0.3)
    random = numpy_generator(2, "number")
    numbers = np.array([function.draw_number(random) for _ in range(4000)])
    mean = function.expected_number()
    assert numbers.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / 4000))
    assert numbers.var() / mean == pytest.approx(1.0, abs=4 * np.sqrt(2 / 4000))


def test_warm_masses_follow_the_suppressed_distribution() -> None:
    function = SubhaloMassFunction(normalization=1.0)
    warm = WarmDarkMatter(half_mode_mass=1e8)
    logs = np.linspace(np.log(1e6), np.log(1e10), 4001)
    density = np.exp(logs) * function.number_density(np.exp(logs)) * warm.suppression(np.exp(logs))
    cumulative = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2))
    cumulative /= cumulative[-1]
    mass = warm.draw_masses(function, 5000, numpy_generator(3, "warm"))
    assert len(mass) == 5000
    assert kstest(mass, lambda m: np.interp(np.log(m), logs, cumulative)).pvalue > 0.01
    # thinning a cold population gives the same
    cold = function.draw_masses(40_000, numpy_generator(4, "cold"))
    thinned = cold[warm.survives(cold, numpy_generator(5, "thin"))]
    assert kstest(thinned, lambda m: np.interp(np.log(m), logs, cumulative)).pvalue > 0.01


def test_warm_suppression_has_the_published_values() -> None:
    warm = WarmDarkMatter(half_mode_mass=1e8)
    assert float(warm.suppression(1e8)) == pytest.approx((1 + 4.2**2.5) ** -0.2)
    assert float(warm.suppression(1e12)) == pytest.approx(1.0, abs=1e-6)
    assert float(warm.concentration_ratio(1e8, 0.0)) == pytest.approx(61**-0.17)
    assert half_mode_mass(6.0) == pytest.approx(5e8 * 2 ** (-10 / 3))


def test_bad_values_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="must lie below max_mass"):
        SubhaloMassFunction.parse({"normalization": 1.0, "min_mass": 1e11}, "here")
    with pytest.raises(ConfigurationError, match="did you mean 'slope'"):
        SubhaloMassFunction.parse({"normalization": 1.0, "slop": -2}, "here")
    function = SubhaloMassFunction(normalization=1.0, max_mass=1.1e6)
    with pytest.raises(ConfigurationError, match="nearly no subhalo"):
        WarmDarkMatter(half_mode_mass=1e25).draw_masses(function, 1, numpy_generator(0))
