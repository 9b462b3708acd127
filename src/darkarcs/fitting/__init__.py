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
    "scene_of",
]

_HOMES = {
    "MacroCoordinates": "coordinates",
    "SmoothFits": "fitted_lenses",
    "SmoothFitter": "smooth_fit",
    "SubhaloMaps": "subhalo_search",
    "SubhaloSearch": "subhalo_search",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"darkarcs.fitting.{_HOMES.get(name, 'residuals')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
