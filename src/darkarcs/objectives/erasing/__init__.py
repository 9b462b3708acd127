"""The parts of iterative erasing: what goes, what takes its place, and the losses, one each."""

from darkarcs.objectives.erasing.settings import (
    DecoderSettings,
    ErasingWeights,
    IterativeErasing,
    RoundTerms,
)

__all__ = ["DecoderSettings", "ErasingWeights", "IterativeErasing", "RoundTerms"]
