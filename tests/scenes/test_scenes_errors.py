"""What a user may write wrong in a scene: one line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from darkarcs.errors import ConfigurationError, DarkarcsError
from darkarcs.scenes import list_scenes, load_scene
from small_scenes import VALUES, scene, write


def refusal(call: Any, *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(DarkarcsError) as error:
        call(*arguments, **keywords)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_pixel": 20}, ["unknown key 'num_pixel'", "num_pixels"]),
        ({"lens": {"einstein_radius": 1.0, "axisratio": 0.5}}, ["lens.axisratio", "axis_ratio"]),
        ({"lens": {"axis_ratio": 0.5}}, ["'lens'", "either einstein_radius or mass"]),
        ({"lens": {"einstein_radius": 1.0, "mass": 1e12}}, ["either einstein_radius or mass"]),
        ({"source": {"kind": "sersic", "half_light_radius": 1.0}}, ["magnitude or amplitude"]),
        ({"source": {"kind": "serisc"}}, ["source", "sersic"]),
        ({"classes": {"cdm": {"kind": "subhalo"}}}, ["classes.cdm", "subhalos"]),
        ({"classes": {"cdm": {"mass_fraction": 0.1}}}, ["classes.cdm", "kind"]),
        ({"classes": {}}, ["classes", "at least one class"]),
        ({"classes": {"no": {"kind": "none"}, "no_sub": {"kind": "none"}}}, ["classes", "no_sub"]),
        ({"num_pixels": 4}, ["num_pixels"]),
        ({"num_pixels": "many"}, ["num_pixels"]),
        ({"instrument": "euclid"}, ["euclid-vis"]),
        ({"instrument": None}, ["instrument"]),
        ({"noise": {"kind": "gaussian"}}, ["noise", "counting"]),
        ({"storage": {"scaling": "max"}}, ["storage.scaling", "peak"]),
        ({"storage": {"levels": 256}}, ["storage", "levels", "scaling"]),
        ({"faults": {"luminosity_distance": True}}, ["luminosity_distances"]),
        ({"cosmology": {"matter": 1.5}}, ["cosmology.matter"]),
        ({"schema_version": 2}, ["schema_version"]),
        ({"channels": []}, ["channels"]),
        ({"channels": [{"name": "red"}, {"name": "red"}]}, ["channels", "red"]),
        ({"name": "a/b"}, ["name"]),
        ({"mass_conserving": "perhaps"}, ["mass_conserving"]),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, changes: dict[str, Any], says: list[str]) -> None:
    message = refusal(load_scene, write(tmp_path, **changes))
    for text in says:
        assert text in message


@pytest.mark.parametrize(
    "changes",
    [
        {"min_mass": 1e10, "max_mass": 1e7},
        {"mass_fraction": -0.1},
        {"mass_fraction": {"uniform": [-0.1, 0.1]}},
        {"max_radius": 0.0},
    ],
)
def test_impossible_subhalos_are_refused_before_anything_is_drawn(changes: dict[str, Any]) -> None:
    subhalos = {"kind": "subhalos", "mass_fraction": 0.01} | changes
    message = refusal(scene, classes={"cdm": subhalos})
    assert "classes.cdm" in message
    assert next(iter(changes)) in message


@pytest.mark.parametrize(
    ("group", "changes"),
    [
        ("lens", {"einstein_radius": {"uniform": [-0.5, 1.0]}}),
        ("lens", {"einstein_radius": 0.0}),
        ("lens", {"axis_ratio": {"uniform": [0.5, 1.5]}}),
        ("lens", {"axis_ratio": 0.0}),
        ("lens", {"slope": 3.5}),
        ("source", {"half_light_radius": 0.0}),
        ("source", {"axis_ratio": {"normal": [0.9, 0.1]}}),
        ("source", {"sersic_index": -1.0}),
        ("noise", {"exposure_factor": {"uniform": [0.0, 1.0]}}),
    ],
)
def test_impossible_numbers_are_refused(group: str, changes: dict[str, Any]) -> None:
    message = refusal(scene, **{group: VALUES[group] | changes})
    assert group in message
    assert next(iter(changes)) in message


def test_a_point_spread_without_width_is_refused() -> None:
    assert "point_spread_factor" in refusal(scene, point_spread_factor={"uniform": [0.0, 1.0]})


def test_a_measured_point_spread_has_no_factor() -> None:
    moffat = VALUES["instrument"] | {"point_spread": {"kind": "moffat", "fwhm": 0.3, "beta": 3.0}}
    message = refusal(scene, instrument=moffat, point_spread_factor={"uniform": [0.9, 1.1]})
    assert "point_spread_factor needs a Gaussian" in message


def test_unknown_names_have_neighbours(tmp_path: Path) -> None:
    assert "fair-euclid" in refusal(load_scene, "fair-euklid")
    assert "cannot be read" in refusal(load_scene, tmp_path / "absent.yaml")
    assert "cdm" in refusal(scene().with_classes, ["cdmm"])
    assert "unknown key 'clases.cdm" not in refusal(load_scene, "fair-euclid", ["clases.cdm=1"])


def test_extends_may_not_go_round(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    for name, base in (("a", "b.yaml"), ("b", "a.yaml"), ("c", "one/../c.yaml")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {base}\nname: {name}\n")
    for name in "abc":
        assert "extends itself" in refusal(load_scene, tmp_path / f"{name}.yaml")
    (tmp_path / "d.yaml").write_text("extends: e.yaml\n")
    assert "e.yaml" in refusal(load_scene, tmp_path / "d.yaml")
    (tmp_path / "f.yaml").write_text("extends: [fair-euclid]\n")
    assert "extends" in refusal(load_scene, tmp_path / "f.yaml")


def test_missing_galaxies_are_named(tmp_path: Path) -> None:
    source = {"kind": "galaxies", "path": "absent.npz", "magnitude": 22.0}
    message = refusal(load_scene(write(tmp_path, source=source)).draw, 0, 0, 1)
    assert "source.path" in message
    assert "absent.npz" in message
    unset = source | {"path": "$DARKARCS_NO_SUCH_VARIABLE/galaxies.npz"}
    assert "source.path" in refusal(load_scene(write(tmp_path, source=unset)).draw, 0, 0, 1)


def test_a_file_gives_what_its_keys_give(tmp_path: Path) -> None:
    loaded = load_scene(write(tmp_path))
    assert loaded.identity == scene().identity
    assert loaded.folder == tmp_path


def test_extends_changes_what_it_names(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml")
    changes = {
        "extends": "base.yaml",
        "name": "derived",
        "lens": {"shear": 0.02, "axis_ratio": {"normal": [0.8, 0.05], "between": [0.6, 1.0]}},
        "instrument": {"read_noise": 9.0},
        "classes": {"cdm": {"mass_fraction": 0.004}, "axion": {"kind": "condensate_string"}},
    }
    (tmp_path / "derived.yaml").write_text(yaml.safe_dump(changes))
    derived = load_scene(tmp_path / "derived.yaml")
    assert derived.lens.shear == 0.02
    assert derived.lens.multipole_4 == scene().lens.multipole_4
    assert derived.instrument.read_noise == 9.0
    assert derived.instrument.zero_point == 25.0
    assert derived.classes["cdm"].min_mass == 5e8
    assert derived.classes["axion"].kind == "condensate_string"
    number = load_scene(tmp_path / "derived.yaml", ["source.magnitude=21", "noise={kind: none}"])
    assert number.source.magnitude == 21.0


def test_the_merge_replaces_distributions_whole(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml")
    (tmp_path / "derived.yaml").write_text(
        "extends: base.yaml\nname: d\nlens: {centre_x: {uniform: [0, 1]}, shear: {choice: [0.1]}}\n"
    )
    derived = load_scene(tmp_path / "derived.yaml")
    assert derived.draw(0, 0, 2).columns["lens.shear"].tolist() == [0.1, 0.1]


@pytest.mark.parametrize("name", list_scenes())
def test_every_scene_of_the_library_says_what_it_is(name: str) -> None:
    one = load_scene(name)
    assert one.name == name
    assert one.description
    assert one.class_names[0] == "no_sub"
    again = type(one).parse(one.model_dump(mode="json"), "again")
    assert again.identity == one.identity


def test_seeds_of_any_sign_and_size_work() -> None:
    drawn = [scene().draw(seed, 0, 1).columns["lens.shear"][0] for seed in (-1, 0, 2**70)]
    assert len(np.unique(drawn)) == 3


def test_an_override_that_is_no_key_names_it() -> None:
    for override in ("classes.cdm.mass_fracton=0.1", "lens.sheer=0.1", "nois.kind=none"):
        key = override.split("=")[0].split(".")
        message = refusal(load_scene, "fair-euclid", [override])
        assert key[-1] in message or key[0] in message
    with pytest.raises(ConfigurationError, match="key=value"):
        load_scene("fair-euclid", ["seed"])
