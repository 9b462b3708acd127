"""Draws: lens i depends on nothing but scene, seed, part and i; the class touches no nuisance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkarcs.errors import ConfigurationError
from darkarcs.scenes import BLOCK, LensParameters, load_scene
from small_scenes import VALUES, assert_same, scene

SMALL = scene()
NUISANCE = ("lens.", "source.", "noise.", "z_", "channel")
#: What follows from the substructure, not from a stream of its own.
FOLLOWS = {"lens.smooth_einstein_radius"}
WHOLE = {paired: SMALL.draw(3, 0, 2 * BLOCK + 20, paired=paired) for paired in (False, True)}


def nuisance(lenses: LensParameters) -> dict[str, Any]:
    return {
        name: column
        for name, column in lenses.columns.items()
        if name.startswith(NUISANCE) and name not in FOLLOWS
    }


@given(start=st.integers(0, 2 * BLOCK + 18), count=st.integers(1, 20), paired=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_lens_is_the_same_however_it_is_drawn(start: int, count: int, paired: bool) -> None:
    count = min(count, 2 * BLOCK + 20 - start)
    piece = SMALL.draw(3, start, count, paired=paired)
    assert_same(piece, WHOLE[paired].select(slice(start, start + count)))


def test_blocks_are_unrelated() -> None:
    numbers = WHOLE[False].columns["source.position_angle"]
    assert len(np.unique(numbers)) == len(numbers)
    first, second = numbers[:BLOCK], numbers[BLOCK : 2 * BLOCK]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.5


def test_parts_seeds_names_and_versions_are_unrelated_streams() -> None:
    lenses = {
        "seed": SMALL.draw(4, 0, 40),
        "part": SMALL.draw(3, 0, 40, part="test"),
        "other part": SMALL.draw(3, 0, 40, part="validation"),
        "name": scene(name="other").draw(3, 0, 40),
        "version": scene(version=2).draw(3, 0, 40),
        "itself": WHOLE[False].select(slice(0, 40)),
    }
    angles = {name: one.columns["source.position_angle"] for name, one in lenses.items()}
    subhalos = {name: one.masses["subhalos"]["x"][1, :3] for name, one in lenses.items()}
    for numbers in (angles, subhalos):
        together = np.concatenate(list(numbers.values()))
        assert len(np.unique(together)) == len(together)
    identities = np.concatenate([one.identities for one in lenses.values()])
    assert len(np.unique(identities)) == len(identities)


def test_variables_are_unrelated() -> None:
    lenses = scene(classes={"no_sub": {"kind": "none"}}).draw(5, 0, 800)
    drawn = [column for column in nuisance(lenses).values() if len(np.unique(column)) > 400]
    correlation = np.corrcoef(drawn)
    names = [n for n, c in nuisance(lenses).items() if len(np.unique(c)) > 400]
    follows = names.index("source.magnitude"), names.index("source.flux")
    correlation[follows] = correlation[follows[::-1]] = 0.0
    assert len(drawn) > 15
    assert np.abs(correlation - np.eye(len(drawn))).max() < 0.15  # 5 sigma is 0.18


def test_nuisances_do_not_depend_on_the_class() -> None:
    whole = nuisance(SMALL.draw(3, 0, 12))
    for names in (["no_sub"], ["cdm"], ["axion", "no_sub"]):
        some = nuisance(SMALL.with_classes(names).draw(3, 0, 12))
        assert some.keys() == whole.keys()
        for name, column in some.items():
            assert np.array_equal(column, whole[name]), name


@pytest.mark.parametrize(
    "cdm",
    [
        {"kind": "subhalos", "mass_fraction": {"log_uniform": [0.001, 0.01]}, "min_mass": 1e9},
        {"kind": "published_point_masses"},
        {"kind": "condensate_string", "random_mass": True},
    ],
)
def test_nuisances_do_not_depend_on_the_substructure(cdm: dict[str, Any]) -> None:
    other = scene(classes=VALUES["classes"] | {"cdm": cdm, "sub": cdm}).draw(3, 0, 12)
    for name, column in nuisance(other).items():
        assert np.array_equal(column, WHOLE[False].columns[name][:12]), name


def test_a_new_class_leaves_the_substructure_of_others_alone() -> None:
    """In the paired stream, where a lens meets every class."""
    more = scene(classes=VALUES["classes"] | {"sub": {"kind": "published_point_masses"}})
    lenses = more.draw(3, 0, 16, paired=True)
    cdm = lenses.class_names.index("cdm")
    few = WHOLE[True].masses["subhalos"]["mass"][WHOLE[True].labels == 1][:4]
    many = lenses.masses["subhalos"]["mass"][lenses.labels == cdm]
    assert [row[row > 0].tolist() for row in few] == [row[row > 0].tolist() for row in many]


def test_pairs_share_everything_but_their_substructure() -> None:
    lenses = WHOLE[True]
    assert lenses.labels[:6].tolist() == [0, 1, 2, 0, 1, 2]
    single = SMALL.with_classes(["no_sub"]).draw(3, 0, 20)
    for name, column in nuisance(lenses).items():
        triples = column[:60].reshape(20, 3)
        assert (triples == triples[:, :1]).all(), name
        assert np.array_equal(triples[:, 0], single.columns[name]), name
    groups = lenses.groups[:60].reshape(20, 3)
    assert (groups == groups[:, :1]).all()
    assert len(np.unique(groups)) == 20


def test_one_distribution_more_leaves_all_others_alone() -> None:
    wider = scene(z_lens=0.45, source=VALUES["source"] | {"magnitude": {"normal": [22.0, 0.1]}})
    lenses = wider.draw(3, 0, 12)
    for name in ("lens.einstein_radius", "source.half_light_radius", "noise.exposure_factor"):
        assert np.array_equal(lenses.columns[name], WHOLE[False].columns[name][:12])


def test_identities_are_unique_and_name_the_lens() -> None:
    lenses = WHOLE[False]
    assert len(np.unique(lenses.identities)) == len(lenses)
    assert lenses.identities[65] == f"small/1/{SMALL.content_hash}/train/3/65"
    assert np.array_equal(lenses.groups, lenses.identities)


def test_the_hash_is_that_of_the_content() -> None:
    one = SMALL.content_hash
    assert scene(description="else", differences=("a",), folder=".").content_hash == one
    assert scene(num_pixels=21).content_hash != one
    assert SMALL.with_classes(["no_sub", "cdm"]).content_hash != one
    assert SMALL.with_classes(["axion", "cdm", "no_sub"]).content_hash == one
    changed = VALUES["classes"] | {"cdm": {"kind": "subhalos", "mass_fraction": 0.021}}
    assert scene(classes=changed).content_hash != one


def test_a_default_that_is_spelled_out_makes_no_other_scene() -> None:
    spelled = scene(supersampling=1, faults={"luminosity_distances": False}, storage={})
    assert spelled.identity == SMALL.identity
    again = type(SMALL).parse(SMALL.model_dump(mode="json"), "a manifest")
    assert again.identity == SMALL.identity
    kinds = ("none", "published_point_masses", "condensate_string")
    assert len({scene(classes={"cdm": {"kind": kind}}).identity for kind in kinds}) == 3


def test_the_table_hash_sees_every_number_but_not_the_last_bits() -> None:
    lenses = SMALL.draw(3, 0, 6)
    one = lenses.content_hash()
    assert SMALL.draw(3, 0, 6).content_hash() == one
    x = lenses.masses["subhalos"]["x"]
    for factor, same in ((1 + 1e-15, True), (1 + 1e-6, False)):
        table = lenses.masses["subhalos"] | {"x": x * factor}
        changed = type(lenses)(**(vars(lenses) | {"masses": {"subhalos": table}}))
        assert (changed.content_hash() == one) is same


def test_warm_dark_matter_and_switches_are_keys() -> None:
    warm = load_scene(
        "fair-euclid", ["classes.cdm.mass_fraction=0.002", "classes.cdm.warm={half_mode_mass: 1e8}"]
    )
    assert warm.classes["cdm"].warm is not None
    number = load_scene("deeplense-2", ["classes.cdm.poisson_number=true"]).draw(0, 1, 1)
    assert number.masses["point_masses"]["mass"].shape[1] != 25


def test_a_source_before_its_lens_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="z_source"):
        scene(z_lens=1.0, z_source=0.8).draw(0, 0, 1)


def test_substructure_heavier_than_its_lens_is_refused() -> None:
    heavy = {"cdm": {"kind": "subhalos", "mass_fraction": 3.0, "min_mass": 1e9}}
    with pytest.raises(ConfigurationError, match=r"outweighs the lens.*mass_fraction"):
        scene(classes=heavy).draw(0, 0, 8)


def test_no_lenses_are_no_error() -> None:
    empty = SMALL.draw(3, 5, 0)
    assert len(empty) == 0
    assert SMALL.render(empty).shape == (0, 1, 20, 20)
