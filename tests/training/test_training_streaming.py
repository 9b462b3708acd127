"""Training on an endless stream: fresh lenses, resumed by index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file

from darkarcs.data import LensImages
from darkarcs.data.streams import STREAMS, LensStream, open_stream
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.inference import Predictor
from darkarcs.model_folder import read_description
from darkarcs.training import Recipe, train
from darkarcs.training.callbacks import Selection
from darkarcs.training.preparation import prepare_stream
from darkarcs.training.streaming import StreamBatches
from darkarcs.trust import read_trust
from rings import ring_lenses
from small_scenes import VALUES

RECIPE: dict[str, Any] = {
    "name": "tiny-stream",
    "stream": {"images_per_epoch": 16, "num_validation": 12, "num_fit": 8},
    "preprocessing": {"size": 16, "normalization": "per_image"},
    "model": {"name": "compact_vit_100k", "options": {"patch_size": 4, "depth": 1}},
    "training": {"epochs": 3, "batch_size": 8, "precision": "32", "ema_share": 0.2},
}


class Rings(LensStream):
    """A stream whose image i is made of i alone."""

    class_names = ("no_sub", "sub")
    pixel_scale = None
    identity = "rings/0"
    manifest: dict[str, Any] = {"source": "rings"}

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def batch(
        self, start: int, count: int, device: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        self.asked.append((start, count))
        lenses = ring_lenses(start + count).select(np.arange(start, start + count))
        assert lenses.labels is not None
        return lenses.images, lenses.labels

    def images(self, part: str, num: int) -> LensImages:
        return ring_lenses(num, seed=len(part))


def test_no_image_is_asked_for_twice() -> None:
    stream = Rings()
    prepared = prepare_stream(stream, Recipe.parse(RECIPE, "test"))
    batches = StreamBatches(stream, [prepared.preprocessing], 20, 8, torch.device("cpu"))
    indices = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        indices += [batch.indices for batch in batches]
    assert len(batches) == 2
    assert torch.cat(indices).tolist() == [*range(16), *range(20, 36)]
    assert stream.asked == [(0, 8), (8, 8), (20, 8), (28, 8)]


def test_batches_are_the_preprocessed_images() -> None:
    stream = Rings()
    prepared = prepare_stream(stream, Recipe.parse(RECIPE, "test"))
    fitted = prepared.preprocessing
    batches = StreamBatches(stream, [fitted, fitted], 16, 8, torch.device("cpu"))
    second = list(batches)[1]
    images, labels = stream.batch(8, 8, "cpu")
    assert np.array_equal(second.images.numpy(), fitted.apply(images, None))
    assert np.array_equal(second.views[0].numpy(), second.images.numpy())
    assert second.labels.tolist() == labels.tolist()


@pytest.fixture
def scene(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(VALUES), encoding="utf-8")
    return f"scene:{path}?seed=3"


def test_training_on_a_scene_and_what_is_written(scene: str, tmp_path: Path) -> None:
    run = train(Recipe.parse(RECIPE, "test"), scene, tmp_path / "run")
    description = read_description(run.model)
    assert run.images_seen == 3 * 16
    assert description.data["stream"]["identity"].startswith("small/1/")
    assert description.data["stream"]["images_per_epoch"] == 16
    assert description.split["num_images"] == {"validation": 12}
    # what selected the epoch does not calibrate
    trust, stream = read_trust(run.model), open_stream(scene)
    assert trust is not None
    assert stream is not None
    fresh = stream.images("validation", 24).select(np.arange(12, 24))
    assert fresh.labels is not None
    assert trust.labels.tolist() == fresh.labels.tolist()
    expected = Predictor(run.model).logits(fresh) / description.temperature
    np.testing.assert_allclose(trust.logits, expected, atol=1e-4)


def test_a_resumed_run_sees_what_an_uninterrupted_one_would(
    scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.parse({**RECIPE, "training": {**RECIPE["training"], "threads": 1}}, "test")
    whole = train(recipe, scene, tmp_path / "whole")
    measure = Selection.on_validation_epoch_end

    def stop_in_the_third(self: Selection, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("cut off")
        measure(self, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(Selection, "on_validation_epoch_end", stop_in_the_third)
        with pytest.raises(RuntimeError, match="cut off"):
            train(recipe, scene, tmp_path / "cut")
    resumed = train(recipe, scene, tmp_path / "cut", resume=True)
    weights = [load_file(run.model / "model.safetensors") for run in (whole, resumed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": {"num_per_class": 5}}, "split.num_per_class needs a set of images"),
        ({"split": {"fold": 1}}, "split.fold needs a set of images"),
    ],
)
def test_what_needs_a_set_is_refused(
    scene: str, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train(Recipe.parse({**RECIPE, **change}, "test"), scene, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_a_uri_without_number_is_a_stream(tmp_path: Path) -> None:
    assert open_stream(str(tmp_path)) is None
    assert open_stream("scene:deeplense-2?seed=1&num=3") is None
    assert open_stream("scene:deeplense-2?seed=1") is not None
    assert "scene" in STREAMS
    with pytest.raises(DataError, match="no endless stream 'nowhere'"):
        open_stream("nowhere:it")
    with pytest.raises(ConfigurationError, match="chooses part and start"):
        open_stream("scene:deeplense-2?seed=1&part=test")
