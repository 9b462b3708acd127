"""One subhalo at a chosen mass and place: where it lies, what it weighs, how it deflects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from darkarcs.errors import ConfigurationError
from darkarcs.lensing import tnfw
from darkarcs.scenes import LensParameters, Scene, rendering
from darkarcs.scenes.geometry import make_geometry
from darkarcs.substructure import DuffyConcentration, enclosed
from small_scenes import VALUES, scene

NO_SUB = {"no_sub": {"kind": "none"}}


def one_subhalo(**changes: Any) -> Scene:
    kind = {"kind": "single_subhalo", "log10_mass": 9.5} | changes
    return scene(classes=NO_SUB | {"sub": kind})


def cases(one: Scene, count: int = 64) -> LensParameters:
    return one.with_classes(["sub"]).draw(3, 0, count, part="test")


def test_a_lens_has_one_subhalo_of_the_mass_asked_for() -> None:
    drawn = one_subhalo().draw(3, 0, 8, paired=True)
    number = (drawn.masses["subhalos"]["mass"] > 0).sum(axis=1)
    np.testing.assert_array_equal(number, [0, 1] * 4)
    np.testing.assert_allclose(drawn.masses["subhalos"]["mass"][1::2], 10**9.5)
    np.testing.assert_allclose(drawn.columns["substructure.log10_mass"], [0, 9.5] * 4)


def test_masses_follow_their_distribution() -> None:
    drawn = cases(one_subhalo(log10_mass={"uniform": [8.0, 10.5]}), 256)
    mass = np.log10(drawn.masses["subhalos"]["mass"][:, 0])
    np.testing.assert_allclose(mass, drawn.columns["substructure.log10_mass"])
    assert kstest((mass - 8) / 2.5, "uniform").pvalue > 1e-3


def test_the_subhalo_lies_at_its_distance_from_the_ring_on_either_side() -> None:
    drawn = cases(one_subhalo(distance_to_arc=0.3), 256)
    x, y = (drawn.masses["subhalos"][axis][:, 0] for axis in "xy")
    signed = np.hypot(x, y) - drawn.columns["lens.einstein_radius"]
    np.testing.assert_allclose(np.abs(signed), 0.3)
    np.testing.assert_allclose(signed, drawn.columns["substructure.ring_distance"])
    assert 90 < (signed < 0).sum() < 166
    assert kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3
    for axis in "xy":
        values = drawn.masses["subhalos"][axis][:, 0]
        np.testing.assert_array_equal(drawn.columns[f"substructure.{axis}"], values)


def test_a_subhalo_beyond_the_centre_is_put_outside() -> None:
    drawn = cases(one_subhalo(distance_to_arc=2.0))
    assert (drawn.columns["lens.einstein_radius"] < 2.0).all()
    np.testing.assert_allclose(drawn.columns["substructure.ring_distance"], 2.0)


def test_scenes_that_differ_by_mass_have_their_subhalos_at_the_same_places() -> None:
    light, heavy = (cases(one_subhalo(log10_mass=mass, distance_to_arc={"uniform": [0.0, 0.5]}))
                    for mass in (8.0, {"uniform": [9.0, 10.0]}))  # fmt: skip
    for name in ("substructure.x", "substructure.y", "lens.shear", "source.magnitude"):
        np.testing.assert_array_equal(light.columns[name], heavy.columns[name])


def test_its_structure_is_that_of_the_population() -> None:
    """Concentrations about the relation's mean, truncated as the depth says."""
    drawn = cases(one_subhalo(half_depth=0.0), 256)
    columns, table = drawn.columns, drawn.masses["subhalos"]
    relation = DuffyConcentration()
    mean = [relation.mean(10**9.5, redshift=z, hubble=0.7).item() for z in columns["z_lens"]]
    scatter = np.log10(table["concentration"][:, 0] / mean)
    assert kstest(scatter / 0.15, "norm").pvalue > 1e-3
    one = one_subhalo()
    geometry = make_geometry(columns["z_lens"], columns["z_source"], one.cosmology, one.faults)
    distance = columns["lens.einstein_radius"] * geometry.kpc_per_arcsec
    expected = 1.4 * 10 ** (2.5 / 3) * (distance / 50) ** (2 / 3) / geometry.kpc_per_arcsec
    np.testing.assert_allclose(table["truncation_radius"][:, 0], expected)
    deeper = cases(one_subhalo()).masses["subhalos"]["bound_mass"]
    assert (deeper > table["bound_mass"][:64]).all()  # less cut the farther away


def test_its_deflection_is_that_of_one_truncated_halo() -> None:
    one = one_subhalo(distance_to_arc=0.2)
    drawn = cases(one, 4)
    values = drawn.tensors(dtype=torch.float64)
    theta_x, theta_y = one.grid.coordinates(dtype=torch.float64)
    parts = rendering.deflections(theta_x, theta_y, values, one.lens, one.grid.sample_scale)
    for i in range(4):
        expected = tnfw.deflection(
            theta_x,
            theta_y,
            centre_x=values["subhalos.x"][i, 0] + values["lens.centre_x"][i],
            centre_y=values["subhalos.y"][i, 0] + values["lens.centre_y"][i],
            **{
                name: values[f"subhalos.{name}"][i, 0]
                for name in ("scale_radius", "scale_deflection", "truncation_radius")
            },
        )
        for found, wanted in zip(parts[-1], expected, strict=True):
            torch.testing.assert_close(found[i], wanted, rtol=1e-9, atol=1e-12)


def test_far_away_it_deflects_as_its_bound_mass() -> None:
    one = one_subhalo(log10_mass=10.0)
    drawn = cases(one, 1)
    geometry = make_geometry(
        drawn.columns["z_lens"], drawn.columns["z_source"], one.cosmology, one.faults
    )
    far = torch.tensor([[[3000.0, 0.0]]], dtype=torch.float64)
    values = drawn.tensors(dtype=torch.float64)
    halo = rendering.deflections(far, far.flip(-1), values, one.lens, 0.1)[-1]
    unit = np.pi * geometry.critical_surface_density.item() * 3000
    expected = drawn.masses["subhalos"]["bound_mass"].item() / unit
    assert halo[0][0, 0, 0].item() == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("conserve", [True, False])
def test_the_smooth_lens_gives_up_what_lies_inside(conserve: bool) -> None:
    kind = {"kind": "single_subhalo", "log10_mass": 10.0, "distance_to_arc": 0.5}
    one = scene(classes={"sub": kind}, mass_conserving=conserve)
    drawn = one.draw(3, 0, 64)
    columns, table = drawn.columns, drawn.masses["subhalos"]
    geometry = make_geometry(columns["z_lens"], columns["z_source"], one.cosmology, one.faults)
    unit = np.pi * geometry.critical_surface_density
    inside = enclosed(
        table["bound_mass"],
        table["x"],
        table["y"],
        einstein_radius=columns["lens.einstein_radius"],
        axis_ratio=columns["lens.axis_ratio"],
        position_angle=columns["lens.position_angle"],
    )
    assert 10 < (inside > 0).sum() < 54
    before = columns["lens.einstein_radius"] ** 2 * unit
    after = columns["lens.einstein_radius"] * columns["lens.smooth_einstein_radius"] * unit
    np.testing.assert_allclose(before - after, inside if conserve else 0 * inside, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"distance_to_arc": -0.1}, "must not be negative"),
        ({"distance_to_arc": {"normal": [0.1, 0.1]}}, "between"),
        ({"log10_mass": "heavy"}, "must be a number"),
        ({"half_depth": -1.0}, "greater than or equal to 0"),
        ({"mass": 1e9}, "unknown key"),
        ({"log10_mass": float("nan")}, "finite"),
    ],
)
def test_bad_keys_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        one_subhalo(**changes)


def test_a_subhalo_as_heavy_as_the_lens_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="outweighs the lens"):
        cases(one_subhalo(log10_mass=13.0, distance_to_arc=0.3))


def test_it_leaves_the_other_classes_as_they_are() -> None:
    with_one = scene(classes=VALUES["classes"] | {"sub": {"kind": "single_subhalo",
                                                          "log10_mass": 9.0}})  # fmt: skip
    for name in ("no_sub", "cdm", "axion"):
        alone = scene().with_classes([name]).draw(3, 0, 4)
        beside = with_one.with_classes([name]).draw(3, 0, 4)
        for column, values in alone.columns.items():
            np.testing.assert_array_equal(values, beside.columns[column])
