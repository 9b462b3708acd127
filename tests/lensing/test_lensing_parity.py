"""Every extended profile, and multi-plane ray shooting, against lenstronomy."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from darkarcs.lensing import (
    cosmology,
    elliptical_power_law,
    halo_masses,
    mass_sheet,
    multi_plane_ray_shooting,
    multipole,
    plane_scalings,
    pseudo_jaffe,
    shear,
    tnfw,
)

pytest.importorskip("lenstronomy", reason="needs lenstronomy")

from lenstronomy.Cosmo.lens_cosmo import LensCosmo
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Profiles.convergence import Convergence
from lenstronomy.LensModel.Profiles.epl import EPL
from lenstronomy.LensModel.Profiles.multipole import Multipole
from lenstronomy.LensModel.Profiles.pseudo_jaffe import PseudoJaffe
from lenstronomy.LensModel.Profiles.tnfw import TNFW
from lenstronomy.Util.param_util import phi_q2_ellipticity

#: Asked for: 1e-4. The TNFW formulas of lenstronomy lose digits to cancellation far from tau = 1.
TOLERANCE = 1e-8

NAMES = (
    "power law",
    "multipole 2",
    "multipole 3",
    "multipole 4",
    "tnfw",
    "pseudo-jaffe",
    "mass sheet",
)


def random_lens(name: str, rng: np.random.Generator) -> tuple[Any, dict[str, Any], Any, list[Any]]:
    """Our module and its parameters, lenstronomy's profile and the same parameters there."""
    x, y, angle = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), rng.uniform(-1.5, 1.5)
    centre = {"centre_x": x, "centre_y": y}
    if name == "power law":
        radius, q, slope = rng.uniform(0.5, 2), rng.uniform(0.3, 1.0), rng.uniform(1.5, 2.6)
        ours = {"einstein_radius": radius, "axis_ratio": q, "slope": slope}
        theirs = [radius, slope, *phi_q2_ellipticity(angle, q), x, y]
        return elliptical_power_law, ours | {"position_angle": angle} | centre, EPL(), theirs
    if name == "tnfw":
        radii = 10 ** rng.uniform(-1.5, 1), 10 ** rng.uniform(-1, 2)
        strength = 10 ** rng.uniform(-3, 0)
        ours = {"scale_radius": radii[0], "truncation_radius": radii[1]}
        ours |= {"scale_deflection": strength} | centre
        return tnfw, ours, TNFW(), [radii[0], strength, radii[1], x, y]
    if name == "pseudo-jaffe":
        values = [rng.uniform(0.1, 2), rng.uniform(0.01, 0.5), rng.uniform(0.6, 5)]
        keys = ("central_convergence", "core_radius", "truncation_radius")
        ours = dict(zip(keys, values, strict=True)) | centre
        return pseudo_jaffe, ours, PseudoJaffe(), [*values, x, y]
    if name == "mass sheet":
        sheet = rng.uniform(-0.3, 0.3)
        return mass_sheet, {"external_convergence": sheet} | centre, Convergence(), [sheet, x, y]
    order, amplitude = int(name.split()[-1]), rng.uniform(-0.1, 0.1)
    ours = {"order": order, "amplitude": amplitude, "position_angle": angle} | centre
    return multipole, ours, Multipole(), [order, amplitude, angle, x, y]


def assert_equal(ours: Tensor, theirs: Any) -> None:
    expected = torch.as_tensor(np.asarray(theirs), dtype=torch.float64)
    scale = float(expected.abs().median())
    torch.testing.assert_close(ours, expected, rtol=TOLERANCE, atol=TOLERANCE * scale)


@pytest.mark.parametrize("name", NAMES)
def test_random_lenses_match(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        profile, ours, reference, theirs = random_lens(name, rng)
        x, y = rng.uniform(-3, 3, (2, 60))
        theta = torch.from_numpy(x), torch.from_numpy(y)
        for component, expected in zip(
            profile.deflection(*theta, **ours), reference.derivatives(x, y, *theirs), strict=True
        ):
            assert_equal(component, expected)
        assert_equal(profile.potential(*theta, **ours), reference.function(x, y, *theirs))
        if profile is mass_sheet:
            continue  # its convergence is its parameter
        hessian = reference.hessian(x, y, *theirs)
        assert_equal(profile.convergence(*theta, **ours), (hessian[0] + hessian[3]) / 2)


def halo(x: float, y: float) -> tuple[Any, dict[str, float]]:
    parameters = {"scale_radius": 0.3, "scale_deflection": 0.02, "truncation_radius": 2.0}
    ours = partial(tnfw.deflection, **parameters, centre_x=x, centre_y=y)
    return ours, {"Rs": 0.3, "alpha_Rs": 0.02, "r_trunc": 2.0, "center_x": x, "center_y": y}


@pytest.mark.filterwarnings("ignore:Cosmology is provided")
def test_multi_plane_ray_shooting_matches() -> None:
    ours, theirs = zip(halo(0.5, 0.4), halo(-0.8, 0.9), halo(1.0, -0.3), strict=True)
    e1, e2 = phi_q2_ellipticity(0.4, 0.7)
    reference = LensModel(
        ["EPL", "SHEAR", "TNFW", "TNFW", "TNFW"],
        multi_plane=True,
        lens_redshift_list=[0.5, 0.5, 0.2, 0.5, 0.8],
        z_source=1.5,
        cosmo=cosmology.DEFAULT_COSMOLOGY,
    )
    x, y = np.random.default_rng(1).uniform(-2, 2, (2, 100))
    main = {"theta_E": 1.2, "gamma": 2.1, "e1": e1, "e2": e2}
    expected = reference.ray_shooting(x, y, [main, {"gamma1": 0.05, "gamma2": -0.03}, *theirs])
    parts = [
        partial(
            elliptical_power_law.deflection,
            einstein_radius=1.2,
            axis_ratio=0.7,
            slope=2.1,
            position_angle=0.4,
        ),
        partial(shear.deflection, shear_1=0.05, shear_2=-0.03),
        ours[1],
    ]

    def middle(theta_x: Tensor, theta_y: Tensor) -> tuple[Tensor, Tensor]:
        bends = [part(theta_x, theta_y) for part in parts]
        return sum(bend[0] for bend in bends), sum(bend[1] for bend in bends)

    scalings = plane_scalings(*cosmology.plane_distances([0.2, 0.5, 0.8], 1.5))
    beta = multi_plane_ray_shooting(
        torch.from_numpy(x), torch.from_numpy(y), [ours[0], middle, ours[2]], scalings
    )
    for component, other in zip(beta, expected, strict=True):
        assert_equal(component, other)


def test_halo_of_a_mass_matches() -> None:
    """lenstronomy's G times the solar mass is 2.8e-4 above the measured product: taken out."""
    reference = LensCosmo(0.5, 1.5, cosmo=cosmology.DEFAULT_COSMOLOGY)
    sigma = float(cosmology.critical_surface_density(0.5, 1.5))
    constants = sigma / reference.sigma_crit_angle
    assert math.isclose(constants, 1.000278, abs_tol=5e-6)
    radius, deflection = halo_masses.from_mass(
        torch.tensor([1e7, 1e9], dtype=torch.float64),
        15.0,
        distance=float(cosmology.angular_diameter_distance(0.5)),
        critical_density=float(cosmology.critical_density(0.5)),
        critical_surface_density=sigma,
    )
    for index, mass in enumerate((1e7, 1e9)):
        expected = reference.nfw_physical2angle(mass, 15.0)
        assert radius[index].item() == pytest.approx(expected[0], rel=1e-6)
        assert deflection[index].item() * constants == pytest.approx(expected[1], rel=1e-6)
