"""Fitting room: smooth lenses fitted to images, and the residuals that transformers look at."""

from darkarcs.fitting.coordinates import MacroCoordinates
from darkarcs.fitting.residuals import (
    SmoothFit,
    fit_of,
    residuals,
    residuals_to_store,
    scene_of,
)
from darkarcs.fitting.smooth_fit import SmoothFits, SmoothFitter

__all__ = [
    "MacroCoordinates",
    "SmoothFit",
    "SmoothFits",
    "SmoothFitter",
    "fit_of",
    "residuals",
    "residuals_to_store",
    "scene_of",
]
