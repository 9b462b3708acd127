"""The page on weaknesses: complete, self-contained, and useful when parts are missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation import Predictions
from darkarcs.evaluation.examples import choose_examples, write_examples
from darkarcs.evaluation.subpopulation_groups import SubpopulationSettings
from darkarcs.evaluation.subpopulation_trees import find_interactions
from darkarcs.evaluation.subpopulations import find_subpopulations
from darkarcs.report.subpopulations import write_weaknesses


def write(folder: Path, *, rank_by: str = "log_loss", perfect: bool = False) -> dict:
    rng = np.random.default_rng(0)
    count = 1600
    x = rng.normal(size=count)
    kind = rng.choice(["ring", "quad"], count)
    labels = np.arange(count) % 2
    logits = rng.normal(size=(count, 2))
    logits[np.arange(count), labels] += np.where((x > 0.5) & (kind == "quad"), -1.0, 3.0)
    if perfect:
        logits = 40.0 * np.eye(2)[labels]
    names = np.array([f"{k:04d}<b>" for k in range(count)])
    p = Predictions(names, names, names, labels, logits, ("no_sub", "sub"), "all", "0f3a")
    settings = SubpopulationSettings(num_bootstrap=50, rank_by=rank_by)
    attributes = {"$x_1 <&>": x, "kind": kind}
    found = find_subpopulations(p, attributes, settings)
    found["interactions"] = find_interactions(p, attributes, settings)
    chosen = choose_examples(p, mistakes=3, doubtful=0, right=0)
    found["mistakes"] = [
        {
            "name": names[choice.index],
            "identity": names[choice.index],
            "label": "sub",
            "predicted": "no_sub",
            "probability": 0.99,
            "attributes": {"$x_1 <&>": x[choice.index], "kind": None},
        }
        for choice in chosen
    ]
    found |= {"num_mistakes": 9, "model": "a <b>model</b>", "data": {"source": None}}
    found |= {"command": "darkarcs weaknesses p.csv", "version": "0"}
    (folder / "weaknesses.json").write_text(json.dumps(found))
    if chosen:
        pixels = rng.random((len(chosen), 1, 12, 12)).astype(np.float32)
        write_examples(folder / "examples.npz", p, chosen, pixels)
    return found


@pytest.mark.parametrize("rank_by", ["log_loss", "accuracy", "ranking"])
def test_the_page_says_everything_and_asks_nothing_of_the_network(tmp_path: Path, rank_by) -> None:
    found = write(tmp_path, rank_by=rank_by)
    page = write_weaknesses(tmp_path).read_text(encoding="utf-8")
    assert found["worst"]
    assert found["interactions"]["worst"]
    assert page.count("data:image/png") == 3
    assert "&lt;b&gt;model" in page
    assert "<b>" not in page
    assert page.count("<svg") >= 3
    assert "<script" not in page
    assert 'src="http' not in page
    assert "kind = quad" in page
    assert f"{found['overall']['auc']['value']:.4f}" in page
    (tmp_path / "weaknesses.html").unlink()
    assert write_weaknesses(tmp_path).read_text(encoding="utf-8") == page


def test_a_model_without_mistakes_has_a_page(tmp_path: Path) -> None:
    write(tmp_path, perfect=True)
    page = write_weaknesses(tmp_path).read_text(encoding="utf-8")
    assert "every image was called rightly" in page
    assert "by more than chance" in page


def test_pictures_may_be_missing_and_pages_are_not_replaced(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "examples.npz").unlink()
    assert "data:image" not in write_weaknesses(tmp_path).read_text(encoding="utf-8")
    with pytest.raises(OutputExistsError):
        write_weaknesses(tmp_path)


def test_damaged_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="darkarcs weaknesses"):
        write_weaknesses(tmp_path)
    file = tmp_path / "weaknesses.json"
    for content, message in (("{", "cut short"), ("[]", "no result"), ('{"n": 3}', "'schema'")):
        file.write_text(content)
        with pytest.raises(DataError, match=message):
            write_weaknesses(tmp_path)
