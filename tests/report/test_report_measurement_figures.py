"""Figures of measurements: drawn from files, or one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkarcs.errors import DataError
from darkarcs.report.measurement_figures import draw_measurements


def test_a_folder_without_measurements_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"measurement\.json: cannot be read"):
        draw_measurements(tmp_path)
    (tmp_path / "measurement.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        draw_measurements(tmp_path)
