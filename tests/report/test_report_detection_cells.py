"""Cells of the tables of detection limits and of sensitivity."""

from __future__ import annotations

from typing import Any

from darkarcs.report.detection_cells import detection_cells, limit_cells, sensitivity_cells


def row(mass: float, edges: list[float | None] | None, rate: float) -> dict[str, Any]:
    return {
        "observer": "m",
        "log10_mass": mass,
        "bin": edges,
        "false_positive_rate": 0.01,
        "num": 7,
        "rate": rate,
        "interval": [rate - 0.05, rate + 0.05],
    }


def test_a_row_holds_the_curve_of_its_bin() -> None:
    near: list[float | None] = [0.0, 0.1]
    far: list[float | None] = [0.1, None]
    limit = {"observer": "m", "false_positive_rate": 0.01}
    content = {
        "log10_masses": [9.0, 9.5],
        "rows": [row(9.0, near, 0.3), row(9.5, near, 0.6), row(9.0, far, 0.1), row(9.5, far, 0.2)],
        "limits": [
            limit | {"bin": near, "log10_mass": 9.333},
            limit | {"bin": far, "log10_mass": None},
        ],
    }
    header, rows = detection_cells(content)
    assert header[4:] == ("10^9", "10^9.5", "half found from")
    assert rows[0] == ("1 %", '0" to 0.1"', "7", "m", "0.30 [0.25, 0.35]", "0.60 [0.55, 0.65]",
                       "10^9.33")  # fmt: skip
    assert rows[1][1] == 'over 0.1"'
    assert rows[1][-1] == "above 10^9.5"
    header, rows = limit_cells(content)
    assert header == ("false positives", "observer", '0" to 0.1" (7)', 'over 0.1" (7)')
    assert rows == [("1 %", "m", "10^9.33", "above 10^9.5")]
    content["limits"][0]["log10_mass"] = 9.0
    assert detection_cells(content)[1][0][-1] == "below 10^9.00"


def test_the_summary_of_maps() -> None:
    summary = {"observer": "m", "false_positive_rate": 0.00135, "shares": [0.0, 0.0235]}
    content = {
        "summary_log10_masses": [9.0, 10.0],
        "log10_masses": [8.0, 10.5],
        "summary": [summary | {"lightest_log10_mass": one} for one in (9.123, None, 8.0)],
    }
    header, rows = sensitivity_cells(content)
    assert header[2:4] == ("sensitive to 10^9, %", "sensitive to 10^10, %")
    assert rows[0] == ("m", "0.135 %", "0.00", "2.35", "10^9.12")
    assert rows[1][-1] == "none"
    assert rows[2][-1] == "below 10^8.00"
