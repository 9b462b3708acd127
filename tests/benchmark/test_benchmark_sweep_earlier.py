"""Seeds and arms are added to a result without training again what it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkarcs import data
from darkarcs.benchmark.sweep import run_sweep
from darkarcs.benchmark.sweep_rows import summarize
from darkarcs.benchmark.sweep_settings import Sweep, load_sweep
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.report.measured_tables import refresh_measured
from rings import ring_lenses

RECIPE: dict[str, Any] = {
    "name": "base",
    "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 1}},
    "objective": {"kind": "iterative_erasing", "num_rounds": 0},
    "training": {"batch_size": 8, "precision": "32", "threads": 1},
}
SWEEP: dict[str, Any] = {
    "name": "tiny",
    "recipe": "base.yaml",
    "arms": {"none": []},
    "budget_images": 32,
    "num_per_class": [10],
    "learning_rates": [1.0e-4, 1.0e-3],
    "tuned_with": "first seed",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "base.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    (folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP), encoding="utf-8")
    data.save(ring_lenses(200), folder / "rings.h5")
    run_sweep(
        load_sweep(folder / "sweep.yaml"),
        str(folder / "rings.h5"),
        folder / "runs",
        results=folder / "results",
    )
    return folder


def sweep_of(files: Path, **changes: Any) -> Sweep:
    return load_sweep(files / "sweep.yaml").model_copy(update=changes)


def test_only_what_is_new_is_trained(files: Path, tmp_path: Path) -> None:
    wider = sweep_of(
        files,
        description="told otherwise",
        seeds=(0, 1),
        arms={"none": (), "random": ("objective.num_rounds=1", "objective.strategy=random")},
    )
    old = files / "results" / "sweeps" / "tiny.json"
    found = run_sweep(
        wider,
        str(files / "rings.h5"),
        tmp_path / "runs",
        measured=old,
        results=tmp_path / "results",
    )
    before = json.loads(old.read_text("utf-8"))
    assert [(row.arm, row.seed, row.earlier) for row in found] == [
        ("none", 0, True),
        ("random", 0, False),
        ("none", 1, False),
        ("random", 1, False),
    ]
    assert found[0].model_dump(mode="json") == {**before["rows"][0], "earlier": True}
    trained = sorted(path.relative_to(tmp_path / "runs").as_posix() for path in
                     (tmp_path / "runs").glob("*/*/rate-*"))  # fmt: skip
    # the earlier result's learning rate holds for its arm's other seeds
    rate = f"rate-{before['rows'][0]['learning_rate']:g}"
    assert f"none/labels-10-seed-1/{rate}" in trained
    assert len(trained) == 1 + 2 + 1
    after = json.loads((tmp_path / "results" / "sweeps" / "tiny.json").read_text("utf-8"))
    (origin,) = after["earlier"]
    assert {key: before[key] for key in origin} == origin
    assert set(origin) == {"command", "commit", "version", "machine"}
    # another machine's pace is not mixed with this one's
    line, row = after["summary"][0], found[2]
    assert line["throughput"] == pytest.approx(row.images_seen / row.wall_time)


def test_the_table_tells_both_commands(files: Path, tmp_path: Path) -> None:
    content = json.loads((files / "results" / "sweeps" / "tiny.json").read_text("utf-8"))
    content |= {"earlier": [{"command": "darkarcs sweep first"}], "command": "darkarcs sweep then"}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "it.json").write_text(json.dumps(content), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("<!-- measured:sweep it.json -->\n<!-- /measured -->\n", encoding="utf-8")
    refresh_measured(page, tmp_path / "results")
    told = "written by `darkarcs sweep first`, then `darkarcs sweep then`."
    assert told in page.read_text(encoding="utf-8")


def test_other_recipes_are_trained_anew(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = sweep_of(files, common=("training.weight_decay=0.1",))
    old = files / "results" / "sweeps" / "tiny.json"
    uri = str(files / "rings.h5")
    (row,) = run_sweep(changed, uri, tmp_path / "runs", measured=old, results=tmp_path / "results")
    assert not row.earlier
    assert "none, seed 0: trained anew: training.weight_decay is 0.1 now and was" in caplog.text
    # nothing of the earlier result is left to tell of
    after = json.loads((tmp_path / "results" / "sweeps" / "tiny.json").read_text("utf-8"))
    assert "earlier" not in after


def test_threads_change_no_weights(files: Path, tmp_path: Path) -> None:
    old = files / "results" / "sweeps" / "tiny.json"
    (row,) = run_sweep(
        sweep_of(files),
        str(files / "rings.h5"),
        tmp_path / "runs",
        overrides=("training.threads=2",),
        measured=old,
    )
    assert row.earlier
    (line,) = summarize([row.model_dump(mode="json")])
    assert line["throughput"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measured_on": "test"}, "was measured with measured_on development, not test"),
        ({"learning_rates": (1e-3,)}, "was measured with learning_rates"),
        ({"seeds": (1, 0)}, "was measured with first seed 0, not 1"),
        ({"arms": {"none": (), "b": ("teacher.models=[{model:none}]",)}}, "taught by another"),
    ],
)
def test_what_does_not_compare_is_refused(
    files: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    old = files / "results" / "sweeps" / "tiny.json"
    with pytest.raises(ConfigurationError, match=message):
        run_sweep(sweep_of(files, **changes), str(files / "rings.h5"), tmp_path, measured=old)


def test_other_images_and_other_files_are_refused(files: Path, tmp_path: Path) -> None:
    old = files / "results" / "sweeps" / "tiny.json"
    data.save(ring_lenses(120), tmp_path / "others.h5")
    with pytest.raises(DataError, match=r"tiny\.json: is of other images"):
        run_sweep(sweep_of(files), str(tmp_path / "others.h5"), tmp_path, measured=old)
    (tmp_path / "no.json").write_text('{"rows": 3}', encoding="utf-8")
    content = json.loads(old.read_text("utf-8"))
    del content["machine"]
    (tmp_path / "old.json").write_text(json.dumps(content), encoding="utf-8")
    for name in ("no.json", "old.json", "missing.json", "others.h5"):
        with pytest.raises(DataError, match=rf"{name}: is not the result of a sweep"):
            run_sweep(sweep_of(files), str(files / "rings.h5"), tmp_path, measured=tmp_path / name)
