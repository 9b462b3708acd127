"""Registries, and what third parties add by entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from darkarcs import registry
from darkarcs.errors import ConfigurationError
from darkarcs.registry import Registry


def test_registering_twice_and_asking_for_what_is_not_there() -> None:
    things: Registry[int] = Registry("thing", "darkarcs.nothing")
    things.register("one")(1)
    with pytest.raises(ConfigurationError, match="registered twice"):
        things.register("one")(2)
    with pytest.raises(ConfigurationError, match="no thing 'onne': did you mean 'one'"):
        things["onne"]
    assert list(things) == ["one"]
    assert len(things) == 1


def test_entry_points_are_loaded_on_demand_and_ours_win(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("theirs", "math:pi", "darkarcs.numbers"),
        EntryPoint("ours", "math:e", "darkarcs.numbers"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    numbers: Registry[float] = Registry("number", "darkarcs.numbers")
    numbers.register("ours")(1.0)
    assert numbers["ours"] == 1.0
    assert numbers["theirs"] == pytest.approx(3.14159, abs=1e-5)
    assert "theirs" in numbers
