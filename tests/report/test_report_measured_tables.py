"""Tables that pages hold of measured files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkarcs.errors import DataError
from darkarcs.report.measured_tables import refresh_measured

SPEED = {
    "rows": [
        {
            "pixels": 64,
            "substructure": "25 point",
            "threads": 2,
            "ours": 9000.4,
            "lenstronomy": 600.2,
            "ratio": 15.0,
            "ratio_to_one_process": 29.0,
        }
    ],
    "command": "darkarcs bench simulation",
}
SUMMARY = {
    "num_per_class": 100,
    "arm": "random",
    "seeds": 3,
    "auc": 0.91234,
    "spread": 0.01,
    "difference": 0.0123,
    "difference_interval": [0.001, 0.02],
    "throughput": 81.2,
    "converged": 2,
}
SPENT = [
    {"arm": "random", "num_per_class": 100, "token_forwards": tokens, "optimizer_steps": steps}
    for tokens, steps in ((2_070_000, 1000), (2_090_000, 1200))
]
HALF = {"value": 0.5, "interval": [0.4, 0.6]}
MEASURES = dict.fromkeys(("auc", "accuracy", "log_loss", "calibration_gap"), HALF)
WEAK = {
    "n": 100,
    "overall": MEASURES,
    "subpopulations": [
        {
            "text": "faint",
            "n": 20,
            "class_counts": {"no_sub": 8, "cdm": 12},
            "auc": HALF,
            "measures": MEASURES,
        }
    ],
    "worst": [{"index": 0}],
    "best": [],
}
LEAK = {"family": "radial profile", "auc": 0.993, "interval": [0.99, 0.996], "verdict": "leaks"}
NULL = {
    "null": "massless",
    "primary": {"name": "all", "auc": 0.51, "standard_error": 0.02, "passed": True},
}
AUDIT = {
    "sets": [{"source": "scene:a|b", "leaks": [LEAK], "null_tests": {"results": [NULL]}}],
}


def page_with(tmp_path: Path, kind: str, content: dict[str, Any] | None) -> Path:
    if content is not None:
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "it.json").write_text(json.dumps(content), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        f"before\n<!-- measured:{kind} it.json -->\nold\n<!-- /measured -->\nafter\n", "utf-8"
    )
    return page


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("simulation-speed", SPEED, "| 64 x 64 | 25 point | 2 | 9,000 | 600 | 15.0 | 29.0 |"),
        (
            "sweep",
            {"configuration": {}, "summary": [SUMMARY], "rows": SPENT},
            "| 100 | random | 0.9123 +- 0.0100 (1 not converged) | +0.0123 [+0.0010, +0.0200] "
            "| 3 | 2.08M | 1,100 | 81 |",
        ),
        (
            "sweep",
            {
                "configuration": {"learning_rates": [0.001, 0.002]},
                "summary": [SUMMARY],
                "rows": [{**row, "learning_rate": 0.002} for row in SPENT],
            },
            "| 100 | random | 0.9123 +- 0.0100 (1 not converged) | +0.0123 [+0.0010, +0.0200] "
            "| 3 | 2.08M | 1,100 | 81 | 0.002 |",
        ),
        (
            "weaknesses",
            WEAK,
            "| faint | 20 | 0.5000 [0.4000, 0.6000] | 0.500 [0.400, 0.600] "
            "| 0.500 [0.400, 0.600] | +0.500 |",
        ),
        ("audit", AUDIT, "| `scene:a b` | radial profile | 0.993 [0.990, 0.996] | leaks |"),
        ("audit", AUDIT, "| `scene:a b` | null: massless, all | 0.510 +- 0.020 | passed |"),
    ],
)
def test_tables(tmp_path: Path, kind: str, content: dict[str, Any], expected: str) -> None:
    page = page_with(tmp_path, kind, content)
    assert refresh_measured(page, tmp_path / "results")
    lines = page.read_text(encoding="utf-8").splitlines()
    assert expected in lines
    assert "old" not in lines
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert not refresh_measured(page, tmp_path / "results")


def test_origin_is_named(tmp_path: Path) -> None:
    page = page_with(tmp_path, "simulation-speed", SPEED)
    refresh_measured(page, tmp_path / "results")
    text = page.read_text(encoding="utf-8")
    assert "From `results/it.json`, written by `darkarcs bench simulation`." in text


def test_missing_file_and_unknown_kind(tmp_path: Path) -> None:
    page = page_with(tmp_path, "sweep", None)
    with pytest.raises(DataError, match=r"no table 'sweep' of it\.json"):
        refresh_measured(page, tmp_path / "results")
    page.write_text("<!-- measured:sweep it.json -->\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no <!-- /measured -->"):
        refresh_measured(page, tmp_path / "results")


def test_robustness_is_averaged_over_the_files_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "draws"
    folder.mkdir(parents=True)
    for draw, gain in enumerate((0.01, 0.02, 0.03)):
        areas = {"as is": (0.9, 0.9 + gain), "noise x2": (0.7, 0.8 + gain)}
        conditions = {
            name: {"plain": {"auc": first}, "random": {"auc": second}}
            for name, (first, second) in areas.items()
        }
        content = {"conditions": conditions, "command": f"darkarcs bench robustness {draw}"}
        (folder / f"draw-{draw}.json").write_text(json.dumps(content), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("<!-- measured:robustness draws -->\n<!-- /measured -->\n", "utf-8")
    assert refresh_measured(page, tmp_path / "results")
    text = page.read_text(encoding="utf-8")
    # Student's quantile of two degrees of freedom, 4.303, times .01 over the root of three
    assert "| as is | 0.900 | 0.920 | +0.020 [-0.005, +0.045] |" in text
    assert "| noise x2 | 0.700 (-0.200) | 0.820 (-0.100) | +0.120 [+0.095, +0.145] |" in text
    assert "written by `darkarcs bench robustness 0`, then" in text
    content["conditions"]["as is"]["third"] = {"auc": 0.5}
    (folder / "draw-2.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"draws: .* two models, not: plain, random, third"):
        refresh_measured(page, tmp_path / "results")
