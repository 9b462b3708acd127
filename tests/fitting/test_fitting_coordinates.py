"""Coordinates of smooth lenses: there and back, standardized, and held within limits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import small_scenes
from darkarcs.fitting import MacroCoordinates
from darkarcs.scenes import Scene, load_scene
from darkarcs.scenes.smooth import macro_nuisances, smooth_lenses, smooth_values

LENS = small_scenes.VALUES["lens"]
BRIGHT = {
    "kind": "sersic",
    "magnitude": {"uniform": [20.0, 21.0]},
    "half_light_radius": 0.5,
    "sersic_index": {"uniform": [2.0, 4.0]},
}
LENS_LIGHT = [
    BRIGHT | {"axis_ratio": {"uniform": [0.6, 0.9]}, "position_angle": {"uniform": [0, 3]}}
]
SCENES: dict[str, dict[str, Any]] = {
    "all of it": {},
    "no shear": {"lens": {name: v for name, v in LENS.items() if "shear" not in name}},
    "light of the lens": {"lens_light": LENS_LIGHT},
    "two bands": {"channels": [{"name": "g", "source": {"uniform": [0.5, 1.0]}}, {"name": "r"}]},
    "a slope": {"lens": LENS | {"slope": {"uniform": [1.8, 2.2]}}},
    "one angle for all": {"lens": LENS | {"position_angle": 0.4}},
    "one axis ratio for all": {"lens": LENS | {"axis_ratio": 0.7}},
}


def lenses(scene: Scene, seed: int = 99, count: int = 8) -> dict[str, Tensor]:
    values = smooth_values(smooth_lenses(scene, seed, 0, count))
    return {name: value.float() for name, value in values.items()}


@pytest.fixture(scope="module")
def euclid() -> tuple[Scene, MacroCoordinates]:
    scene = load_scene("fair-euclid", ["num_pixels=32"])
    return scene, MacroCoordinates.of(scene)


@pytest.mark.parametrize("changes", SCENES.values(), ids=SCENES)
def test_there_and_back_is_the_same_image(changes: dict[str, Any]) -> None:
    scene = small_scenes.scene(**changes)
    coordinates, values = MacroCoordinates.of(scene), lenses(scene)
    assert (values["lens.multipole_3"] < 0).any()  # another sign is another angle
    expected = scene.render_values(values)
    encoded = coordinates.encode(values)
    assert encoded.shape == (8, len(coordinates))
    image = scene.render_values(coordinates.decode(encoded.float()))
    torch.testing.assert_close(image, expected, rtol=0, atol=2e-5 * float(expected.max()))


def test_back_and_there_is_the_same_point(euclid: tuple[Scene, MacroCoordinates]) -> None:
    _, coordinates = euclid
    points = torch.randn(16, len(coordinates), generator=torch.Generator().manual_seed(1))
    points = points.clamp(coordinates.low, coordinates.high)
    back = coordinates.encode(coordinates.decode(points))
    torch.testing.assert_close(back, points, rtol=0, atol=1e-3)


def test_every_coordinate_shows_in_the_image(euclid: tuple[Scene, MacroCoordinates]) -> None:
    scene, coordinates = euclid
    middle = torch.full((1, len(coordinates)), 0.1)
    moved = middle + 0.5 * torch.eye(len(coordinates))
    image = scene.render_values(coordinates.decode(middle))
    change = (scene.render_values(coordinates.decode(moved)) - image).flatten(1).abs().sum(1)
    assert (change > 1e-3 * image.sum()).all()


def test_names_are_what_the_scene_draws(euclid: tuple[Scene, MacroCoordinates]) -> None:
    scene, coordinates = euclid
    assert len(set(coordinates.names)) == len(coordinates.names) == len(coordinates)
    assert set(coordinates.names) == set(macro_nuisances(scene))
    assert set(coordinates.fixed).isdisjoint(coordinates.names)
    assert set(coordinates.decode(torch.zeros(2, len(coordinates)))) == set(lenses(scene))
    # its angle is 0 in every lens, so the strength may have a sign
    assert "lens.multipole_4" in coordinates.plain
    assert coordinates.fixed["lens.multipole_4_angle"].tolist() == [0.0]


def test_index_is_the_place_of_a_column(euclid: tuple[Scene, MacroCoordinates]) -> None:
    _, coordinates = euclid
    middle = torch.zeros(1, len(coordinates))
    for name in (*coordinates.positive, *coordinates.plain):
        moved = middle.clone()
        moved[0, coordinates.index(name)] = 1.0
        before, after = coordinates.decode(middle), coordinates.decode(moved)
        assert [key for key in before if not torch.equal(before[key], after[key])] == [name]
        if name in coordinates.positive:
            assert bool(before[name] > 0)


def test_multipoles_are_counted_on_the_sky(euclid: tuple[Scene, MacroCoordinates]) -> None:
    scene, coordinates = euclid
    values = lenses(scene)
    turn = 0.3
    turned = values | {
        "lens.position_angle": values["lens.position_angle"] + turn,
        "lens.multipole_3_angle": values["lens.multipole_3_angle"] - turn,
    }
    places = [pair.strength for pair in coordinates.turned]
    multipole, ellipse = (2 * places.index(f"lens.{n}") for n in ("multipole_3", "axis_ratio"))
    before, after = coordinates.encode(values), coordinates.encode(turned)
    kept = slice(multipole, multipole + 2)
    torch.testing.assert_close(after[:, kept], before[:, kept], rtol=0, atol=1e-4)
    assert ((after - before)[:, ellipse : ellipse + 2].abs().amax(1) > 0.05).all()


def test_the_prior_is_standard(euclid: tuple[Scene, MacroCoordinates]) -> None:
    scene, coordinates = euclid
    drawn = coordinates.encode(lenses(scene, count=2000))
    # the mean was taken over 512 lenses: 0.044 is a standard deviation
    assert drawn.mean(0).abs().max() < 0.2
    assert ((drawn.std(0) - 1).abs() < 0.15).all()


def test_limits_hold_the_prior_and_can_be_rendered(euclid: tuple[Scene, MacroCoordinates]) -> None:
    scene, coordinates = euclid
    drawn = coordinates.encode(lenses(scene, count=2000))
    assert ((drawn > coordinates.low) & (drawn < coordinates.high)).all(1).float().mean() > 0.99
    assert (coordinates.low > -8).all()
    assert (coordinates.high < 8).all()
    corners = torch.stack([coordinates.low, coordinates.high])
    values = coordinates.decode(corners)
    assert torch.isfinite(scene.render_values(values)).all()
    for name in ("lens.axis_ratio", "source.axis_ratio"):
        assert ((values[name] > 0.05) & (values[name] <= 1)).all()


def test_an_ellipticity_has_an_end(euclid: tuple[Scene, MacroCoordinates]) -> None:
    _, coordinates = euclid
    far = torch.full((1, len(coordinates)), 100.0)
    assert coordinates.decode(far)["lens.axis_ratio"].item() == pytest.approx(0.1 / 1.9)


def test_substructure_does_not_matter() -> None:
    scene = small_scenes.scene()
    with_it, without = (
        MacroCoordinates.of(scene.with_classes(names)) for names in (["cdm"], ["no_sub"])
    )
    assert with_it.names == without.names
    torch.testing.assert_close(with_it.mean, without.mean)
    torch.testing.assert_close(with_it.width, without.width)
