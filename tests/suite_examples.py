"""A suite of a scene that is drawn in milliseconds, and models that nobody trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

import small_scenes
from darkarcs.benchmark.suite import Suite, load_suite, write_hashes
from darkarcs.data import LensImages, Preprocessing
from darkarcs.model_folder import Architecture, ModelDescription, write_model_folder
from darkarcs.models import create_model

OPTIONS: dict[str, Any] = {"patch_size": 5, "depth": 1}


def write_suite(folder: Path, sets: dict[str, dict[str, Any]] | None = None, **keys: Any) -> Path:
    """Write the small scene and a suite of it, with the hashes that it draws now."""
    scene = small_scenes.write(folder)
    values: dict[str, Any] = {
        "schema_version": 1,
        "name": "small",
        "version": 1,
        "question": "Does the program run?",
        "axis": {"label": "per cent", "scale": "log"},
        "sets": default_sets(scene) if sets is None else sets,
        **keys,
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    write_hashes(path)
    return path


def default_sets(scene: Path) -> dict[str, dict[str, Any]]:
    """Two fractions of two classes and a change of one, and all three classes."""
    base = f"scene:{scene}?seed=1&num=60&part=test"
    two = f"{base}&classes=no_sub,cdm&classes.cdm.mass_fraction="
    common = {"parameters": ""}
    return {
        "few": {"title": "2 %", "uri": f"{two}0.02", "line": "small", "at": 2, **common},
        "many": {"title": "10 %", "uri": f"{two}0.1", "line": "small", "at": 10, **common},
        "blurred": {
            "title": "10 %, blurred",
            "uri": f"{two}0.1&point_spread_factor=1.5",
            "reference": "many",
            **common,
        },
        "three": {"title": "three classes", "uri": base, "is_null": True, **common},
    }


def small_suite(folder: Path) -> Suite:
    """Make the suite and load it."""
    return load_suite(write_suite(folder))


def write_model(
    path: Path,
    class_names: tuple[str, ...] = ("no_sub", "cdm", "axion"),
    *,
    channels: int = 1,
    seed: int = 0,
    seen: dict[str, NDArray[np.int64]] | None = None,
    **changes: Any,
) -> Path:
    """Write a model folder with weights as they were drawn."""
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "num_classes": len(class_names),
        "in_channels": channels,
        "image_size": 20,
    }
    model = create_model("compact_vit_100k", **shape, **OPTIONS)
    pixels = np.random.default_rng(seed).random((8, channels, 20, 20)).astype(np.float32)
    images = LensImages.from_arrays(pixels, pixel_scale=0.2)
    description = ModelDescription(
        name=path.name,
        task="a test",
        architecture=Architecture(name="compact_vit_100k", options=OPTIONS, **shape),
        preprocessing=Preprocessing(size=20, normalization="per_image").fit(images),
        class_names=class_names,
        **changes,
    )
    return write_model_folder(path, model.eval(), description, seen or {})
