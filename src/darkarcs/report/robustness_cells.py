"""Cells of the table of how two kinds of training bear what they were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from darkarcs.errors import DataError
from darkarcs.evaluation.intervals import mean_interval
from darkarcs.evaluation.tables import Cells


def robustness_cells(content: Mapping[str, Any]) -> Cells:
    """Average ``bench robustness`` over draws, each of which compares the same two trainings.

    Parameters
    ----------
    content : mapping
        ``entries``: what ``results/benchmarks/FOLDER/*.json`` hold, a file a draw.

    Returns
    -------
    header : tuple of str
        Names of the columns: the condition, both models, and their difference.
    rows : list of tuple of str
        Of each condition: mean AUC over the draws, what the condition costs in brackets, and the
        mean difference of the second from the first with its interval of 95 % over draws.

    Raises
    ------
    DataError
        If there are no draws, or they do not all compare the same two models.

    Examples
    --------
    >>> first = {"as is": {"plain": {"auc": 0.8}, "erasing": {"auc": 0.9}}}
    >>> second = {"as is": {"plain": {"auc": 0.9}, "erasing": {"auc": 0.9}}}
    >>> robustness_cells({"entries": [{"conditions": first}, {"conditions": second}]})[1]
    [('as is', '0.850', '0.900', '+0.050 [-0.585, +0.685]')]
    """
    draws = [entry["conditions"] for entry in content["entries"]]
    models = {tuple(areas) for draw in draws for areas in draw.values()}
    if len(models) != 1 or len(next(iter(models))) != 2:
        found = ", ".join(sorted({name for names in models for name in names})) or "none"
        raise DataError(f"draws of robustness must compare the same two models, not: {found}")
    plain, other = next(iter(models))
    rows = []
    for condition in draws[0]:
        cells = [condition]
        for model in (plain, other):
            areas = [draw[condition][model]["auc"] for draw in draws]
            whole = [draw["as is"][model]["auc"] for draw in draws]
            cost = "" if condition == "as is" else f" ({np.mean(areas) - np.mean(whole):+.3f})"
            cells.append(f"{np.mean(areas):.3f}{cost}")
        changes = [draw[condition][other]["auc"] - draw[condition][plain]["auc"] for draw in draws]
        bounds = mean_interval(changes)
        shown = "" if bounds is None else f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]"
        rows.append((*cells, f"{np.mean(changes):+.3f}{shown}"))
    return ("condition", plain, other, f"difference, {len(draws)} draws [95 %]"), rows
