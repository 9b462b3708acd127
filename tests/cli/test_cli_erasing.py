"""The options that say how to erase while predicting."""

from __future__ import annotations

import pytest

from darkarcs.cli.erasing_options import erasing_settings
from darkarcs.errors import ConfigurationError


def test_how_to_erase_needs_how_often() -> None:
    assert erasing_settings(None, 0.9, "last", "darken") is None
    assert erasing_settings(2, 0.99, "mean", "patches").confidence == 0.99
    for values in ((0.99, "last", "darken"), (0.9, "mean", "darken"), (0.9, "last", "patches")):
        with pytest.raises(ConfigurationError, match="say by --erase K how often"):
            erasing_settings(None, *values)
