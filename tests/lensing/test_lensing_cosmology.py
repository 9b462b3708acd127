"""Distances and densities against their integrals and the figures that are quoted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from scipy.integrate import quad

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import cosmology

LIGHT_SPEED = 299792.458  # km/s
SUN = 4.30091727e-9  # G in Mpc (km/s)^2 per solar mass


def comoving(redshift: float) -> float:
    """Integral of c / H in Mpc for H0 = 70, Om0 = 0.3."""
    return (
        LIGHT_SPEED / 70 * quad(lambda z: 1 / math.sqrt(0.3 * (1 + z) ** 3 + 0.7), 0, redshift)[0]
    )


@pytest.mark.parametrize("redshift", [0.1, 0.5, 2.0])
def test_distance_is_the_integral(redshift: float) -> None:
    expected = comoving(redshift) / (1 + redshift)
    assert float(cosmology.angular_diameter_distance(redshift)) == pytest.approx(expected, rel=1e-8)


def test_distance_between_is_not_a_difference_of_angular_diameter_distances() -> None:
    between = float(cosmology.distance_between(0.5, 1.0))
    assert between == pytest.approx((comoving(1.0) - comoving(0.5)) / 2, rel=1e-8)
    difference = cosmology.angular_diameter_distance([0.5, 1.0])
    assert between > 1.5 * (difference[1] - difference[0])


def test_einstein_radius_is_the_one_quoted() -> None:
    """1e12 solar masses from z = 0.5 onto z = 1 make 1.66 arcsec; the published code has 1.28."""
    assert float(cosmology.einstein_radius(1e12, 0.5, 1.0)) == pytest.approx(1.66, abs=5e-3)
    to_lens, to_source = comoving(0.5) * 1.5, comoving(1.0) * 2  # luminosity distances
    wrong = math.sqrt(
        4 * SUN * 1e12 / LIGHT_SPEED**2 * (to_source - to_lens) / (to_lens * to_source)
    )
    assert math.degrees(wrong) * 3600 == pytest.approx(1.28, abs=5e-3)


def test_einstein_radius_holds_its_mass_at_the_critical_density() -> None:
    radius = cosmology.einstein_radius([1e8, 1e12], 0.5, [1.0, 2.0])
    density = cosmology.critical_surface_density(0.5, [1.0, 2.0])
    np.testing.assert_allclose(math.pi * radius**2 * density, [1e8, 1e12], rtol=1e-12)


def test_critical_surface_density_is_the_formula() -> None:
    to_lens, to_source = comoving(0.5) / 1.5, comoving(1.0) / 2
    between = (comoving(1.0) - comoving(0.5)) / 2
    per_mpc2 = LIGHT_SPEED**2 / (4 * math.pi * SUN) * to_source / (to_lens * between)
    expected = per_mpc2 * (to_lens * math.radians(1 / 3600)) ** 2
    ours = float(cosmology.critical_surface_density(0.5, 1.0))
    assert ours == pytest.approx(expected, rel=1e-6)


def test_critical_density_is_the_formula() -> None:
    hubble2 = 70**2 * (0.3 * 1.5**3 + 0.7)
    ours = float(cosmology.critical_density(0.5))
    assert ours == pytest.approx(3 * hubble2 / (8 * math.pi * SUN), rel=1e-6)


def test_another_cosmology_can_be_given() -> None:
    other = FlatLambdaCDM(H0=35.0, Om0=0.3)
    np.testing.assert_allclose(
        cosmology.distance_between(0.2, 0.9, cosmology=other),
        2 * cosmology.distance_between(0.2, 0.9),
        rtol=1e-6,
    )


def test_plane_distances_agree_with_the_pairs() -> None:
    redshifts = [0.2, 0.5, 0.5, 0.9, 1.5]
    to_planes, between = cosmology.plane_distances(redshifts[:-1], 1.5)
    np.testing.assert_allclose(to_planes, cosmology.angular_diameter_distance(redshifts))
    for i in range(5):
        for j in range(5):
            expected = cosmology.distance_between(redshifts[i], redshifts[j]) if j > i else 0
            np.testing.assert_allclose(between[i, j], expected)
    assert between[1, 2] == 0  # the planes coincide


def test_sources_in_front_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="front"):
        cosmology.distance_between([0.5, 0.5], [0.6, 0.4])
    with pytest.raises(ConfigurationError, match="plane"):
        cosmology.einstein_radius(1e12, 0.5, 0.5)
    with pytest.raises(ConfigurationError, match="near to far"):
        cosmology.plane_distances([0.5, 0.3], 1.0)
    with pytest.raises(ConfigurationError, match="behind"):
        cosmology.plane_distances([0.5, 1.0], 1.0)
