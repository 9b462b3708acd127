"""Where predictions stand: any substructure against none, pooled and by pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import small_scenes
from darkarcs.benchmark.limit_models import _place
from darkarcs.evaluation.predictions import Predictions
from darkarcs.limits.variants import make_variants


def test_three_classes_become_two(tmp_path: Path) -> None:
    names = [str(index) for index in range(6)]
    # no_sub, cdm, axion; images of a pair follow each other
    logits = [[3, 0, 0], [0, 0, 3], [1, 0, -9], [0, 4, 0], [0, 0, 0], [0, 0, 0]]
    predictions = Predictions(
        identities=np.array(names),
        groups=np.array(["a", "a", "b", "b", "c", "c"]),
        names=np.array(names),
        labels=np.array([0, 1, 0, 1, 0, 1]),
        logits=np.array(logits, dtype=np.float64),
        class_names=("no_sub", "cdm", "axion"),
        split="test",
        model_hash="0f3a",
    )
    variant = make_variants(small_scenes.scene(), fractions=[0.01])[0]
    log = tmp_path / "test_log.csv"
    point = _place("mine", variant, predictions, log)
    assert point.paired == pytest.approx(2.5 / 3)
    assert point.pooled.value == pytest.approx(8.5 / 9)
    assert (point.class_name, point.fraction, point.num) == ("cdm", 0.01, 6)
    assert "mine (limit: small)" in log.read_text()
