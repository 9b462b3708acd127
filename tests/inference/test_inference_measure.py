"""Measuring images: with truth and without, of models that measure and of those that do not."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_scenes
from darkarcs.data import LensImages, Preprocessing
from darkarcs.data.store import save
from darkarcs.errors import ModelError, OutputExistsError
from darkarcs.evaluation.measurements import read_measurements
from darkarcs.inference import Predictor, classify
from darkarcs.inference.classifier import open_classifier
from darkarcs.inference.measure import measure
from darkarcs.inference.measuring import Measurer, cell_radius
from darkarcs.measurement import MeasuredTarget, Measurement, measurement_files
from darkarcs.model_folder import Architecture, ModelDescription, write_model_folder
from darkarcs.models import ImageClassifier, create_model
from darkarcs.objectives import HeadShape, MeasurementHead, SubstructureMap
from darkarcs.report.measurement_figures import draw_measurements
from darkarcs.simulation import SimulationRequest, simulate
from darkarcs.trust import TRUST_FILE, fit_trust

CORRECTION = 0.25


@pytest.fixture(scope="module")
def lenses() -> LensImages:
    scene = small_scenes.scene().with_classes(["no_sub", "cdm"])
    return simulate(SimulationRequest(scene=scene, num=24))


def write_model(path: Path, lenses: LensImages, corrections: dict[str, float]) -> Path:
    """Write an untrained model that measures."""
    options = {"patch_size": 4, "depth": 1}
    model = create_model("compact_vit_100k", num_classes=2, in_channels=1, image_size=20, **options)
    description = ModelDescription(
        name="measures",
        task="no_sub against cdm",
        architecture=Architecture(
            name="compact_vit_100k", num_classes=2, in_channels=1, image_size=20, options=options
        ),
        preprocessing=Preprocessing(normalization="per_image").fit(lenses),
        class_names=("no_sub", "cdm"),
    )
    measurement = Measurement(
        shape=HeadShape(width=48, grid=5, num_targets=1, num_outputs=5, cells=1),
        loss={"kind": "quantile"},
        levels=(0.68, 0.9),
        targets=(
            MeasuredTarget(
                name="substructure.fraction",
                transform="log10",
                mean=-2.0,
                std=0.5,
                corrections=corrections,
            ),
        ),
        map=SubstructureMap(min_mass=5e8),
        balance=5.0,
    )
    head = MeasurementHead(measurement.shape)
    return write_model_folder(
        path, model, description, {}, extras=measurement_files(head, measurement)
    )


@pytest.fixture(scope="module")
def model(lenses: LensImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write_model(folder / "model", lenses, {"0.9": CORRECTION})


def test_what_is_written_tells_the_same(model: Path, lenses: LensImages, tmp_path: Path) -> None:
    path = tmp_path / "lenses.h5"
    save(lenses, path)
    report = measure(model, str(path), tmp_path / "out", num_bootstrap=20, results=tmp_path / "r")
    kept = tmp_path / "r" / "measurements" / "measures.json"
    assert report == json.loads(kept.read_text(encoding="utf-8"))
    assert report["n"] == 24
    figures = report["numbers"]["substructure.fraction"]
    assert (figures["n"], figures["num_unknown"]) == (12, 12)
    read = read_measurements(tmp_path / "out" / "measurements.csv")
    number = read.numbers["substructure.fraction"]
    truth = lenses.metadata["substructure.fraction"]
    assert np.allclose(number.truth[truth > 0], np.log10(truth[truth > 0]))
    assert np.isnan(number.truth[truth == 0]).all()
    rmse = np.sqrt(np.nanmean((number.median - number.truth) ** 2))
    assert figures["rmse"] == pytest.approx(rmse)
    drawn = draw_measurements(tmp_path / "out")
    assert [path.name for path in drawn] == ["numbers.png", "maps.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    with pytest.raises(OutputExistsError):
        measure(model, str(path), tmp_path / "again", results=tmp_path / "r")
    assert not (tmp_path / "again").exists()


def test_images_that_are_strange_are_named(model: Path, lenses: LensImages, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    predictor = Predictor(folder)
    network = predictor.folder.model
    assert isinstance(network, ImageClassifier)
    preprocessing = predictor.folder.description.preprocessing
    fitted = fit_trust(network, preprocessing, lenses, lenses, predictor.logits(lenses), "none")
    (folder / TRUST_FILE).write_bytes(fitted.to_bytes())
    pixels = lenses.images.copy()
    pixels[3] = np.random.default_rng(0).normal(size=pixels[3].shape)
    mixed = LensImages.from_arrays(pixels, metadata=lenses.metadata)
    save(mixed, tmp_path / "mixed.h5")
    report = measure(folder, str(tmp_path / "mixed.h5"), tmp_path / "out")
    with (tmp_path / "out" / "familiarity.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == lenses.metadata["name"].tolist()
    assert rows[3]["unfamiliar"] == "yes"
    assert float(rows[3]["p_in_distribution"]) == min(float(r["p_in_distribution"]) for r in rows)
    count = sum(row["unfamiliar"] == "yes" for row in rows)
    assert f"{count} of {len(rows)} images are unlike" in " ".join(report["warnings"])


def test_corrections_widen_their_own_interval(
    model: Path, lenses: LensImages, tmp_path: Path
) -> None:
    folder = Measurer(model)
    bare = Measurer(write_model(tmp_path / "bare", lenses, {}))
    bare.measuring.head.load_state_dict(folder.measuring.head.state_dict())
    bare.predictor.folder.model.load_state_dict(folder.predictor.folder.model.state_dict())
    name = "substructure.fraction"
    wide, plain = (one.measure(lenses)[0].numbers[name] for one in (folder, bare))
    assert np.allclose(wide.lower[:, 1], plain.lower[:, 1] - CORRECTION)
    assert np.allclose(wide.upper[:, 1], plain.upper[:, 1] + CORRECTION)
    assert np.array_equal(wide.lower[:, 0], plain.lower[:, 0])


def test_images_without_truth_are_measured(model: Path, lenses: LensImages, tmp_path: Path) -> None:
    path = tmp_path / "sky.h5"
    save(LensImages.from_arrays(lenses.images, pixel_scale=lenses.pixel_scale), path)
    report = measure(model, str(path), tmp_path / "out")
    assert report["numbers"] == {"substructure.fraction": None}
    assert report["map"] is None
    assert draw_measurements(tmp_path / "out") == []
    read = read_measurements(tmp_path / "out" / "measurements.csv")
    assert np.isfinite(read.numbers["substructure.fraction"].median).all()


def test_a_model_that_does_not_measure_says_so(
    model: Path, lenses: LensImages, tmp_path: Path
) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    with pytest.raises(ModelError, match="does not measure"):
        Measurer(tmp_path)


def test_radii_are_those_of_the_cells(lenses: LensImages) -> None:
    fitted = Preprocessing(crop_pixels=10).fit(lenses)  # 2 arcsec
    radius = cell_radius(lenses, fitted, 2)
    assert radius is not None
    columns: dict[str, Any] = lenses.metadata
    x = 0.5 - columns["lens.centre_x"]
    y = -0.5 - columns["lens.centre_y"]
    expected = np.hypot(x, y) / columns["lens.einstein_radius"]
    assert np.allclose(radius[:, 0, 1], expected, rtol=1e-5)
    assert cell_radius(lenses, fitted.model_copy(update={"pixel_scale": None}), 2) is None


def test_a_model_that_only_measures_does_not_classify(
    model: Path, lenses: LensImages, tmp_path: Path
) -> None:
    assert open_classifier(model).class_names == ("no_sub", "cdm")
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    objective = {"kind": "regression", "classification": {"weight": 0.0}}
    described["provenance"] = {"recipe": {"objective": objective}}
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(ModelError, match="use darkarcs measure"):
        classify(folder, [tmp_path / "image.fits"])
