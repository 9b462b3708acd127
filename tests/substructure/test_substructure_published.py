"""The published populations, fault by fault."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from scipy.stats import kstest

from darkarcs.errors import ConfigurationError
from darkarcs.seeding import numpy_generator
from darkarcs.substructure import CondensateString, PublishedPointMasses, published_mass_factor


def _draw(settings: PublishedPointMasses, lenses: int = 400) -> tuple[np.ndarray, ...]:
    drawn = [settings.draw(numpy_generator(1, "published", i)) for i in range(lenses)]
    counts = np.array([len(masses.mass) for masses in drawn])
    columns = (np.concatenate([getattr(m, name) for m in drawn]) for name in ("mass", "x", "y"))
    return counts, *columns


def test_the_point_masses_of_the_code() -> None:
    counts, mass, x, y = _draw(PublishedPointMasses())
    assert (counts == 25).all()
    # the code's own inverse: masses to the power 0.1 are uniform
    power = mass**0.1
    assert kstest(power, lambda p: (p - 1e6**0.1) / (1e10**0.1 - 1e6**0.1)).pvalue > 0.01
    radius = np.hypot(x, y)
    assert kstest(radius, lambda r: (r - 0.25) / 1.75).pvalue > 0.01
    # physics.md: 3.8e10 solar masses in a lens
    assert 25 * mass.mean() == pytest.approx(3.8e10, rel=0.05)
    assert PublishedPointMasses().mass_function.expected_number() == pytest.approx(25)


def test_each_fault_has_a_switch() -> None:
    counts, _, _, _ = _draw(PublishedPointMasses(poisson_number=True))
    assert counts.mean() == pytest.approx(25, abs=1)
    assert counts.var() == pytest.approx(25, abs=7.5)
    natural = PublishedPointMasses(natural_slope=True)
    assert natural.mass_function.expected_mass() == pytest.approx(3.4e8, rel=0.05)
    _, _, x, y = _draw(PublishedPointMasses(uniform_area=True))
    uniform = (x**2 + y**2 - 0.25**2) / (4 - 0.25**2)
    assert kstest(uniform, "uniform").pvalue > 0.01


def test_the_rod_of_the_code() -> None:
    rods = [CondensateString().draw(numpy_generator(2, "rod", i)) for i in range(300)]
    for rod in rods[:20]:
        half = 0.06 / (2 * 10 ** rod.parameters["log10_axion_mass"] / 1e-22)
        along = np.linspace(-half, half, 100)
        np.testing.assert_allclose(rod.x, along * np.cos(rod.parameters["angle"]), atol=1e-12)
        np.testing.assert_allclose(rod.y, along * np.sin(rod.parameters["angle"]), atol=1e-12)
        np.testing.assert_array_equal(rod.mass, np.full(100, 3e8))
    logs = [rod.parameters["log10_axion_mass"] for rod in rods]
    assert kstest(np.array(logs), lambda m: (m + 24) / 2).pvalue > 0.01


def test_switches_of_the_rod_leave_the_other_draws_alone() -> None:
    plain = CondensateString().draw(numpy_generator(3, "rod"))
    honest = CondensateString(random_mass=True, random_position=True, max_offset=1.0)
    moved = honest.draw(numpy_generator(3, "rod"))
    assert moved.parameters["angle"] == plain.parameters["angle"]
    assert 1e9 <= moved.parameters["total_mass"] <= 3e10
    assert np.hypot(moved.x.mean(), moved.y.mean()) <= 1.0
    np.testing.assert_allclose(moved.x - moved.x.mean(), plain.x, atol=1e-12)


def test_published_distances_weaken_masses() -> None:
    cosmology = FlatLambdaCDM(70, 0.3, Ob0=0.05)
    lens, source = cosmology.comoving_distance([0.5, 1.0]).value
    factor = published_mass_factor(
        z_lens=0.5,
        z_source=1.0,
        distance_lens=lens / 1.5,
        distance_source=source / 2,
        distance_lens_source=(source - lens) / 2,
    )
    assert factor == pytest.approx(0.593, abs=5e-4)


def test_bad_values_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="below its maximum"):
        PublishedPointMasses.parse({"min_radius": 3.0}, "here")
    with pytest.raises(ConfigurationError, match="min_total_mass"):
        CondensateString.parse({"random_mass": True, "min_total_mass": 1e11}, "here")
