"""Scenes room: named, versioned priors over lenses, written as YAML.

A scene draws parameters (NumPy, by addressed random streams), renders them (torch, pure and
differentiable) and observes the images (noise). `darkarcs.simulation` makes data sets of it.
"""

from darkarcs.scenes.catalogue import list_scenes, load_scene
from darkarcs.scenes.parameters import LensParameters, Null, Part
from darkarcs.scenes.scene import Scene
from darkarcs.scenes.streams import BLOCK

__all__ = ["BLOCK", "LensParameters", "Null", "Part", "Scene", "list_scenes", "load_scene"]
