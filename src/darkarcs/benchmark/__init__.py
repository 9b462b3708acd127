"""Measurements of models and of the package itself."""

from darkarcs.benchmark.arm_speed import arm_speed
from darkarcs.benchmark.cross_validation import cross_validate
from darkarcs.benchmark.evidence import evidence_benchmark, open_pairs
from darkarcs.benchmark.familiarity import familiarity
from darkarcs.benchmark.fidelity import fidelity
from darkarcs.benchmark.fidelity_figure import draw_fidelity
from darkarcs.benchmark.inference_speed import inference_speed
from darkarcs.benchmark.map_scores import score_maps
from darkarcs.benchmark.robustness import robustness
from darkarcs.benchmark.robustness_figure import draw_robustness
from darkarcs.benchmark.simulation_speed import simulation_speed
from darkarcs.benchmark.suite import list_suites, load_suite
from darkarcs.benchmark.suite_run import run_suite
from darkarcs.benchmark.training_speed import training_speed
from darkarcs.benchmark.weaknesses import weaknesses

__all__ = [
    "arm_speed",
    "cross_validate",
    "draw_fidelity",
    "draw_robustness",
    "evidence_benchmark",
    "familiarity",
    "fidelity",
    "inference_speed",
    "list_suites",
    "load_suite",
    "open_pairs",
    "robustness",
    "run_suite",
    "score_maps",
    "simulation_speed",
    "training_speed",
    "weaknesses",
]
