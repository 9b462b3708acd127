"""Simulation room: from scenes to images, files and endless streams."""

from darkarcs.simulation.endless import EndlessLenses
from darkarcs.simulation.request import SimulationRequest, parse_uri
from darkarcs.simulation.simulate import SimulatedBlock, request_of, simulate, simulate_block
from darkarcs.simulation.to_store import simulate_to_store

__all__ = [
    "EndlessLenses",
    "SimulatedBlock",
    "SimulationRequest",
    "parse_uri",
    "request_of",
    "simulate",
    "simulate_block",
    "simulate_to_store",
]
