"""Inference: a model folder and images in, predictions out."""

from darkarcs.inference.classify import classify
from darkarcs.inference.evaluate import evaluate
from darkarcs.inference.explain import explain
from darkarcs.inference.filing import Filing
from darkarcs.inference.predictor import Predictor
from darkarcs.inference.sharing import SharedImages
from darkarcs.inference.trusting import trust

__all__ = ["Filing", "Predictor", "SharedImages", "classify", "evaluate", "explain", "trust"]
