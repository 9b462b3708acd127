"""`darkarcs data audit`: what people and programs see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from audit_fakes import CLASSES, as_lenses, fair_rings, fake_scene
from typer.testing import CliRunner

from darkarcs import data
from darkarcs.audit import audit
from darkarcs.audit.figure import draw_audit
from darkarcs.audit.null_tests import NullSample
from darkarcs.cli import audit as command
from darkarcs.cli.data import app
from darkarcs.data import LensImages
from darkarcs.errors import DataError, OutputExistsError

runner = CliRunner()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    images, labels = fair_rings(60)
    images[labels == 1] *= 3
    images[7] = images[12, :, ::-1]
    labels[[7, 12]] = 0
    return data.save(as_lenses(images, labels), tmp_path / "set.h5")


def run(*arguments: object) -> str:
    result = runner.invoke(app, ["audit", *(str(argument) for argument in arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_people_see_a_table_and_programs_json(store: Path, tmp_path: Path) -> None:
    text = run(store, "--out", tmp_path / "out")
    assert "60 images of 32 x 32 pixels" in text
    assert "all together" in text
    assert "leaks: noise or files tell the class" in text
    assert "duplicates: 0 exact, 1 near" in text
    assert "000007 (no_sub" in text
    assert (tmp_path / "out" / "audit.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads(run(store, "--json"))
    assert facts == json.loads((tmp_path / "out" / "audit.json").read_text())
    (part,) = facts["sets"]
    assert part["verdict"] == "leaks"
    rows = {leak["family"]: leak for leak in part["leaks"]}
    assert rows["peak"]["auc"] > 0.95
    assert rows["peak"]["interval"][0] > 0.5
    with pytest.raises(OutputExistsError):
        run(store, "--out", tmp_path / "out")


def test_several_sets_are_compared(store: Path, tmp_path: Path) -> None:
    images, labels = fair_rings(40, seed=8)
    images[0] = data.load(store).images[20]
    other = data.save(as_lenses(images, labels), tmp_path / "other.h5")
    text = run(store, other, "--out", tmp_path / "out", "--max-images", 1000)
    assert "1 across the sets given" in text
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "audit.json", "audit-1.png", "audit-2.png",
    }  # fmt: skip


def test_a_set_without_labels_has_duplicates_only(tmp_path: Path) -> None:
    images, _ = fair_rings(12)
    path = data.save(LensImages.from_arrays(images), tmp_path / "set.h5")
    text = run(path, "--out", tmp_path / "out")
    assert "no table of leaks: there are no labels" in text
    assert "duplicates: 0 exact, 0 near" in text
    assert not (tmp_path / "out" / "audit.png").exists()
    with pytest.raises(DataError, match="no such file"):
        run(tmp_path / "nowhere")


@pytest.mark.parametrize("fair", [True, False])
def test_a_scene_is_put_to_the_null_tests(
    store: Path, capsys: pytest.CaptureFixture[str], fair: bool
) -> None:
    scene = fake_scene(
        None if fair else lambda images, labels: images + labels[:, None, None, None]
    )

    def find(uri: str) -> NullSample | None:
        return scene if uri == str(store) else None

    report = audit([store], find_null_sample=find, null_images=200)
    tests = report.sets[0].null_tests
    assert tests is not None
    assert tests.passed == fair
    facts = json.loads(json.dumps(report.as_json()))
    command.print_audit(facts)
    text = capsys.readouterr().out
    assert "random convolutions" in text
    assert ("FAILED: the scene leaks" in text) != fair


def test_the_figure_bears_any_name_and_is_not_overwritten(tmp_path: Path) -> None:
    images, labels = fair_rings(40)
    lenses = LensImages.from_arrays(images, labels, ("_hidden", "a$b"))
    path = data.save(lenses, tmp_path / "set.h5")
    (audited,) = audit([path]).sets
    drawn = draw_audit(audited, tmp_path / "folder" / "a.png")
    assert drawn.stat().st_size > 10_000
    with pytest.raises(OutputExistsError):
        draw_audit(audited, drawn)
    assert len(audited.profiles) == len(CLASSES)
    assert np.all(audited.profiles[0].low <= audited.profiles[0].high)
