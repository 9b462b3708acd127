"""``darkarcs measure``: what people read."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from darkarcs.cli.main import app
from darkarcs.cli.measure import print_measurements
from darkarcs.evaluation.regression import evaluate_regression
from darkarcs.evaluation.substructure_maps import evaluate_map


def test_the_tables_hold_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    truth = np.linspace(-3, -1, 40)
    bounds = truth[:, None] + np.array([[-0.1, -0.2]]), truth[:, None] + np.array([[0.1, 0.2]])
    number = evaluate_regression(truth, truth + 0.15, *bounds, (0.68, 0.9), num_bootstrap=0)
    counts = np.zeros((3, 4, 4))
    counts[:, 0, 0] = 1
    located = evaluate_map(counts + 0.1, counts, None, num_bootstrap=0)
    numbers = {"a": {"unit": "dex", **number}, "b": None}
    print_measurements({"n": 40, "numbers": numbers, "map": located})
    shown = " ".join(capsys.readouterr().out.split())
    assert "+0.150" in shown
    assert "100.0%" in shown
    assert "no truth" in shown
    assert "1.0000" in shown


def test_help_says_what_it_does() -> None:
    answer = CliRunner().invoke(app, ["measure", "--help"])
    assert answer.exit_code == 0
    assert "calibrated" in answer.output
