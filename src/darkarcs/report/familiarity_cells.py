"""Cells of the table of what a model finds strange."""

from __future__ import annotations

from typing import Any

from darkarcs.evaluation.tables import Cells


def familiarity_cells(content: dict[str, Any]) -> Cells:
    """Give the share of images that is flagged, set by set.

    Parameters
    ----------
    content : dict
        Of ``results/benchmarks/familiarity-MODEL.json``.

    Returns
    -------
    header : tuple of str
        Names of the columns.
    rows : list of tuple of str
        The model's own test images first; then each strange set, with the score that most often
        gave it away; sets without a goal are marked.

    Examples
    --------
    >>> found = {"flagged": 0.5, "interval": [0.25, 0.75], "n": 4, "reasons": {"light": 2}}
    >>> familiarity_cells({"own": found, "sets": {}})[1]
    [('own test images', '4', '50.0 % [25.0, 75.0]', 'light')]
    """
    without = content.get("goals", {}).get("without_goal", [])
    header = ("images", "n", "flagged [95 %]", "mostly because of")
    rows: list[tuple[str, ...]] = [
        (
            f"{name} (no goal)" if name in without else name,
            str(found["n"]),
            _share(found),
            _reason(found["reasons"]),
        )
        for name, found in {"own test images": content["own"], **content["sets"]}.items()
    ]
    return header, rows


def _share(found: dict[str, Any]) -> str:
    low, high = (100 * bound for bound in found["interval"])
    return f"{100 * found['flagged']:.1f} % [{low:.1f}, {high:.1f}]"


def _reason(reasons: dict[str, int]) -> str:
    return max(reasons, key=lambda name: reasons[name]) if reasons else ""
