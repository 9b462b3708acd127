"""The measuring head on disk, and its predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from darkarcs.errors import ModelError
from darkarcs.measurement import (
    MeasuredTarget,
    Measurement,
    measurement_files,
    predict_measurements,
    read_measurement,
)
from darkarcs.measurement.files import DESCRIPTION, HEAD
from darkarcs.models import create_model
from darkarcs.objectives import HeadShape, MeasurementHead, SubstructureMap
from darkarcs.seeding import torch_generator


def a_measurement(**changes: Any) -> tuple[MeasurementHead, Measurement]:
    """Make a head with random weights and its description."""
    torch.manual_seed(0)
    values = {
        "shape": HeadShape(width=48, grid=4, num_targets=1, num_outputs=5, cells=2),
        "loss": {"kind": "quantile"},
        "levels": (0.68, 0.9),
        "targets": (MeasuredTarget(name="a", transform="log10", mean=-2.0, std=0.5),),
        "map": SubstructureMap(cells=2),
        "balance": 9.0,
    }
    description = Measurement.model_validate({**values, **changes})
    head = MeasurementHead(description.shape)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return head.eval(), description


def write(folder: Path, head: MeasurementHead, description: Measurement) -> None:
    """Put a head where a model folder would hold it."""
    for name, content in measurement_files(head, description).items():
        (folder / name).write_bytes(content)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    head, description = a_measurement()
    write(tmp_path, head, description)
    read = read_measurement(tmp_path)
    assert read.description == description
    tokens = torch.randn(2, 16, 48, generator=torch_generator(0, "tokens"))
    assert torch.equal(read.head(tokens).values, head(tokens).values)
    assert torch.equal(read.head(tokens).map, head(tokens).map)
    first = read.head_hash
    write(tmp_path, head, description.model_copy(update={"balance": 8.0}))
    assert read_measurement(tmp_path).head_hash != first


def test_damage_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="classifies but does not measure"):
        read_measurement(tmp_path)
    head, description = a_measurement()
    write(tmp_path, head, description)
    whole = (tmp_path / HEAD).read_bytes()
    (tmp_path / HEAD).write_bytes(whole[:-50])
    with pytest.raises(ModelError, match="cannot be read"):
        read_measurement(tmp_path)
    (tmp_path / HEAD).write_bytes(whole)
    (tmp_path / DESCRIPTION).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        read_measurement(tmp_path)


@pytest.mark.parametrize("loss", [{"kind": "quantile"}, {"kind": "gaussian"}])
def test_measurements_turn_with_the_image(loss: dict[str, Any]) -> None:
    outputs = 5 if loss["kind"] == "quantile" else 2
    shape = HeadShape(width=48, grid=4, num_targets=1, num_outputs=outputs, cells=2)
    head, description = a_measurement(loss=loss, shape=shape)
    model = create_model(
        "compact_vit_100k", num_classes=2, in_channels=1, image_size=32, patch_size=8, depth=1
    ).eval()
    images = torch.randn(3, 1, 32, 32, generator=torch_generator(0, "images"))
    with torch.inference_mode():
        once = predict_measurements(model, head, description, images, "dihedral")
        turned = predict_measurements(model, head, description, images.flip(-1), "dihedral")
        plain = predict_measurements(model, head, description, images)
    assert once.map is not None
    assert turned.map is not None
    assert torch.allclose(once.map.flip(-1), turned.map, atol=1e-5)
    assert torch.allclose(once.quantiles, turned.quantiles, atol=1e-5)
    assert not torch.allclose(once.quantiles, plain.quantiles, atol=1e-4)
    assert bool((once.quantiles.diff(dim=-1) > 0).all())
    assert plain.quantiles.shape == (3, 1, 5)
