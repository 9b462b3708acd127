"""From images on disk to a folder of maps, pictures and a page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from darkarcs.cli.main import main
from darkarcs.data import Preprocessing
from darkarcs.errors import DataError, ModelError, OutputExistsError
from darkarcs.explain import ExplainSettings
from darkarcs.explain.explanation import read_explanation
from darkarcs.inference import classify, explain
from darkarcs.model_folder import Architecture, ModelDescription, write_model_folder
from darkarcs.models import create_model
from darkarcs.report import write_explanations
from rings import ring_lenses

QUICK = ExplainSettings.parse({"erasing": {"rounds": 2, "confidence": 1.0}, "stride": 4}, "test")


def random_model(path: Path, name: str, **options: int) -> Path:
    torch.manual_seed(0)
    shape = {"num_classes": 2, "in_channels": 1, "image_size": 16}
    description = ModelDescription(
        name=f"random-{name}",
        task="test",
        architecture=Architecture(name=name, options=options, **shape),
        preprocessing=Preprocessing(size=16).fit(ring_lenses()),
        class_names=("no_sub", "sub"),
        test_time_augmentation="dihedral",
    )
    return write_model_folder(path, create_model(name, **shape, **options), description, {})


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transformer") / "model"
    return random_model(folder, "compact_vit_100k", patch_size=4, depth=2)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("cnn") / "model", "d4_cnn")


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Three PNG files: two rings, one of them with an awkward name, and no image."""
    paths = [tmp_path / name for name in ("ring.png", "a $x_1$ <b>&.png", "bad.png")]
    for path, image in zip(paths, ring_lenses(count=2).images, strict=False):
        Image.fromarray((255 * np.clip(image[0], 0, 1)).astype(np.uint8)).save(path)
    paths[2].write_bytes(b"no image")
    return [str(path) for path in paths]


def test_maps_of_a_transformer(transformer: Path, pictures: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    records = explain(transformer, pictures[:2], out, settings=QUICK)
    assert sorted(path.name for path in out.iterdir()) == [
        "000-ring.npz",
        "001-a-x_1-b.npz",
        "explanations.json",
    ]
    written = json.loads((out / "explanations.json").read_text(encoding="utf-8"))
    assert written["images"] == records
    assert written["supports_attention"]
    for record, classified in zip(records, classify(transformer, pictures[:2]), strict=True):
        assert record["path"] == classified["path"]
        assert record["probabilities"] == pytest.approx(classified["probabilities"], abs=1e-6)
        maps = read_explanation(out / record["maps"])
        assert maps.evidence.shape == maps.gradient.shape == (16, 16)
        assert len(record["erasing"]) == 3
        assert record["erasing"][0] == pytest.approx(record["one_view_probabilities"], abs=1e-5)


def test_page_and_pictures(transformer: Path, pictures: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    explain(transformer, pictures[:2], out, settings=QUICK)
    page = write_explanations(out)
    text = page.read_text(encoding="utf-8")
    assert page == out / "explanations.html"
    drawn = sorted(out.glob("*.png"))
    assert len(drawn) == 6
    for path in drawn:
        with Image.open(path) as picture:
            assert min(picture.size) > 100
    assert len(re.findall(r'<img src="data:image/png;base64,[A-Za-z0-9+/=]{1000,}"', text)) == 6
    assert "ring.png" in text
    assert "a $x_1$ &lt;b&gt;&amp;.png" in text
    # nothing is fetched: no address but the pictures' own
    assert not re.findall(r"(?:https?:)?//[\w.]+\.\w", re.sub(r'"data:[^"]*"', "", text))
    assert not re.findall(r"<(?:script|link|iframe)\b", text)
    assert all(src.startswith("data:") for src in re.findall(r'(?:src|href)="([^"]*)"', text))
    with pytest.raises(OutputExistsError):
        write_explanations(out)


def test_a_cnn_goes_without_attention(cnn: Path, pictures: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    [record] = explain(cnn, pictures[:1], out, settings=QUICK.model_copy(update={"window": 4}))
    assert record["erasing"] is None
    text = write_explanations(out).read_text(encoding="utf-8")
    assert [path.name for path in out.glob("*.png")] == ["000-ring-maps.png"]
    assert text.count("<img") == 1
    assert "This model has no attention" in text


def test_bad_images_are_named_and_left_out_on_request(
    transformer: Path, pictures: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"bad\.png"):
        explain(transformer, pictures, out, settings=QUICK)
    assert not out.exists()
    records = explain(transformer, pictures, out, settings=QUICK, skip_bad=True)
    assert [record["path"] for record in records] == pictures[:2]
    assert "going on without 1 of 3 paths" in caplog.text
    with pytest.raises(DataError, match=r"bad\.png"):
        explain(transformer, pictures[2:], tmp_path / "none", skip_bad=True)


def test_output_is_never_overwritten(
    transformer: Path, pictures: list[str], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()
    with pytest.raises(OutputExistsError):
        explain(transformer, pictures[:1], tmp_path / "out", settings=QUICK)


def test_another_class_can_be_explained(
    transformer: Path, pictures: list[str], tmp_path: Path
) -> None:
    maps = []
    for name in ("sub", "no_sub"):
        settings = QUICK.model_copy(update={"class_name": name})
        [record] = explain(transformer, pictures[:1], tmp_path / name, settings=settings)
        assert record["explained_class"] == name
        maps.append(read_explanation(tmp_path / name / record["maps"]).evidence)
    np.testing.assert_allclose(maps[0], -maps[1], atol=1e-6)
    settings = QUICK.model_copy(update={"class_name": "axion"})
    with pytest.raises(ModelError, match="choose from no_sub, sub"):
        explain(transformer, pictures[:1], tmp_path / "axion", settings=settings)


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="darkarcs explain"):
        write_explanations(tmp_path)
    (tmp_path / "explanations.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        write_explanations(tmp_path)


def test_verbs(
    transformer: Path,
    pictures: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["darkarcs", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    model, out = str(transformer), str(tmp_path / "out")
    code, printed, _ = run(
        "explain", model, *pictures, "--out", out, "--json", "--skip-bad", "--rounds", "1"
    )
    assert not code
    assert [record["path"] for record in json.loads(printed)] == pictures[:2]
    assert (tmp_path / "out" / "explanations.html").is_file()
    code, _, error = run("explain", model, pictures[0], "--out", out)
    assert code == 1
    assert "is not overwritten" in error
    assert len(error.strip().splitlines()) == 1
    code, printed, _ = run("classify", model, pictures[0], "--erase", "2", "--erase-by", "patches")
    assert not code
    assert "rounds of erasing" in printed
    code, _, error = run("classify", model, pictures[0], "--erase", "2", "--erase-combine", "best")
    assert code == 1
    assert "combine" in error
