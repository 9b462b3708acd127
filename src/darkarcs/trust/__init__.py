"""Trust: is an image like those that a model was trained on, and what ships to tell."""

from darkarcs.trust.familiarity import REASONS, Assessment, Familiarity, Observed
from darkarcs.trust.fitting import fit_trust, observe
from darkarcs.trust.network import ClassifierTap, NetworkView
from darkarcs.trust.statistics import image_statistics
from darkarcs.trust.trust_file import TRUST_FILE, Trust, read_trust

__all__ = [
    "REASONS",
    "TRUST_FILE",
    "Assessment",
    "ClassifierTap",
    "Familiarity",
    "NetworkView",
    "Observed",
    "Trust",
    "fit_trust",
    "image_statistics",
    "observe",
    "read_trust",
]
