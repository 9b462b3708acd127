"""Fitting room: smooth lenses fitted to images, and the residuals that transformers look at.

Its modules are imported on first use: scenes and their cosmology take half a second, and most
models classify without.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "MacroCoordinates",
    "SmoothFit",
    "SmoothFits",
    "SmoothFitter",
    "SubhaloMaps",
    "SubhaloSearch",
    "fit_of",
    "residual_images",
    "residuals_to_store",
    "same_fits",
    "scene_of",
]


def __getattr__(name: str) -> Any:
    if name == "MacroCoordinates":
        return import_module("darkarcs.fitting.coordinates").MacroCoordinates
    if name == "SmoothFits":
        return import_module("darkarcs.fitting.fitted_lenses").SmoothFits
    if name == "SmoothFitter":
        return import_module("darkarcs.fitting.smooth_fit").SmoothFitter
    if name in ("SubhaloMaps", "SubhaloSearch"):
        return getattr(import_module("darkarcs.fitting.subhalo_search"), name)
    if name in __all__:
        return getattr(import_module("darkarcs.fitting.residuals"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
