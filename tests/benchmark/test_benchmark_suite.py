"""Suites: those of the package draw what they state, and a wrong one says which set is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from darkarcs.benchmark.suite import (
    PREFIX,
    Suite,
    list_suites,
    load_suite,
    parameters_hash,
    suite_file,
    write_hashes,
)
from darkarcs.errors import ConfigurationError
from darkarcs.simulation import parse_uri
from suite_examples import default_sets, small_suite, write_suite


def test_the_suites_of_the_issue_are_there() -> None:
    assert {"deeplense", "fair", "shift", "mass", "fraction"} <= set(list_suites())


@pytest.mark.parametrize("name", list_suites())
def test_a_set_of_each_line_draws_what_is_stated(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    chosen = {one.line: one for one in suite.sets.values() if not one.needs}
    for one in chosen.values():
        assert parameters_hash(one.request) == one.parameters, (
            f"{one.uri}: the scene draws other lenses than suite '{name}' states. If that is meant,"
            f" raise the suite's version and write new hashes: darkarcs benchmark --suite {name} "
            "--write-hashes; entries of the leaderboard have to be measured again"
        )


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", list_suites())
def test_every_set_draws_what_is_stated(
    name: str, shared_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKARCS_SHARED", str(shared_path))
    sets = load_suite(name).sets
    assert [k for k, one in sets.items() if parameters_hash(one.request) != one.parameters] == []


def test_the_deeplense_suite_has_5000_test_images_a_class() -> None:
    sets = load_suite("deeplense").sets
    for number in (1, 2, 3):
        request = sets[f"model-{number}"].request
        assert request.scene.name == f"deeplense-{number}"
        assert (request.num, len(request.scene.class_names)) == (15000, 3)
        assert sets[f"model-{number}-smooth"].request.null == "smooth"


def test_the_fair_suite_has_three_telescopes_and_four_fractions() -> None:
    sets = [one for one in load_suite("fair").sets.values() if not one.is_null]
    found = {(one.line, one.request.scene.classes["cdm"].mass_fraction) for one in sets}  # type: ignore[union-attr]
    assert found == {(t, f) for t in ("HST", "Euclid", "JWST") for f in (0.003, 0.01, 0.03, 0.1)}
    assert all(one.at == pytest.approx(100 * f) for one in sets for f in [_fraction(one)])


def _fraction(one: Any) -> float:
    return float(one.request.scene.classes["cdm"].mass_fraction)


def test_a_shift_changes_one_thing_and_keeps_the_lenses() -> None:
    suite = load_suite("shift")
    drawn = {}
    for name in ("euclid", "euclid-psf", "euclid-lens-light"):
        request = suite.sets[name].request
        drawn[name] = request.scene.draw(request.seed, 0, 8, part="test").columns
    for name in ("euclid-psf", "euclid-lens-light"):
        changed = {
            key
            for key, values in drawn[name].items()
            if key not in drawn["euclid"] or (values != drawn["euclid"][key]).any()
        }
        prefix = "point_spread_factor" if name == "euclid-psf" else "lens_light_1"
        assert changed
        assert all(key.startswith(prefix) for key in changed), changed


def test_the_hash_is_of_a_prefix_of_the_lenses_and_of_what_decides_them() -> None:
    base = "scene:fair-euclid?seed=3&part=test&classes=no_sub,cdm"
    one = parameters_hash(parse_uri(f"{base}&num=10"))
    assert one == parameters_hash(parse_uri(f"{base}&num=5000"))
    for change in ("classes.cdm.mass_fraction=0.01", "null=smooth", "instrument.read_noise=9"):
        assert parameters_hash(parse_uri(f"{base}&num=10&{change}")) != one
    request = parse_uri(f"{base}&num=10")
    assert one == request.scene.draw(3, 0, PREFIX, part="test").content_hash()


def test_hashes_are_written_and_comments_stay(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    text = "# made for a test\n" + path.read_text("utf-8")
    blank = yaml.safe_load(text)
    for one in blank["sets"].values():
        text = text.replace(one["parameters"], "")
    path.write_text(text, encoding="utf-8")
    found = write_hashes(path)
    assert path.read_text("utf-8").startswith("# made for a test\n")
    suite = load_suite(path)
    assert {name: one.parameters for name, one in suite.sets.items()} == found
    assert suite.content_hash == small_suite(tmp_path).content_hash
    once = path.read_text("utf-8")
    write_hashes(path)
    assert path.read_text("utf-8") == once


def test_words_are_no_part_of_a_suites_hash(tmp_path: Path) -> None:
    suite = small_suite(tmp_path)
    words = suite.model_copy(update={"question": "Another?"})
    newer = suite.model_copy(update={"version": 2})
    assert words.content_hash == suite.content_hash != newer.content_hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uri": "seed=1&num=60&part=train"}, "set 'few'.* part=test"),
        ({"uri": "num=60&part=test"}, "must give a seed"),
        ({"uri": "seed=1&num=61&part=test"}, "multiple of 3"),
        ({"uri": "seed=1&num=60&part=test&classes=cdm,axion"}, "must hold 'no_sub'"),
        ({"uri": "seed=1&num=60&part=test&noiseless=1"}, "with noise"),
        ({"uri": "seed=1&num=60&part=test&lens.axis_ration=1"}, "axis_ration"),
        ({"reference": "fewest"}, "no set 'fewest' stands before it"),
        ({"titel": "x"}, "unknown key .*titel"),
    ],
)
def test_what_is_wrong_with_a_set_is_said(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    path = write_suite(tmp_path)
    sets = default_sets(tmp_path / "small.yaml")
    if "uri" in change:
        change = {"uri": f"scene:{tmp_path / 'small.yaml'}?{change['uri']}"}
    sets["few"] |= change
    values = yaml.safe_load(path.read_text("utf-8")) | {"sets": sets}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        load_suite(path)


def test_a_misspelt_suite_gets_a_hint() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'deeplense'"):
        suite_file("deeplens")


def test_a_place_needs_an_axis(tmp_path: Path) -> None:
    values = yaml.safe_load(write_suite(tmp_path).read_text("utf-8"))
    del values["axis"]
    with pytest.raises(ConfigurationError, match="no axis"):
        Suite.parse(values, "here")
