"""Limits room: what the pixels of a scene hold about its substructure, whoever looks at them.

`measure_limits` gives the three figures: an oracle, the oracle with the smooth lens marginalized,
and an observer that does not know the substructure. `macro_tangents` gives the second for any
difference of images.
"""

from darkarcs.limits.derivatives import linearize
from darkarcs.limits.limit import count_images, measure_limits
from darkarcs.limits.observing import count_draws, observe_more
from darkarcs.limits.oracle import paired_auc, pooled_auc
from darkarcs.limits.redrawing import redraw_substructure
from darkarcs.limits.refit import refit
from darkarcs.limits.results import LimitRequest, LimitResult
from darkarcs.limits.tangent import MacroTangents, Strengths, macro_tangents

__all__ = [
    "LimitRequest",
    "LimitResult",
    "MacroTangents",
    "Strengths",
    "count_draws",
    "count_images",
    "linearize",
    "macro_tangents",
    "measure_limits",
    "observe_more",
    "paired_auc",
    "pooled_auc",
    "redraw_substructure",
    "refit",
]
