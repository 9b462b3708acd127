"""Subhalos put at given places in a drawn lens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from darkarcs.errors import ConfigurationError
from darkarcs.scenes.placement import place_subhalos
from darkarcs.scenes.single_subhalo import SingleSubhalo
from darkarcs.substructure import DuffyConcentration
from small_scenes import scene

KIND = SingleSubhalo(log10_mass=9.0)


def test_subhalos_lie_where_they_are_put_and_nothing_else_changes() -> None:
    one = scene().with_classes(["no_sub"])
    lens = one.draw(3, 5, 1, part="test")
    placed = place_subhalos(one, lens, KIND, log10_mass=[8.0, 9.0], x=[1.0, -0.5], y=0.25)
    table = placed.masses["subhalos"]
    np.testing.assert_allclose(table["mass"], [[1e8], [1e9]])
    np.testing.assert_array_equal(table["x"], [[1.0], [-0.5]])
    np.testing.assert_array_equal(table["y"], [[0.25], [0.25]])
    for name, values in lens.columns.items():
        if name not in (
            "substructure.mass",
            "substructure.fraction",
            "lens.smooth_einstein_radius",
        ):
            np.testing.assert_array_equal(placed.columns[name], np.repeat(values, 2))
    np.testing.assert_array_equal(placed.indices, [5, 5])


def test_a_placed_subhalo_renders_as_a_drawn_one() -> None:
    """With no chance left, what the kind draws and what is put there are one."""
    settings = {
        "kind": "single_subhalo",
        "log10_mass": 9.7,
        "half_depth": 0.0,
        "concentration": {"scatter": 0.0},
    }
    one = scene(classes={"no_sub": {"kind": "none"}, "sub": settings})
    drawn = one.with_classes(["sub"]).draw(3, 0, 1)
    kind = SingleSubhalo(
        log10_mass=9.7, half_depth=0.0, concentration=DuffyConcentration(scatter=0.0)
    )
    placed = place_subhalos(
        one,
        one.with_classes(["no_sub"]).draw(3, 0, 1),
        kind,
        log10_mass=9.7,
        x=drawn.columns["substructure.x"],
        y=drawn.columns["substructure.y"],
    )
    for name, values in drawn.columns.items():
        np.testing.assert_allclose(placed.columns[name], values, atol=1e-12, err_msg=name)
    torch.testing.assert_close(one.render(placed), one.render(drawn), rtol=1e-6, atol=0.0)


def test_mass_is_conserved_only_inside_the_ring() -> None:
    one = scene().with_classes(["no_sub"])
    placed = place_subhalos(one, one.draw(3, 0, 1), KIND, log10_mass=10.0, x=[0.3, 3.0], y=0.0)
    smooth, full = (placed.columns[f"lens.{name}"] for name in
                    ("smooth_einstein_radius", "einstein_radius"))  # fmt: skip
    assert smooth[0] < full[0]
    assert smooth[1] == full[1]
    assert placed.columns["substructure.fraction"][1] == 0


def test_bad_places_are_refused() -> None:
    one = scene()
    smooth = one.with_classes(["no_sub"])
    with pytest.raises(ConfigurationError, match="finite"):
        place_subhalos(smooth, smooth.draw(3, 0, 1), KIND, log10_mass=9.0, x=np.nan, y=0.0)
    with pytest.raises(ConfigurationError, match="one smooth lens"):
        place_subhalos(smooth, smooth.draw(3, 0, 2), KIND, log10_mass=9.0, x=1.0, y=0.0)
    lumpy = one.with_classes(["cdm"]).draw(3, 0, 1)
    with pytest.raises(ConfigurationError, match="one smooth lens"):
        place_subhalos(one, lumpy, KIND, log10_mass=9.0, x=1.0, y=0.0)
    with pytest.raises(ConfigurationError, match="outweighs"):
        place_subhalos(smooth, smooth.draw(3, 0, 1), KIND, log10_mass=13.0, x=0.2, y=0.0)
