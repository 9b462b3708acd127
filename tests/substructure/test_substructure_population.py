"""Where subhalos are and how they are built."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from scipy.integrate import quad
from scipy.stats import kstest

from darkarcs.errors import ConfigurationError
from darkarcs.seeding import numpy_generator
from darkarcs.substructure import (
    CoredNFW,
    DuffyConcentration,
    SubhaloMassFunction,
    SubhaloPopulation,
    UniformDisk,
    WarmDarkMatter,
    scale_radius,
    stack,
    truncated_mass,
    truncation_radius,
)

LENS = {
    "einstein_radius": 1.2,
    "kpc_per_arcsec": 6.1,
    "redshift": 0.5,
    "hubble": 0.7,
    "critical_density": 230.0,
}


def test_the_uniform_disk_is_uniform() -> None:
    disk = UniformDisk(max_radius=2.0, half_depth=4.0)
    random = numpy_generator(1, "disk")
    x, y, z = disk.draw(20_000, random, einstein_radius=1.5, kpc_per_arcsec=6.0)
    assert kstest(np.hypot(x, y), lambda r: (r / 3.0) ** 2).pvalue > 0.01
    assert kstest(np.arctan2(y, x), lambda a: (a + np.pi) / (2 * np.pi)).pvalue > 0.01
    assert kstest(z, lambda depth: (depth + 6) / 12).pvalue > 0.01
    assert disk.area(1.5) == pytest.approx(np.pi * 9)


def test_the_cored_halo_follows_its_density() -> None:
    halo = CoredNFW(scale_radius=20.0, core_radius=5.0, virial_radius=150.0, max_radius=5.0)
    random = numpy_generator(2, "halo")
    x, y, z = halo.draw(20_000, random, einstein_radius=1.0, kpc_per_arcsec=6.0)
    radius = np.hypot(x, y) * 6.0
    assert radius.max() <= 30
    assert np.sqrt(radius**2 + (6 * z) ** 2).max() <= 150

    def projected(r: float) -> float:
        def density(depth: float) -> float:
            return float(halo.number_density(np.array(np.hypot(r, depth))))

        core = np.sqrt(max(25.0 - r**2, 0.0))
        end = np.sqrt(150.0**2 - r**2)
        return quad(density, 0, core)[0] + quad(density, core, end, epsrel=1e-6, limit=200)[0]

    edges = np.linspace(0, 30, 61)
    weight = np.array([r * projected(r) for r in edges])
    cumulative = np.append(0, np.cumsum((weight[1:] + weight[:-1]) / 2))
    cumulative /= cumulative[-1]
    assert kstest(radius, lambda r: np.interp(r, edges, cumulative)).pvalue > 0.01
    # the two sides along the line of sight are alike, and the mean depth is that of the density
    assert abs(np.sign(z).mean()) < 4 / np.sqrt(len(z))


def test_concentrations() -> None:
    relation = DuffyConcentration()
    # the fit at its pivot and at redshift zero is its amplitude
    assert relation.mean(2e12 / 0.7, redshift=0.0, hubble=0.7).item() == pytest.approx(5.71)
    drawn = relation.draw(np.full(20_000, 1e9), numpy_generator(3), redshift=0.5, hubble=0.7)
    mean = relation.mean(1e9, redshift=0.5, hubble=0.7).item()
    assert kstest(np.log10(drawn / mean) / 0.15, "norm").pvalue > 0.01


def test_scale_radius_holds_the_mass() -> None:
    density = FlatLambdaCDM(70, 0.3).critical_density(0.5).to_value("Msun / kpc3")
    radius = 10 * scale_radius(1e9, 10.0, critical_density=density)
    assert float(200 * density * 4 / 3 * np.pi * radius**3) == pytest.approx(1e9)


@pytest.mark.parametrize("truncation", [0.3, 1.0, 5.0, 40.0])
def test_truncated_mass_is_the_integral_of_the_density(truncation: float) -> None:
    def shell(x: float) -> float:
        return x / (1 + x) ** 2 * truncation**2 / (truncation**2 + x**2)

    value = quad(shell, 0, 1)[0] + quad(shell, 1, np.inf)[0]
    norm = np.log1p(10.0) - 10 / 11
    assert truncated_mass(1.0, 10.0, truncation).item() == pytest.approx(value / norm, rel=1e-6)


def test_truncation_radius_scales_as_published() -> None:
    assert truncation_radius(8e7, 50.0).item() == pytest.approx(2.8)
    assert truncation_radius(1e7, 400.0).item() == pytest.approx(5.6)


@pytest.mark.parametrize("warm", [None, WarmDarkMatter(half_mode_mass=1e8)])
def test_a_population(warm: WarmDarkMatter | None) -> None:
    function = SubhaloMassFunction(normalization=1.0, min_mass=1e7)
    population = SubhaloPopulation(mass_function=function, positions=CoredNFW(), warm=warm)
    first = population.draw(numpy_generator(5, "lens", 0), **LENS)
    again = population.draw(numpy_generator(5, "lens", 0), **LENS)
    np.testing.assert_array_equal(first.mass, again.mass)
    np.testing.assert_array_equal(first.truncation_radius, again.truncation_radius)
    fixed = population.draw(numpy_generator(5, "lens", 1), **LENS, num=7)
    assert len(fixed.mass) == 7
    assert (fixed.bound_mass > 0).all()
    empty = population.draw(numpy_generator(5, "lens", 2), **LENS, num=0)
    batch = stack([first, fixed, empty])
    assert batch.mass.shape == (3, max(len(first.mass), 7))
    assert (batch.mass[1, 7:] == 0).all()
    assert (batch.bound_mass[2] == 0).all()
    assert (batch.scale_radius > 0).all()
    np.testing.assert_array_equal(batch.x[1, :7], fixed.x)


def test_positions_are_chosen_by_kind() -> None:
    values = {"mass_function": {"normalization": 1.0}, "positions": {"kind": "cored_nfw"}}
    assert isinstance(SubhaloPopulation.parse(values, "here").positions, CoredNFW)
    values["positions"] = {"kind": "cored_nfw", "core_radius": 500.0}
    with pytest.raises(ConfigurationError, match="core_radius must lie below"):
        SubhaloPopulation.parse(values, "here")
