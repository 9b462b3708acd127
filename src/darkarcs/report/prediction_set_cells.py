"""Cells of the table of how often prediction sets hold the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkarcs.evaluation.tables import Cells


def prediction_set_cells(content: Mapping[str, Any]) -> Cells:
    """Write the coverage that ``bench familiarity`` measured on own images.

    Parameters
    ----------
    content : mapping
        Its file.

    Returns
    -------
    header : tuple of str
        Names of the columns, one a class at the end.
    rows : list of tuple of str
        One an asked coverage, score and promise: coverage with its interval, mean size, and the
        coverage of each class.

    Examples
    --------
    >>> row = {"asked": 0.9, "score": "lac", "fitted_by_class": True, "coverage": 0.91, "n": 100}
    >>> row |= {"coverage_interval": [0.84, 0.95], "mean_size": 1.2}
    >>> row |= {"by_class": {"no_sub": {"coverage": 0.88}, "sub": {"coverage": 0.94}}}
    >>> header, rows = prediction_set_cells({"prediction_sets": [row]})
    >>> header[2], header[-1], rows[0][1:4]
    ('covered, of 100', 'sub', ('`lac`, by class', '0.910 [0.840, 0.950]', '1.20'))
    """
    rows = content["prediction_sets"]
    names = list(rows[0]["by_class"])
    header = ("asked", "sets", f"covered, of {rows[0]['n']:,}", "mean size", *names)
    cells = []
    for row in rows:
        low, high = row["coverage_interval"]
        cells.append(
            (
                f"{100 * row['asked']:g} %",
                f"`{row['score']}`{', by class' if row['fitted_by_class'] else ''}",
                f"{row['coverage']:.3f} [{low:.3f}, {high:.3f}]",
                f"{row['mean_size']:.2f}",
                *(f"{row['by_class'][name]['coverage']:.3f}" for name in names),
            )
        )
    return header, cells
