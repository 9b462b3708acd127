"""The draws of each scene, pinned: none changes without anyone noticing."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkarcs.scenes import list_scenes, load_scene
from darkarcs.scenes.priors import GalaxySource

#: The first six lenses of seed 7 by `LensParameters.content_hash`, shortened.
PINNED: dict[str, tuple[int, str]] = {
    "deeplense-1": (1, "d7d6b12261efbce2"),
    "deeplense-2": (1, "c8ccd9b33f9b409d"),
    "deeplense-3": (1, "e1348dee9ed9030a"),
    "deeplense-4": (1, "72adf9bee17be515"),
    "deeplense-test1": (1, "50e7b49ffafa8517"),
    "deeplense-test5": (1, "e07ea425201ea79d"),
    "demo": (1, "86e61d1911a06967"),
    "fair-euclid": (1, "d5bc855f905308e3"),
    "fair-euclid-galaxies": (1, "a29ad687fdcf8af4"),
    "fair-hst": (1, "2459099da455b103"),
    "fair-hst-galaxies": (1, "df02a36e5496f517"),
    "fair-jwst": (1, "1c72eeee562384fb"),
    "fair-jwst-galaxies": (1, "259cb3b9cdab21f3"),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", list_scenes())
def test_the_draws_of_a_scene_are_those_of_its_version(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    one = load_scene(name)
    if isinstance(one.source, GalaxySource):
        shared: Path = request.getfixturevalue("shared_path")
        monkeypatch.setenv("DARKARCS_SHARED", str(shared))
    found = one.draw(7, 0, 6).content_hash()[:16]
    assert PINNED.get(name) == (one.version, found), (
        f"the draws of '{name}' (version {one.version}) are {found} now: released seeds would "
        f"give other lenses. If that is meant, raise 'version' in {name}.yaml, say why in "
        "CHANGES.md, and write the new pair here; if not, something changed them by accident."
    )


def test_every_scene_is_pinned() -> None:
    assert set(PINNED) == set(list_scenes())
