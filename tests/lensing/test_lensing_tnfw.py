"""The truncated NFW halo: its limit, its mass, its parameters from a mass."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from darkarcs.lensing import cosmology, halo_masses, nfw_shapes, tnfw

RADII = torch.logspace(-3, 2, 60, dtype=torch.float64)
HALO = {"scale_radius": 0.8, "scale_deflection": 0.3}


def arc(x: float) -> float:
    """F as the literature writes it, with its three cases."""
    if x < 1:
        return math.acosh(1 / x) / math.sqrt(1 - x * x)
    return math.acos(1 / x) / math.sqrt(x * x - 1) if x > 1 else 1.0


def test_without_truncation_it_is_the_nfw_halo() -> None:
    halo = HALO | {"truncation_radius": 1e9}
    kappa_s = 0.3 / (4 * 0.8 * (1 - math.log(2)))
    x = [float(radius) / 0.8 for radius in RADII]
    expected = {
        "convergence": [2 * kappa_s * (1 - arc(v)) / (v * v - 1) for v in x],
        "deflection": [4 * kappa_s * 0.8 * (math.log(v / 2) + arc(v)) / v for v in x],
        "potential": [
            2 * kappa_s * 0.64 * (math.log(v / 2) ** 2 + (v * v - 1) * arc(v) ** 2) for v in x
        ],
    }
    zero = torch.zeros_like(RADII)
    ours = {
        "convergence": tnfw.convergence(RADII, zero, **halo),
        "deflection": tnfw.deflection(RADII, zero, **halo)[0],
        "potential": tnfw.potential(RADII, zero, **halo),
    }
    for name, values in expected.items():
        torch.testing.assert_close(
            ours[name], torch.tensor(values, dtype=torch.float64), rtol=1e-8, atol=0
        )


def test_scale_deflection_is_that_of_the_untruncated_halo_at_its_scale() -> None:
    point = torch.tensor([0.8], dtype=torch.float64)
    alpha, _ = tnfw.deflection(point, 0 * point, **HALO, truncation_radius=1e9)
    assert alpha.item() == pytest.approx(0.3, rel=1e-12)
    truncated, _ = tnfw.deflection(point, 0 * point, **HALO, truncation_radius=2.0)
    assert truncated < alpha


@pytest.mark.parametrize("tau", [0.3, 1.0, 10.0])
def test_convergence_is_the_projected_density(tau: float) -> None:
    """By numerical integration of the density in space along the line of sight."""
    x = 0.7
    integral = (
        2
        * quad(
            lambda z: (
                1
                / (math.hypot(x, z) * (1 + math.hypot(x, z)) ** 2)
                * tau**2
                / (x * x + z * z + tau**2)
            ),
            0,
            np.inf,
        )[0]
    )
    point = torch.tensor([x], dtype=torch.float64)
    deflection = 4 * (1 - math.log(2))  # kappa_s = 1
    ours = tnfw.convergence(
        point, 0 * point, scale_radius=1.0, scale_deflection=deflection, truncation_radius=tau
    )
    assert ours.item() == pytest.approx(integral, rel=1e-7)


@pytest.mark.parametrize("truncation", [0.1, 0.8, 5.0])
def test_total_mass_is_what_the_deflection_far_out_says(truncation: float) -> None:
    far = torch.tensor([1e6], dtype=torch.float64)
    alpha, _ = tnfw.deflection(far, 0 * far, **HALO, truncation_radius=truncation)
    mass = halo_masses.total_mass(
        torch.tensor(0.8, dtype=torch.float64), 0.3, truncation, critical_surface_density=2.0
    )
    assert mass.item() == pytest.approx((2.0 * math.pi * far * alpha).item(), rel=1e-5)


def test_from_mass_puts_the_mass_inside_r200() -> None:
    """The mass of the density in space inside r_200, with the values as they come out."""
    mass, concentration = torch.tensor([1e7, 1e9, 1e11], dtype=torch.float64), 12.0
    sigma = float(cosmology.critical_surface_density(0.5, 1.0))
    distance = float(cosmology.angular_diameter_distance(0.5))
    density = float(cosmology.critical_density(0.5))
    radius, deflection = halo_masses.from_mass(
        mass,
        concentration,
        distance=distance,
        critical_density=density,
        critical_surface_density=sigma,
    )
    r200 = radius * concentration * distance * math.pi / 180 / 3600  # Mpc
    torch.testing.assert_close(4 / 3 * math.pi * r200**3 * 200 * density, mass)
    kappa_s = deflection / (4 * radius * (1 - math.log(2)))
    # 4 pi r^2 rho, with rho_s = kappa_s Sigma_cr / r_s
    inside = [
        4 * math.pi * k * sigma * quad(lambda r, s=s: r / (1 + r / s) ** 2, 0, concentration * s)[0]
        for k, s in zip(kappa_s.tolist(), radius.tolist(), strict=True)
    ]
    torch.testing.assert_close(torch.tensor(inside, dtype=torch.float64), mass)


def test_from_mass_is_differentiable() -> None:
    mass = torch.tensor(1e9, dtype=torch.float64, requires_grad=True)
    radius, deflection = halo_masses.from_mass(
        mass, 15.0, distance=1200.0, critical_density=2e11, critical_surface_density=1e11
    )
    for value, power in ((radius, 1 / 3), (deflection, 2 / 3)):
        slope = torch.autograd.grad(torch.log(value), mass, retain_graph=True)[0] * mass
        assert slope.item() == pytest.approx(power)


def test_total_deflection_is_the_sum() -> None:
    generator = torch.Generator().manual_seed(1)
    radius, angle, cut, x, y = torch.rand(5, 2, 4, generator=generator, dtype=torch.float64) + 0.1
    theta = torch.rand(2, 2, 5, 5, generator=generator, dtype=torch.float64)
    names = ("scale_radius", "scale_deflection", "truncation_radius", "centre_x", "centre_y")
    halos = dict(zip(names, (radius, angle, cut, x, y), strict=True))
    total = tnfw.total_deflection(*theta, **halos)
    everything = tnfw.deflection(
        theta[0][:, None],
        theta[1][:, None],
        **{name: value[..., None, None] for name, value in halos.items()},
    )
    for ours, expected in zip(total, everything, strict=True):
        torch.testing.assert_close(ours, expected.sum(dim=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_keep_their_digits(dtype: torch.dtype) -> None:
    """Against the defining formulas, or their expansions where those cancel."""
    x = torch.tensor([1e-6, 1e-3, 0.499, 0.501, 0.974, 0.98, 1.02, 1.025, 30.0], dtype=dtype)
    exact = x.double()
    log = torch.log(exact / 2)
    # F + ln(x/2) and its kin at small x, from the first terms of their expansions
    small = exact < 0.01
    mass = torch.where(small, -log / 2 - 0.25 + exact**2 * (-3 / 8 * log - 7 / 32), 0 * log)
    potential = torch.where(small, exact**2 * (-log / 2), 0 * log)
    f = torch.tensor([arc(float(v)) for v in exact], dtype=torch.float64)
    mass = torch.where(small, mass, (f + log) / exact**2)
    potential = torch.where(small, potential, log**2 + (exact**2 - 1) * f**2)
    tolerance = 2e-5 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(nfw_shapes.arc_ratio(x).double(), f, rtol=tolerance, atol=0)
    torch.testing.assert_close(nfw_shapes.mass_shape(x).double(), mass, rtol=tolerance, atol=0)
    torch.testing.assert_close(
        nfw_shapes.convergence_shape(x).double(), (1 - f) / (exact**2 - 1), rtol=tolerance, atol=0
    )
    torch.testing.assert_close(
        nfw_shapes.potential_shape(x)[~small].double(), potential[~small], rtol=tolerance, atol=0
    )
