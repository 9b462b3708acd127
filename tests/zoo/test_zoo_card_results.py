"""What cards say of results: of classes, and of measurements."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from darkarcs.errors import DataError, ModelError
from darkarcs.zoo import resolve, write_card
from darkarcs.zoo.card_results import read_measured

RESULTS = Path(__file__).resolve().parents[2] / "results"
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
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**report, "model_hash": "0123+45"}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"other\.json: was measured on another model \(0123"):
        write_card(copied, [other])


def test_what_is_no_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_text('{"numbers": {"a": {}}, "map": null, "model_hash": "0"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"it\.json: is no report of darkarcs measure"):
        read_measured(path)
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(DataError, match=r"it\.json"):
        read_measured(path)
