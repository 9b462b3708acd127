"""What cards say of results: of classes, and of measurements."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from darkarcs.errors import DataError, ModelError
from darkarcs.evaluation.measurement_cells import map_cells, number_cells
from darkarcs.released import read_released, verify
from darkarcs.zoo import resolve, write_card
from darkarcs.zoo.card_results import read_measured

RESULTS = Path(__file__).resolve().parents[2] / "results"
FRACTION = "substructure.fraction"
REPORT = RESULTS / "measurements" / "fair-euclid-measure.json"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(resolve("darkarcs-fair-euclid-measure"), tmp_path / "model"))


def test_a_card_tells_what_is_measured_and_how_well(copied: Path) -> None:
    text = write_card(copied, [REPORT]).read_text(encoding="utf-8")
    assert "It measures `substructure.fraction`, `substructure.mean_fraction`" in text
    assert "and maps where subhalos of 1e+09 solar masses or more sit." in text
    assert "darkarcs measure darkarcs-fair-euclid-measure DATA --out measured" in text
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    for name, number in report["numbers"].items():
        assert f"| `{name}` | 1,200 | {number['r_squared']:.2f} [" in text
    assert f"| model | {report['map']['model']['auc']:.3f} [" in text
    assert report["command"] in text
    assert "Not yet evaluated" not in text


def test_measurements_of_another_model_are_refused(copied: Path, tmp_path: Path) -> None:
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    backbone, _, head = report["model_hash"].partition("+")
    for model_hash in (f"0123+{head}", f"{backbone}+0123", backbone):
        other = tmp_path / "other.json"
        other.write_text(json.dumps({**report, "model_hash": model_hash}), encoding="utf-8")
        with pytest.raises(ModelError, match=r"other\.json: was measured on another model \("):
            write_card(copied, [other])


def test_a_head_that_was_not_released_is_refused(copied: Path) -> None:
    write_card(copied, [REPORT])
    verify(read_released(copied))
    head = copied / "measurement.json"
    head.write_text(head.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(ModelError, match=r"measurement\.json: is not the file that was released"):
        verify(read_released(copied))


def test_measurements_without_resampling_have_no_brackets() -> None:
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    maps = (report["map"][name] for name in ("model", "radial", "gain"))
    for figures in (*report["numbers"].values(), *maps):
        for key in [key for key in figures if key.endswith("_interval")]:
            figures[key] = None
    assert number_cells(report)[1][0][2] == f"{report['numbers'][FRACTION]['r_squared']:.2f}"
    assert map_cells(report)[1][0][1] == f"{report['map']['model']['auc']:.3f}"


def test_what_is_no_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_text('{"numbers": {"a": {}}, "map": null, "model_hash": "0"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"it\.json: is no report of darkarcs measure"):
        read_measured(path)
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(DataError, match=r"it\.json"):
        read_measured(path)
