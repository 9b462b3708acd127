"""Simulation room: images of lenses made by the project itself."""

from darkarcs.simulation.demo_lenses import demo_lenses

__all__ = ["demo_lenses"]
