"""Masses: what is conserved, how much there is, and what null tests leave of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kstest

from darkarcs.scenes import LensParameters, Scene, drawing, load_scene, rendering
from darkarcs.scenes.geometry import make_geometry
from darkarcs.scenes.scene import Streams
from darkarcs.substructure import granules
from small_scenes import VALUES, scene

#: Lenses that are an ellipsoid and substructure only: shear has no mass, multipoles move it.
PLAIN = VALUES["lens"] | {"shear": 0.0, "multipole_3": 0.0, "multipole_4": 0.0}
POINTS = {"kind": "published_point_masses", "min_radius": 0.05}


def mean_convergence(one: Scene, lenses: LensParameters, num_angles: int = 4000) -> Any:
    """Mean convergence inside the critical ellipse by Gauss: outward deflection along its edge.

    It sees what rays see, so it checks units, centres and profiles of all masses at once.
    """
    columns = {name: torch.from_numpy(values) for name, values in lenses.columns.items()}
    radius = columns["lens.einstein_radius"][:, None]
    ratio = columns["lens.axis_ratio"][:, None]
    turned = columns["lens.position_angle"][:, None]
    phase = 2 * np.pi * (torch.arange(num_angles, dtype=torch.float64) + 0.5) / num_angles
    along, across = radius / ratio.sqrt() * phase.cos(), radius * ratio.sqrt() * phase.sin()
    normal_along, normal_across = across / across * radius * ratio.sqrt() * phase.cos(), None
    normal_across = radius / ratio.sqrt() * phase.sin()
    x = along * turned.cos() - across * turned.sin() + columns["lens.centre_x"][:, None]
    y = along * turned.sin() + across * turned.cos() + columns["lens.centre_y"][:, None]
    normal_x = normal_along * turned.cos() - normal_across * turned.sin()
    normal_y = normal_along * turned.sin() + normal_across * turned.cos()
    values = lenses.tensors(dtype=torch.float64)
    parts = rendering.deflections(x[:, None], y[:, None], values, one.lens, one.grid.sample_scale)
    flux = sum(
        (alpha_x[:, 0] * normal_x + alpha_y[:, 0] * normal_y).mean(dim=-1)
        for alpha_x, alpha_y in parts
    )
    return (flux / radius[:, 0] ** 2).numpy()


@pytest.mark.parametrize("slope", [2.0, 1.8, 2.3])
def test_point_masses_leave_the_mean_convergence_at_one(slope: float) -> None:
    one = scene(lens=PLAIN | {"slope": slope}, classes={"cdm": POINTS})
    lenses = one.draw(1, 0, 6)
    assert (lenses.columns["substructure.fraction"] > 0.01).all()
    # a mass close to the edge needs fine steps along it; none of these is closer than 1e-3"
    mean = mean_convergence(one, lenses, 40_000)
    np.testing.assert_allclose(mean, 1.0, atol=2e-4)
    smooth = mean_convergence(one, one.draw(1, 0, 6, null="smooth"))
    np.testing.assert_allclose(smooth, 1.0, atol=1e-6)


def test_without_conservation_the_substructure_comes_on_top() -> None:
    one = scene(lens=PLAIN, classes={"cdm": POINTS}, mass_conserving=False)
    lenses = one.draw(1, 0, 6)
    fraction = lenses.columns["substructure.fraction"]
    np.testing.assert_allclose(mean_convergence(one, lenses, 40_000), 1 + fraction, atol=2e-4)
    smooth = mean_convergence(one, one.draw(1, 0, 6, null="smooth"))
    # an isothermal lens grows to the same mass inside its own, larger ellipse
    np.testing.assert_allclose(smooth, np.sqrt(1 + fraction), rtol=1e-6)


def test_subhalos_conserve_mass_up_to_those_that_straddle_the_ellipse() -> None:
    """Halos count as if they were points; those on the edge, and long tails, do not.

    For a fraction of 1.4 % inside the ellipse, what is left over has a mean of -0.15(5) % and a
    root mean square of 0.5 %: as a shift of the ring's radius, 2 and 6 milliarcseconds.
    """
    one = scene(lens=PLAIN, classes={"cdm": VALUES["classes"]["cdm"]})
    lenses = one.draw(1, 0, 24)
    unconserved = lenses.columns["substructure.fraction"].mean()
    excess = mean_convergence(one, lenses, 1000) - 1
    assert unconserved > 0.005
    assert np.abs(excess).max() < 0.02
    assert np.median(np.abs(excess)) < 0.4 * unconserved
    assert abs(excess.mean()) < 0.2 * unconserved + 3 * excess.std() / np.sqrt(24)


def test_compact_central_halos_conserve_mass() -> None:
    one = scene(lens=PLAIN, classes={"cdm": VALUES["classes"]["cdm"]})
    lenses = one.draw(1, 0, 8)
    shrunk = dict(lenses.masses["subhalos"])
    for name in ("x", "y", "scale_radius", "truncation_radius"):
        shrunk[name] = shrunk[name] * (0.2 if name in "xy" else 1e-3)
    shrunk["scale_deflection"] = shrunk["scale_deflection"] * 1e3  # the same mass
    assert (shrunk["mass"] > 0).sum() > 50
    columns, masses, fields = drawing.make_room(
        lenses.columns, {"subhalos": shrunk}, {}, *_geometry(one), conserve=True, null=None
    )
    made = type(lenses)(**(vars(lenses) | {"columns": columns, "masses": masses}))
    fraction = columns["substructure.fraction"]
    assert (fraction > 0.01).all()
    np.testing.assert_allclose(mean_convergence(one, made), 1.0, atol=2e-3 * fraction.max())
    assert not fields


def _geometry(one: Scene) -> tuple[Any, Any]:
    lenses = one.draw(1, 0, 8)
    geometry = make_geometry(
        lenses.columns["z_lens"], lenses.columns["z_source"], one.cosmology, one.faults
    )
    return geometry, one.grid


def test_granules_conserve_mass() -> None:
    one = scene(lens=PLAIN, classes={"axion": VALUES["classes"]["axion"]}, num_pixels=40)
    lenses = one.draw(1, 0, 16)
    radius = lenses.columns["lens.smooth_einstein_radius"] / lenses.columns["lens.einstein_radius"]
    field = lenses.fields["granules"]
    axis = (np.arange(40) - 19.5) * one.instrument.pixel_scale
    for i in range(len(lenses)):
        columns = {name.removeprefix("lens."): v[i] for name, v in lenses.columns.items()}
        x = axis[None, :] - columns["centre_x"]
        y = axis[:, None] - columns["centre_y"]
        turned = columns["position_angle"]
        along = x * np.cos(turned) + y * np.sin(turned)
        across = y * np.cos(turned) - x * np.sin(turned)
        inside = columns["axis_ratio"] * along**2 + across**2 / columns["axis_ratio"]
        mass = field[i][inside <= columns["einstein_radius"] ** 2].sum() * 0.2**2 / np.pi
        assert radius[i] == pytest.approx(1 - mass / columns["einstein_radius"] ** 2)
    assert radius.std() > 1e-3


def test_the_granules_have_their_variance() -> None:
    one = scene(
        lens=PLAIN | {"einstein_radius": 1.1},
        classes={"axion": {"kind": "granules", "log10_axion_mass": -23.2, "dark_fraction": 0.7}},
        z_lens=0.5,
        z_source=1.2,
        num_pixels=40,
        instrument=VALUES["instrument"] | {"pixel_scale": 0.08},
    )
    lenses = one.draw(1, 0, 200)
    scale = lenses.columns["substructure.granule_scale"][0]
    assert 2 * one.instrument.pixel_scale < scale < 0.3
    axis = (np.arange(40) - 19.5) * one.instrument.pixel_scale
    radius = np.hypot(axis[:, None], axis[None, :])
    rms = granules.isothermal_rms(scale, radius, 1.1 / 2 / radius, 0.7)
    ratio = (lenses.fields["granules"] / rms)[:, radius > 0.33]
    # averaging over a pixel takes (1 - pixel^2 / (3 lambda^2)) of the variance away, 6 % here
    lost = 1 - one.instrument.pixel_scale**2 / scale**2 / 3
    assert (ratio**2).mean() == pytest.approx(lost, abs=0.03)
    assert abs(ratio.mean()) < 0.03


@pytest.mark.parametrize(
    ("faults", "radius", "factor"),
    [
        ([], 1.66, 1.0),
        (["faults.luminosity_distances=true"], 1.28, 1.0),
        (
            ["faults.luminosity_distances=true", "faults.source_redshift_convention=2.5"],
            1.28,
            0.81 / 1.28,
        ),
    ],
)
def test_the_einstein_radius_of_a_mass(faults: list[str], radius: float, factor: float) -> None:
    overrides = ["faults.luminosity_distances=false", "faults.source_redshift_convention=null"]
    one = load_scene("deeplense-2", [*overrides, *faults, "lens.shear=0", "lens.axis_ratio=1"])
    lenses = one.with_classes(["no_sub"]).draw(0, 0, 1)
    assert lenses.columns["lens.einstein_radius"].item() == pytest.approx(radius, abs=0.005)
    theta, beta = rendering.trace(lenses.tensors(dtype=torch.float64), one.lens, one.grid)
    bent = torch.hypot(theta[0] - beta[0][0], theta[1] - beta[1][0])  # alike everywhere: a SIS
    assert bent.mean().item() == pytest.approx(radius * factor, abs=0.005)


def test_masses_of_published_classes_act_as_in_the_published_code() -> None:
    honest = load_scene("deeplense-2", ["faults.luminosity_distances=false"]).draw(0, 1, 1)
    faulty = load_scene("deeplense-2").draw(0, 1, 1)
    ratio = (
        faulty.masses["point_masses"]["einstein_radius"]
        / honest.masses["point_masses"]["einstein_radius"]
    )
    np.testing.assert_allclose(ratio**2, 0.593, atol=5e-4)
    assert np.array_equal(honest.masses["point_masses"]["x"], faulty.masses["point_masses"]["x"])
    assert faulty.masses["point_masses"]["mass"].shape == (1, 25)


def subhalos_of(
    count: int, lens: dict[str, Any] = VALUES["lens"], **changes: Any
) -> tuple[Scene, LensParameters]:
    settings = {"kind": "subhalos", "mass_fraction": 0.01, "min_mass": 3e7} | changes
    one = scene(classes={"cdm": settings}, lens=lens)
    return one, one.draw(5, 0, count)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mass_fraction": 0.05, "max_mass": 1e9},
        {"max_radius": 1.2, "half_depth": 4.0},
        {"slope": -1.6, "max_mass": 3e9},
        {"warm": {"half_mode_mass": 3e8}},
    ],
)
def test_the_mean_bound_mass_is_the_fraction_asked_for(changes: dict[str, Any]) -> None:
    one, lenses = subhalos_of(
        400, lens=VALUES["lens"] | {"einstein_radius": {"uniform": [0.7, 1.8]}}, **changes
    )
    geometry = make_geometry(
        lenses.columns["z_lens"], lenses.columns["z_source"], one.cosmology, one.faults
    )
    radius = lenses.columns["lens.einstein_radius"]
    reach = changes.get("max_radius", 2.0)
    disk = np.pi * geometry.critical_surface_density * radius**2 * reach
    found = lenses.masses["subhalos"]["bound_mass"].sum(axis=1) / disk
    error = found.std() / np.sqrt(len(found))
    asked = changes.get("mass_fraction", 0.01)
    assert error < 0.06 * asked
    # the share that tides leave is itself drawn, to 0.6 %
    assert abs(found.mean() - asked) < 3 * error + 0.01 * asked
    # in small and near lenses as in large and far ones, though tides differ by a half
    depth = np.argsort(radius * geometry.kpc_per_arcsec)
    for some in (depth[:200], depth[200:]):
        assert abs(found[some].mean() - asked) < 3 * np.sqrt(2) * error + 0.01 * asked


def test_the_number_of_subhalos_is_poisson() -> None:
    _, lenses = subhalos_of(500, PLAIN | {"einstein_radius": 1.1}, min_mass=3e8)
    alike = lenses.columns["z_source"] == 2.0
    assert alike.sum() > 200
    number = (lenses.masses["subhalos"]["mass"] > 0).sum(axis=1)
    # redshifts of the lens still vary: take their trend out
    z = lenses.columns["z_lens"][alike]
    expected = np.polynomial.Polynomial.fit(z, number[alike], 2)(z)
    chi_square = ((number[alike] - expected) ** 2 / expected).sum()
    assert abs(chi_square / alike.sum() - 1) < 5 * np.sqrt(2 / alike.sum())


def test_subhalos_are_drawn_within_their_range() -> None:
    _, lenses = subhalos_of(300)
    table = lenses.masses["subhalos"]
    mass = table["mass"]
    number = (mass > 0).sum(axis=1)
    assert np.ptp(number) > 50
    drawn = mass[mass > 0]
    assert drawn.min() >= 3e7
    assert drawn.max() <= 1e10
    edge = 1e10**-0.9 - 3e7**-0.9
    assert kstest(drawn, lambda m: (m**-0.9 - 3e7**-0.9) / edge).pvalue > 1e-3
    distance = np.hypot(table["x"], table["y"]) / lenses.columns["lens.einstein_radius"][:, None]
    assert kstest(distance[mass > 0], lambda r: (r / 2) ** 2).pvalue > 1e-3
    bound = table["bound_mass"][mass > 0]
    assert (bound > 0).all()
    assert (bound < drawn).mean() > 0.9


def _critical(one: Scene, lenses: LensParameters) -> NDArray[np.float64]:
    geometry = make_geometry(
        lenses.columns["z_lens"], lenses.columns["z_source"], one.cosmology, one.faults
    )
    return geometry.critical_surface_density


def test_the_deflection_of_a_subhalo_is_that_of_its_mass() -> None:
    """Far away, where a halo is a point of its bound mass."""
    one = scene(
        lens=PLAIN | {"centre_x": 0.0, "centre_y": 0.0},
        classes={"cdm": {"kind": "subhalos", "mass_fraction": 0.02, "min_mass": 1e9}},
        z_lens=0.5,
        z_source=1.2,
    )
    lenses = one.draw(2, 0, 1)
    values = lenses.tensors(dtype=torch.float64)
    far = torch.tensor([[[3000.0, 0.0]]], dtype=torch.float64)
    _, halos = rendering.deflections(far, far.flip(-1), values, one.lens, 0.1)
    mass = lenses.masses["subhalos"]["bound_mass"].sum()
    expected = mass / np.pi / _critical(one, lenses).item() / 3000
    assert halos[0][0, 0, 0].item() == pytest.approx(expected, rel=5e-3)
    assert halos[1][0, 0, 0].item() == pytest.approx(0.0, abs=expected * 5e-3)


def test_no_mass_fraction_is_no_substructure() -> None:
    one = scene(classes=VALUES["classes"] | {"cdm": {"kind": "subhalos", "mass_fraction": 0.0}})
    lenses = one.draw(0, 0, 6, paired=True)
    assert "subhalos" not in lenses.masses
    images = one.render(lenses)
    assert torch.equal(images[0], images[1])


@pytest.mark.parametrize("name", ["small", "fair-euclid", "deeplense-test1"])
def test_null_tests_leave_the_smooth_lens(name: str) -> None:
    few = ["classes.cdm.mass_fraction=0.005", "classes.cdm.min_mass=1e9"]
    one = scene() if name == "small" else load_scene(name, few if name == "fair-euclid" else [])
    count = 9 if name == "small" else 3
    images = one.render(one.draw(8, 0, count, paired=True), dtype=torch.float64)
    smooth = images[0::3]
    peak = smooth.amax(dim=(-2, -1), keepdim=True)
    substructure = (images[1::3] - smooth).abs() / peak
    assert substructure.flatten(1).amax(1).min() > 1e-3  # there is something to take away
    for null in ("massless", "smooth"):
        without = one.render(one.draw(8, 0, count, paired=True, null=null), dtype=torch.float64)
        for label in (0, 1, 2):
            assert ((without[label::3] - smooth).abs() / peak).max() < 1e-5, (null, label)


def test_the_published_scenes_fail_the_smooth_null() -> None:
    """Their substructure is extra mass, so that smoothing it out leaves a larger ring."""
    one = load_scene("deeplense-1")
    smooth = one.render(one.draw(8, 0, 3, paired=True, null="smooth"))
    assert (smooth[1] - smooth[0]).abs().max() / smooth[0].max() > 1e-3
    assert (smooth[2] - smooth[0]).abs().max() / smooth[0].max() > 0.05
    massless = one.render(one.draw(8, 0, 3, paired=True, null="massless"), dtype=torch.float64)
    assert (massless[1] - massless[0]).abs().max() / massless[0].max() < 1e-5


def test_smooth_and_massless_keep_their_draws() -> None:
    one = scene()
    real, massless = one.draw(8, 0, 6), one.draw(8, 0, 6, null="massless")
    assert np.array_equal(real.masses["subhalos"]["x"], massless.masses["subhalos"]["x"])
    ratio = massless.masses["subhalos"]["mass"][1] / real.masses["subhalos"]["mass"][1]
    np.testing.assert_allclose(ratio[real.masses["subhalos"]["mass"][1] > 0], drawing.MASSLESS)


def test_streams_are_part_of_the_scene() -> None:
    drawn = Streams(8, ("small", "1", "train")).uniform("lens.shear", np.arange(6)) * 0.1
    assert np.array_equal(scene().draw(8, 0, 6).columns["lens.shear"], drawn)
