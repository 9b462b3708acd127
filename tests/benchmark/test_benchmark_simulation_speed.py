"""The speed of simulation: both sides render the same, and nothing else is timed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darkarcs.benchmark import lenstronomy_images, simulation_speed
from darkarcs.benchmark.simulated_lenses import (
    FIELDS,
    SUBSTRUCTURE,
    draw_lenses,
    make_scene,
    to_parameters,
)
from darkarcs.cli.main import main
from darkarcs.errors import ConfigurationError, MissingExtraError
from darkarcs.instrument import GaussianPointSpread
from darkarcs.scenes import Scene

speed: Any = sys.modules["darkarcs.benchmark.simulation_speed"]


class InThisProcess:
    """What `LenstronomyProcesses` does, without its processes, which take seconds to start."""

    def __init__(self, num_processes: int) -> None:
        pytest.importorskip("lenstronomy", reason="needs lenstronomy")

    def prepare(self, *arguments: Any) -> None:
        lenstronomy_images._prepare(*arguments)

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def image(self, index: int) -> NDArray[np.float64]:
        return lenstronomy_images._one(index)

    def measure(self, num_images: int, num_processes: int) -> tuple[float, float]:
        spent = lenstronomy_images._many(num_images)
        return spent, spent


def render(lenses: dict[str, NDArray[np.float64]], pixels: int = 64) -> torch.Tensor:
    scene = make_scene(pixels)
    return scene.render(to_parameters(scene, lenses))[:, 0]


@pytest.mark.parametrize("substructure", SUBSTRUCTURE)
@pytest.mark.parametrize("pixels", FIELDS)
def test_both_sides_render_the_same(pixels: int, substructure: str) -> None:
    pytest.importorskip("lenstronomy", reason="needs lenstronomy")
    lenses = draw_lenses(3, substructure)
    lenstronomy_images._prepare(lenses, pixels, *FIELDS[pixels])
    ours = render(lenses, pixels).numpy()
    for index in range(3):
        theirs = lenstronomy_images._one(index)
        assert abs(ours[index] - theirs).max() < 1e-4 * theirs.max() > 0


@pytest.mark.parametrize("substructure", ["25 point", "25 tnfw"])
def test_subhalos_change_the_image(substructure: str) -> None:
    """Otherwise sums that were left out would not show."""
    lenses = draw_lenses(2, substructure)
    smooth = {name: column for name, column in lenses.items() if column.ndim == 1}
    with_them, without = render(lenses), render(smooth)
    assert (with_them - without).abs().max() > 10 * speed.TOLERANCE * without.max()


def test_threads_do_not_change_the_images() -> None:
    lenses = draw_lenses(70, "25 point")
    one = render(lenses)
    torch.set_num_threads(2)
    try:
        assert torch.equal(render(lenses), one)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "LenstronomyProcesses", InThisProcess)
    report = simulation_speed(
        pixels=[64], substructure=["25 point"], threads=[1, 2], seconds=0.01, repeats=2
    )
    assert [row["threads"] for row in report["rows"]] == [1, 2]
    for row in report["rows"]:
        assert (row["pixels"], row["substructure"]) == (64, "25 point")
        assert row["difference"] < 1e-4
        assert len(row["ratios"]) == 2
        assert min(row["ratios"]) <= row["ratio"] <= max(row["ratios"])
        assert row["ours"] > 0
        assert row["lenstronomy"] > 0
        assert row["ratio_to_one_process"] > 0
    assert torch.get_num_threads() == 1


def wider_scene(num_pixels: int) -> Scene:
    """Blur more than lenstronomy is told to."""
    scene = make_scene(num_pixels)
    spread = GaussianPointSpread(fwhm=1.2 * FIELDS[num_pixels][1])
    instrument = scene.instrument.model_copy(update={"point_spread": spread})
    return scene.model_copy(update={"instrument": instrument})


def test_unequal_images_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "LenstronomyProcesses", InThisProcess)
    monkeypatch.setattr(speed, "make_scene", wider_scene)
    with pytest.raises(ConfigurationError, match="differ"):
        simulation_speed(pixels=[64], substructure=["0"], threads=[1], seconds=0.01, repeats=1)


@pytest.mark.parametrize(
    "wrong", [{"pixels": [65]}, {"substructure": ["26 point"]}, {"threads": [0]}, {"repeats": 0}]
)
def test_what_it_cannot_measure(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot measure"):
        simulation_speed(**wrong)


def test_lenstronomy_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenstronomy_images, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"lenstronomy.*\[test\]"):
        simulation_speed()


@pytest.mark.slow
def test_processes_render_what_this_process_renders() -> None:
    pytest.importorskip("lenstronomy", reason="needs lenstronomy")
    arguments = (draw_lenses(2, "25 tnfw"), 64, *FIELDS[64])
    lenstronomy_images._prepare(*arguments)
    with lenstronomy_images.LenstronomyProcesses(2) as processes:
        processes.prepare(*arguments)
        assert np.array_equal(processes.image(1), lenstronomy_images._one(1))
        wall_time, processor_time = processes.measure(3, 2)
        assert wall_time > 0
        assert processor_time > 0


def test_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speed, "LenstronomyProcesses", InThisProcess)
    out = tmp_path / "speed.json"
    verb = ["darkarcs", "bench", "simulation", "--pixels", "64", "--substructure", "0"]
    verb += ["--threads", "1", "--quick"]
    for options, code in ((["--json", "--out", str(out)], 0), ([], 0), (["--out", str(out)], 1)):
        monkeypatch.setattr(sys, "argv", [*verb, *options])
        with pytest.raises(SystemExit) as stop:
            main()
        assert (stop.value.code or 0) == code
        captured = capsys.readouterr()
        if "--json" in options:
            assert json.loads(captured.out) == json.loads(out.read_text())
            assert json.loads(captured.out)["rows"][0]["ratio"] > 0
        elif code == 0:
            assert "lenstronomy" in captured.out
        else:
            assert "not overwritten" in captured.err
