"""The options that say how to erase while predicting."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from darkarcs.cli.erasing_options import erasing_settings
from darkarcs.cli.main import app
from darkarcs.errors import ConfigurationError


def test_how_to_erase_needs_how_often() -> None:
    assert erasing_settings(None, 0.9, "last", "darken") is None
    assert erasing_settings(2, 0.99, "mean", "patches").confidence == 0.99
    for values in ((0.99, "last", "darken"), (0.9, "mean", "darken"), (0.9, "last", "patches")):
        with pytest.raises(ConfigurationError, match="say by --erase K how often"):
            erasing_settings(None, *values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((2, 0.9, "last", "foo"), "--erase-by foo: Input should be 'darken' or 'patches'"),
        ((2, 0.9, "first", "darken"), "--erase-combine first: Input should be 'last' or 'mean'"),
        ((2, 7.0, "last", "darken"), "--erase-confidence 7.0: Input should be less than"),
    ],
)
def test_a_wrong_value_is_told_by_its_option(
    values: tuple[int, float, str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        erasing_settings(*values)
    assert str(caught.value).startswith(told)


def test_explain_tells_its_options_too(tmp_path: Path) -> None:
    arguments = ["explain", "no-model", "no-image", "--out", str(tmp_path / "out")]
    for option, told in (("--erase-by", "'darken' or"), ("--measure", "'log_odds' or")):
        result = CliRunner().invoke(app, [*arguments, option, "foo"])
        assert isinstance(result.exception, ConfigurationError)
        assert str(result.exception).startswith(f"{option} foo: Input should be {told}")
