"""Data room: one contract for lens images, readers, the HDF5 store, splits, transforms.

Augmentation works on torch tensors and is imported on first use, so that opening, inspecting
and converting data does not wait for torch.
"""

from importlib import import_module
from typing import Any

from darkarcs.data.division import SplitSettings, divide
from darkarcs.data.joining import join
from darkarcs.data.lens_images import LensImages
from darkarcs.data.preprocessing import FittedPreprocessing, Preprocessing
from darkarcs.data.readers import open
from darkarcs.data.schemes import register_scheme
from darkarcs.data.splits import Splits, folds, split, split_hashes, subset
from darkarcs.data.store import StoreReader, load, save

__all__ = [
    "Augmentation",
    "FittedPreprocessing",
    "LensImages",
    "Preprocessing",
    "SplitSettings",
    "Splits",
    "StoreReader",
    "divide",
    "folds",
    "join",
    "load",
    "open",
    "register_scheme",
    "save",
    "split",
    "split_hashes",
    "subset",
]


def __getattr__(name: str) -> Any:
    if name == "Augmentation":
        return import_module("darkarcs.data.augmentation").Augmentation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
