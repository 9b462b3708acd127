"""Simulation into a file: equal to memory, resumable, never overwriting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_simulation_simulate import assert_equal

from darkarcs import data
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.scenes import load_scene
from darkarcs.simulation import SimulationRequest, simulate, simulate_to_store, to_store
from small_scenes import scene, write

SMALL = scene()
SMOOTH = {
    "classes": {
        "no_sub": {"kind": "none"},
        "cdm": {"kind": "published_point_masses", "num_masses": 3},
    },
    "num_pixels": 8,
    "z_lens": 0.5,
    "z_source": 1.0,
}


def request(**options: Any) -> SimulationRequest:
    return SimulationRequest.parse({"scene": SMALL, "seed": 5, "num": 150} | options, "test")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_store, "SHARD", 64)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("start", [0, 37])
def test_the_store_holds_what_memory_holds(tmp_path: Path, start: int) -> None:
    path = simulate_to_store(request(start=start), tmp_path / "sub" / "lenses.h5")
    stored, memory = data.open(path), simulate(request(start=start))
    assert_equal(stored, memory)
    assert stored.manifest == memory.manifest
    assert [p.name for p in path.parent.iterdir()] == ["lenses.h5"]


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "lenses.h5"
    told: list[int] = []

    def give_up(count: int) -> None:
        told.append(count)
        if sum(told) > 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_to_store(request(), out, progress=give_up)
    assert not out.exists()
    made: list[int] = []
    simulated = simulate

    def count(piece: SimulationRequest, **options: Any) -> data.LensImages:
        made.append(piece.start)
        return simulated(piece, **options)

    monkeypatch.setattr(to_store, "simulate", count)
    again: list[int] = []
    simulate_to_store(request(), out, progress=again.append)
    assert made == [64, 128]  # the first shard was found
    assert sum(again) == 150
    assert_equal(data.open(out), simulate(request()))
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "lenses.h5"
    out.write_text("mine")
    with pytest.raises(OutputExistsError):
        simulate_to_store(request(), out)
    assert out.read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 6},
        {"num": 151},
        {"start": 1},
        {"part": "test"},
        {"paired": True},
        {"noiseless": True},
        {"null": "smooth"},
        {"scene": scene(num_pixels=21)},
        {"scene": SMALL.with_classes(["no_sub", "axion"])},
    ],
)
def test_the_beginning_of_another_set_is_not_taken(tmp_path: Path, other: dict[str, Any]) -> None:
    out = tmp_path / "lenses.h5"
    assert SMALL.identity  # hashes of copies are their own, also after this

    def give_up(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_to_store(request(), out, progress=give_up)
    with pytest.raises(ConfigurationError) as error:
        simulate_to_store(request(**other), out)
    assert "another simulation" in str(error.value)
    assert "remove the folder" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_note_is_one_line(tmp_path: Path, text: str) -> None:
    out = tmp_path / "lenses.h5"
    folder = tmp_path / ".lenses.h5.partial"
    folder.mkdir()
    (folder / "request.json").write_text(text)
    with pytest.raises(ConfigurationError, match="remove the folder"):
        simulate_to_store(request(), out)


@pytest.mark.usefixtures("small_shards")
def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    out = tmp_path / "lenses.h5"

    def give_up(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_to_store(request(), out, progress=give_up)
    shard = tmp_path / ".lenses.h5.partial" / "000000000000.h5"
    shard.write_bytes(b"no shard")
    with pytest.raises(DataError, match=r"000000000000\.h5"):
        simulate_to_store(request(), out)


def test_a_killed_command_goes_on_where_it_was(tmp_path: Path) -> None:
    """A real process, killed without warning; the file is that of an uninterrupted run."""
    recipe = write(tmp_path, **SMOOTH)
    out = tmp_path / "lenses.h5"
    command = [sys.executable, "-m", "darkarcs.cli.main", "simulate", str(recipe)]
    command += ["--num", "1200", "--seed", "9", "--out", str(out), "--device", "cpu"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, **quiet)
    shard = tmp_path / ".lenses.h5.partial" / "000000000000.h5"
    end = time.monotonic() + 120
    while not shard.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    _, message = process.communicate()
    assert process.returncode == -signal.SIGKILL, message.decode()
    assert shard.exists()
    assert not out.exists()
    finished = shard.stat().st_mtime_ns, shard.stat().st_ino
    whole = {"scene": load_scene(recipe), "seed": 9, "num": 1200}
    with pytest.raises(ConfigurationError, match="another simulation"):
        simulate_to_store(SimulationRequest.parse(whole | {"seed": 8}, "test"), out)
    assert (shard.stat().st_mtime_ns, shard.stat().st_ino) == finished
    again = subprocess.run(command, env=environment, check=False, text=True, **quiet)
    assert again.returncode == 0, again.stderr
    assert not list(tmp_path.glob(".*"))
    stored = data.open(out)
    assert_equal(stored, simulate(SimulationRequest.parse(whole, "test")))
    assert np.array_equal(stored.metadata["index"], np.arange(1200))
